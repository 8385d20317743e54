package infer

import (
	"context"
	"fmt"
	"slices"

	"github.com/deepmutual/dml/internal/onnxmeta"
)

// Backend computes one network. Open uses ONNX Runtime; [New] makes a Model of
// any other, which then prepares images, checks metadata and embeds as ever.
// Package infer/gorgonia is one.
type Backend interface {
	Describe() Description
	// Run computes n samples, which fill writes into the input: n times the
	// sample that Describe tells. Several calls may run at a time. The result is
	// the caller's own.
	Run(ctx context.Context, n int, fill func(Input) error) (Outputs, error)
	// Close frees the network. No call is under way then.
	Close() error
}

// Description is what a Backend knows of its network.
type Description struct {
	Path  string // file, or ""
	Input TensorInfo
	// The outputs that Run gives; without a name where there is none.
	Logits, Probabilities, Embedding TensorInfo
	Metadata                         map[string]string // of the ONNX file
	Runtime                          string            // what computes, and its version
}

// TensorInfo describes an input or output.
type TensorInfo struct {
	Name  string
	Dims  []int64 // -1 means dynamic; the first is the batch
	Uint8 bool    // of 8-bit numbers; else float32
}

// Input is memory for the samples of a call, in one of its fields: which one,
// TensorInfo.Uint8 tells.
type Input struct {
	Float32 []float32
	Uint8   []uint8
}

// Sample returns the number of values of one sample, or 0 where it is not
// fixed or there is no such tensor.
func (t TensorInfo) Sample() int {
	if t.Name == "" {
		return 0
	}
	n := 1
	for _, d := range t.Dims[min(1, len(t.Dims)):] {
		if d < 1 {
			return 0
		}
		n *= int(d)
	}
	return n
}

// Assign gives a network's float32 outputs their roles by name. Where none has
// such a name, the first is the preset's Output, or the logits.
func (d *Description) Assign(outputs []TensorInfo, preset *Preset) {
	found := false
	for _, role := range d.roles() {
		if i := slices.IndexFunc(outputs, func(t TensorInfo) bool { return t.Name == role.name }); i >= 0 {
			*role.info, found = outputs[i], true
		}
	}
	if found || len(outputs) == 0 {
		return
	}
	want := onnxmeta.Logits
	if preset != nil && preset.Output != "" {
		want = preset.Output
	}
	for _, role := range d.roles() {
		if role.name == want {
			*role.info = outputs[0]
		}
	}
}

// role is one of the outputs that mean something.
type role struct {
	name string
	info *TensorInfo
}

func (d *Description) roles() []role {
	return []role{{onnxmeta.Logits, &d.Logits}, {onnxmeta.Probabilities, &d.Probabilities}, {onnxmeta.Embedding, &d.Embedding}}
}

// results returns the slice of each role, in the order of roles.
func (o *Outputs) results() [3]*[]float32 {
	return [3]*[]float32{&o.Logits, &o.Probabilities, &o.Embedding}
}

// newInput returns memory for n samples of the given size.
func newInput(t TensorInfo, n, sample int) Input {
	if t.Uint8 {
		return Input{Uint8: make([]uint8, n*sample)}
	}
	return Input{Float32: make([]float32, n*sample)}
}

// part returns the samples from up to to, each of the given size.
func (in Input) part(from, to, sample int) Input {
	if in.Uint8 != nil {
		return Input{Uint8: in.Uint8[from*sample : to*sample]}
	}
	return Input{Float32: in.Float32[from*sample : to*sample]}
}

// copyFrom fills in with other, which has as many values or fewer.
func (in Input) copyFrom(other Input) {
	copy(in.Float32, other.Float32)
	copy(in.Uint8, other.Uint8)
}

// first returns the results of the first n samples.
func (o Outputs) first(n int) Outputs { return o.part(0, n) }

// part returns the results of the samples from up to to.
func (o Outputs) part(from, to int) Outputs {
	out := Outputs{N: to - from}
	results := out.results()
	for i, all := range o.results() {
		if *all != nil {
			width := len(*all) / o.N
			*results[i] = (*all)[from*width : to*width : to*width]
		}
	}
	return out
}

// add puts the results of more samples behind o's.
func (o *Outputs) add(more Outputs) {
	o.N += more.N
	into := o.results()
	for i, v := range more.results() {
		*into[i] = append(*into[i], *v...)
	}
}

// chunked runs n samples on a backend whose batch is fixed: in batches of that
// size, the last filled up with zeros whose results are dropped.
func chunked(ctx context.Context, b Backend, batch, n int, fill func(Input) error) (Outputs, error) {
	info := b.Describe().Input
	sample := info.Sample()
	whole := newInput(info, (n+batch-1)/batch*batch, sample)
	if err := fill(whole.part(0, n, sample)); err != nil {
		return Outputs{}, err
	}
	var out Outputs
	for at := 0; at < n; at += batch {
		part, err := b.Run(ctx, batch, func(dst Input) error {
			dst.copyFrom(whole.part(at, at+batch, sample))
			return nil
		})
		if err != nil {
			return Outputs{}, err
		}
		if part.N != batch {
			return Outputs{}, fmt.Errorf("%w: results of %d samples for a batch of %d", ErrUnsupported, part.N, batch)
		}
		out.add(part.first(min(batch, n-at)))
	}
	return out, nil
}
