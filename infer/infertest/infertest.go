// Package infertest makes stand-ins for models, for the tests of programs that
// use package infer. They need neither files, nor ONNX Runtime's library, nor
// cgo.
package infertest

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
)

// Options describes a Fake. The zero value is a classifier of ten classes, "0"
// to "9", and of 8 features, for RGB images of 8x8 pixels.
type Options struct {
	Classes                 []string // at least two
	Channels, Height, Width int      // Channels 1 or 3
	Features                int
	// Logits computes the scores of a sample, [channels, height, width] of
	// values in 0..1, one for each class. Where it is nil they are fixed sums of
	// the values: the same for the same image, different for others.
	Logits func(sample []float32) []float32
	// Embedding computes the features of a sample likewise.
	Embedding func(sample []float32) []float32
	// Delay is how long a call takes, unless its context ends before.
	Delay time.Duration
	// Infer are the options of the model, such as TopK, MaxBatch and Join.
	Infer infer.Options
}

// Fake is an infer.Model that runs no network. All else is real: images are
// decoded and scaled, sizes checked, contexts heeded, calls joined where its options
// say so, and Close closes it. Its Backend is for infer.New, which makes an ensemble
// of the Backends of several.
type Fake struct {
	*infer.Model
	backend *backend
}

// Backend is what the fake computes with.
func (f *Fake) Backend() infer.Backend { return f.backend }

// New makes a fake. The error says what is wrong with the options.
func New(opts Options) (*Fake, error) {
	if opts.Classes == nil {
		for i := range 10 {
			opts.Classes = append(opts.Classes, strconv.Itoa(i))
		}
	}
	for _, field := range []struct {
		value    *int
		standard int
	}{{&opts.Channels, 3}, {&opts.Height, 8}, {&opts.Width, 8}, {&opts.Features, 8}} {
		if *field.value == 0 {
			*field.value = field.standard
		}
	}
	meta := onnxmeta.Metadata{
		Architecture: "fake", Classes: opts.Classes, Channels: opts.Channels, Height: opts.Height, Width: opts.Width,
		Mean: make([]float32, max(0, opts.Channels)), Std: make([]float32, max(0, opts.Channels)), Dataset: "none",
	}
	for i := range meta.Std {
		meta.Std[i] = 1
	}
	if err := meta.Validate(); err != nil {
		return nil, fmt.Errorf("infertest: %w", err)
	}
	if opts.Features < 0 {
		return nil, fmt.Errorf("infertest: Features is %d; it cannot be negative", opts.Features)
	}
	b := &backend{opts: opts, meta: meta}
	m, err := infer.New(opts.Infer, b)
	if err != nil {
		return nil, fmt.Errorf("infertest: %w", err)
	}
	return &Fake{Model: m, backend: b}, nil
}

// Samples is how many samples the fake has computed.
func (f *Fake) Samples() int { return int(f.backend.samples.Load()) }

// FailWith lets every later call fail with err; nil lets them succeed again.
func (f *Fake) FailWith(err error) { f.backend.fault.Store(&err) }

// backend computes what the options say.
type backend struct {
	opts    Options
	meta    onnxmeta.Metadata
	samples atomic.Int64
	fault   atomic.Pointer[error]
}

// Describe describes a network that does not exist.
func (b *backend) Describe() infer.Description {
	metadata := make(map[string]string)
	for _, p := range b.meta.Pairs() {
		metadata[p.Key] = p.Value
	}
	tensor := func(name string, dims ...int) infer.TensorInfo {
		info := infer.TensorInfo{Name: name, Dims: []int64{-1}}
		for _, d := range dims {
			info.Dims = append(info.Dims, int64(d))
		}
		return info
	}
	return infer.Description{
		Input:     tensor(onnxmeta.Input, b.opts.Channels, b.opts.Height, b.opts.Width),
		Logits:    tensor(onnxmeta.Logits, len(b.opts.Classes)),
		Embedding: tensor(onnxmeta.Embedding, b.opts.Features),
		// Probabilities follow from the logits; the metadata does not ask for them.
		Metadata: metadata, Runtime: "infertest",
	}
}

// Run computes each sample by the options' functions.
func (b *backend) Run(ctx context.Context, n int, fill func(infer.Input) error) (infer.Outputs, error) {
	if fault := b.fault.Load(); fault != nil && *fault != nil {
		return infer.Outputs{}, *fault
	}
	size := b.opts.Channels * b.opts.Height * b.opts.Width
	in := make([]float32, n*size)
	if err := fill(infer.Input{Float32: in}); err != nil {
		return infer.Outputs{}, err
	}
	if b.opts.Delay > 0 {
		timer := time.NewTimer(b.opts.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return infer.Outputs{}, fmt.Errorf("%w: %w", infer.ErrCancelled, context.Cause(ctx))
		}
	}
	out := infer.Outputs{N: n}
	for i := range n {
		sample := in[i*size : (i+1)*size]
		logits, err := compute("Logits", b.opts.Logits, sample, len(b.opts.Classes), 1)
		if err != nil {
			return infer.Outputs{}, err
		}
		features, err := compute("Embedding", b.opts.Embedding, sample, b.opts.Features, 2)
		if err != nil {
			return infer.Outputs{}, err
		}
		out.Logits, out.Embedding = append(out.Logits, logits...), append(out.Embedding, features...)
	}
	b.samples.Add(int64(n))
	return out, nil
}

// Close has nothing to free.
func (b *backend) Close() error { return nil }

// compute calls f, or sums the sample with fixed weights.
func compute(name string, f func([]float32) []float32, sample []float32, width int, seed uint32) ([]float32, error) {
	if f == nil {
		out := make([]float32, width)
		for k := range out {
			for _, v := range sample {
				seed = seed*1664525 + 1013904223
				out[k] += v * (float32(seed>>16)/(1<<15) - 1)
			}
		}
		return out, nil
	}
	out := f(sample)
	if len(out) != width {
		return nil, fmt.Errorf("infertest: %s gave %d values, want %d", name, len(out), width)
	}
	return out, nil
}
