package infer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/deepmutual/dml/internal/onnxmeta"
)

// Model is one ONNX model, ready to run.
type Model struct {
	session session
	gate    gate
	info    Info
	opts    Options
	prep    *preparer
	prepErr error // why prep is nil
}

// Open loads a model from a file. The error wraps that of opening the file,
// ErrNotONNX, ErrUnsupported, ErrNoRuntime or ErrRuntimeTooOld, and names the
// file.
func Open(path string, opts Options) (*Model, error) {
	return open(source{path: path}, opts)
}

// OpenBytes loads a model from the bytes of an ONNX file, as Open does. They
// are not needed afterwards.
func OpenBytes(model []byte, opts Options) (*Model, error) {
	return open(source{data: model}, opts)
}

func open(src source, opts Options) (*Model, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	s, err := openSession(src, opts)
	if err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	m, err := newModel(s, opts)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("infer: %s: %w", src, err), s.close())
	}
	m.info.Path = src.path
	if m.prepErr != nil {
		m.prepErr = fmt.Errorf("%s: %w", src, m.prepErr)
	}
	return m, nil
}

// newModel makes a model of a session, after checking that the metadata fits
// the graph.
func newModel(s session, opts Options) (*Model, error) {
	d := s.describe()
	m := &Model{session: s, opts: opts, info: Info{
		Students: 1,
		Batch:    int(max(0, d.input.dims[0])),
		Features: d.outputs[embedding].sampleOrZero(),
		Runtime:  d.version,
	}}
	if dims := d.input.dims; len(dims) == 4 {
		m.info.Channels, m.info.Height, m.info.Width = int(dims[1]), int(dims[2]), int(dims[3])
	} else {
		m.info.Channels = d.input.sample()
	}
	meta, err := onnxmeta.Parse(d.props)
	if errors.Is(err, onnxmeta.ErrNone) {
		m.info.Foreign = true
		m.prepErr = fmt.Errorf("%w: prepare them yourself and use Run", ErrNoMetadata)
		return m, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err := checkInterface(d, meta); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	m.info.Architecture, m.info.Classes = meta.Architecture, meta.Classes
	m.info.Mean, m.info.Std = meta.Mean, meta.Std
	m.info.Dataset, m.info.Mode, m.info.Toolkit = meta.Dataset, meta.Mode, meta.Toolkit
	m.prep, m.prepErr = newPreparer(meta)
	return m, nil
}

// sampleOrZero is the sample size of an output, 0 for one that is not there.
func (t tensorInfo) sampleOrZero() int {
	if t.name == "" {
		return 0
	}
	return t.sample()
}

// checkInterface reports every contradiction between a graph and its
// metadata.
func checkInterface(d description, meta onnxmeta.Metadata) error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if meta.NormalisedInGraph {
		fault("its metadata says that the graph normalises, which this version cannot serve")
	}
	want := []int64{int64(meta.Channels), int64(meta.Height), int64(meta.Width)}
	if d.input.name != onnxmeta.Input || !slices.Equal(d.input.dims[1:], want) {
		fault("its input is %q %v, its metadata says %q [batch %v]", d.input.name, d.input.dims, onnxmeta.Input, want)
	}
	for role, name := range []string{onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding} {
		out := d.outputs[role]
		switch {
		case out.name != name:
			fault("it lacks the output %q", name)
		case role != embedding && out.sample() != len(meta.Classes):
			fault("its output %q has the shape %v for %d classes", name, out.dims, len(meta.Classes))
		}
	}
	return errors.Join(errs...)
}

// Info describes the model.
func (m *Model) Info() Info { return m.info.clone() }

func (i Info) clone() Info {
	i.Classes, i.Mean, i.Std = slices.Clone(i.Classes), slices.Clone(i.Mean), slices.Clone(i.Std)
	return i
}

// Close waits for calls under way and frees the model.
func (m *Model) Close() error {
	if !m.gate.close() {
		return nil
	}
	return m.session.close()
}

// Run runs the network on a batch of n samples, normalised, [n, channels,
// height, width]. The error wraps ErrWrongInput for any other size.
func (m *Model) Run(ctx context.Context, batch []float32, n int) (Outputs, error) {
	if err := m.info.checkBatch(batch, n); err != nil {
		return Outputs{}, err
	}
	return m.run(ctx, n, func(dst []float32) error {
		copy(dst, batch)
		return nil
	})
}

// sampleSize is the number of values of one input sample.
func (i Info) sampleSize() int { return i.Channels * max(1, i.Height) * max(1, i.Width) }

func (i Info) checkBatch(batch []float32, n int) error {
	if size := i.sampleSize(); n < 1 || len(batch) != n*size {
		return fmt.Errorf("infer: %w: %d values for %d samples of %d", ErrWrongInput, len(batch), n, size)
	}
	return nil
}

// run runs n samples that fill writes.
func (m *Model) run(ctx context.Context, n int, fill func(dst []float32) error) (Outputs, error) {
	if err := m.gate.enter(); err != nil {
		return Outputs{}, fmt.Errorf("infer: %w", err)
	}
	defer m.gate.leave()
	if err := ctx.Err(); err != nil {
		return Outputs{}, fmt.Errorf("infer: %w", context.Cause(ctx))
	}
	if m.info.Batch > 0 && n != m.info.Batch {
		return Outputs{}, fmt.Errorf("infer: %w: %d samples for a model with the fixed batch %d", ErrWrongInput, n, m.info.Batch)
	}
	out, err := m.session.run(ctx, n, fill)
	if err != nil {
		return Outputs{}, fmt.Errorf("infer: %w", err)
	}
	return out, nil
}

// Predict classifies images. A model without metadata gives ErrNoMetadata.
func (m *Model) Predict(ctx context.Context, images ...Image) ([]Prediction, error) {
	return predict(ctx, m, images)
}

// Embed returns the L2-normalised features of images.
func (m *Model) Embed(ctx context.Context, images ...Image) ([][]float32, error) {
	return embed(ctx, m, images)
}

func (m *Model) preparer() (*preparer, error) { return m.prep, m.prepErr }
func (m *Model) options() Options             { return m.opts }
func (m *Model) classes() []string            { return m.info.Classes }
