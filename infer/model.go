package infer

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"slices"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/pixels"
)

// Model is one network, ready to run.
type Model struct {
	backend Backend
	desc    Description
	gate    gate
	info    Info
	opts    Options
	prep    *preparer
	prepErr error // why prep is nil
}

// Open loads a model from a file. The error wraps that of opening the file,
// ErrNotONNX, ErrUnsupported, ErrNoRuntime, ErrRuntimeTooOld or ErrNoProvider,
// and names the file.
func Open(path string, opts Options) (*Model, error) {
	return open(source{path: path}, opts)
}

// OpenBytes loads a model from the bytes of an ONNX file, as Open does. They
// are not needed afterwards. A model whose weights are in other files needs Open.
func OpenBytes(model []byte, opts Options) (*Model, error) {
	if model == nil {
		model = []byte{}
	}
	return open(source{data: model}, opts)
}

// OpenFS loads a model from a file of a file system, such as one that is
// embedded in the program, as Open does.
func OpenFS(fsys fs.FS, name string, opts Options) (*Model, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	return open(source{path: name, data: data}, opts)
}

func open(src source, opts Options) (*Model, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	b, err := openSession(src, opts)
	if err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	m, err := newModel(b, opts)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("infer: %s: %w", src, err), b.Close())
	}
	if m.prepErr != nil {
		m.prepErr = fmt.Errorf("%s: %w", src, m.prepErr)
	}
	return m, nil
}

// New makes a model of a backend, which closes with it. It uses of the options
// what is not about opening a file. On an error the backend stays open.
func New(b Backend, opts Options) (*Model, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	m, err := newModel(b, opts)
	if err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	return m, nil
}

// newModel makes a model of a backend, after checking that the metadata, or
// the preset, fits the graph.
func newModel(b Backend, opts Options) (*Model, error) {
	d := b.Describe()
	if d.Input.Sample() == 0 {
		return nil, fmt.Errorf("%w: its input %q has the shape %v; only the batch may be dynamic, and a sample has at most %d values", ErrUnsupported, d.Input.Name, d.Input.Dims, onnxmeta.MaxSample)
	}
	m := &Model{backend: b, desc: d, opts: opts, info: Info{
		Path:     d.Path,
		Students: 1,
		Batch:    int(max(0, d.Input.Dims[0])),
		Features: d.Embedding.Sample(),
		Uint8:    d.Input.Uint8,
		Runtime:  d.Runtime,
	}}
	if dims := d.Input.Dims; len(dims) != 4 {
		m.info.Channels = d.Input.Sample()
	} else if d.Input.Uint8 || opts.Preset != nil && opts.Preset.Layout == "nhwc" {
		m.info.Height, m.info.Width, m.info.Channels = int(dims[1]), int(dims[2]), int(dims[3])
	} else {
		m.info.Channels, m.info.Height, m.info.Width = int(dims[1]), int(dims[2]), int(dims[3])
	}
	meta, err := onnxmeta.Parse(d.Metadata)
	switch {
	case errors.Is(err, onnxmeta.ErrNone):
		m.info.Foreign = true
		return m, m.usePreset()
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	case opts.Preset != nil:
		return nil, fmt.Errorf("%w: it says itself how images are prepared; open it without a preset", ErrUnsupported)
	}
	if err := checkInterface(d, meta); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	m.info.Architecture, m.info.Classes = meta.Architecture, meta.Classes
	m.info.StudentNames, m.info.Students = meta.Students, max(1, len(meta.Students))
	m.info.Mean, m.info.Std = meta.Mean, meta.Std
	m.info.Dataset, m.info.Mode, m.info.Toolkit = meta.Dataset, meta.Mode, meta.Toolkit
	m.info.NormalisedInGraph = meta.NormalisedInGraph
	m.prep, m.prepErr = newPreparer(meta, d.Input.Uint8)
	return m, nil
}

// usePreset takes from the options what a model without metadata does not say.
func (m *Model) usePreset() error {
	if m.opts.Preset == nil {
		m.prepErr = ErrNoMetadata
		return nil
	}
	preset := m.opts.Preset.clone()
	for _, out := range []TensorInfo{m.desc.Logits, m.desc.Probabilities} {
		if n := out.Sample(); len(preset.Classes) > 0 && n > 0 && n != len(preset.Classes) {
			return fmt.Errorf("%w: its output %q has the shape %v, the preset has %d classes", ErrUnsupported, out.Name, out.Dims, len(preset.Classes))
		}
	}
	var err error
	if m.prep, err = presetPreparer(*preset, m.desc.Input); err != nil {
		return err
	}
	m.info.Classes, m.info.Mean, m.info.Std = preset.Classes, preset.Mean, preset.Std
	return nil
}

// checkInterface reports every contradiction between a graph and its
// metadata.
func checkInterface(d Description, meta onnxmeta.Metadata) error {
	var outputs []onnxmeta.Tensor
	found := false
	for _, role := range d.roles() {
		if role.info.Name == role.name {
			found = true
			outputs = append(outputs, onnxmeta.Tensor(*role.info))
		}
	}
	for _, s := range d.Students {
		for _, out := range []TensorInfo{s.Logits, s.Probabilities} {
			if out.Name != "" {
				outputs = append(outputs, onnxmeta.Tensor(out))
			}
		}
	}
	err := meta.CheckGraph(onnxmeta.Tensor(d.Input), outputs)
	if !found {
		err = errors.Join(err, fmt.Errorf("it has none of the outputs %q, %q and %q", onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding))
	}
	return err
}

// Info describes the model.
func (m *Model) Info() Info { return m.info.clone() }

func (i Info) clone() Info {
	i.Classes, i.Mean, i.Std = slices.Clone(i.Classes), slices.Clone(i.Mean), slices.Clone(i.Std)
	i.StudentNames = slices.Clone(i.StudentNames)
	return i
}

// Close waits for calls under way and frees the model.
func (m *Model) Close() error {
	if !m.gate.close() {
		return nil
	}
	return m.backend.Close()
}

// Run runs the network on a batch of n samples, normalised, [n, channels,
// height, width], or in its own layout where a model of other origin has another.
// The batch must not change meanwhile: large ones are not copied. The
// error wraps ErrWrongSize for any other size, and ErrWrongInput for a model that
// takes 8-bit pixels. A model whose batch is fixed takes any n, too: the last
// batch is filled up.
func (m *Model) Run(ctx context.Context, batch []float32, n int) (Outputs, error) {
	if err := m.info.checkFloats(batch, n); err != nil {
		return Outputs{}, err
	}
	if err := m.enter(); err != nil {
		return Outputs{}, fmt.Errorf("infer: %w", err)
	}
	defer m.leave()
	out, err := m.computeOn(ctx, n, Input{Float32: batch})
	if err != nil {
		return Outputs{}, fmt.Errorf("infer: %w", err)
	}
	return out, nil
}

// RunPixels runs the network on a batch of n images of the model's size, 8-bit
// pixels [n, height, width, channels] in the order of its channels. They are
// normalised as the model's metadata or preset says. A model that takes 8-bit
// pixels gets them as they are, and so needs neither.
func (m *Model) RunPixels(ctx context.Context, batch []uint8, n int) (Outputs, error) {
	return runPixels(ctx, m, m.info, batch, n)
}

// sampleSize is the number of values of one input sample.
func (i Info) sampleSize() int { return i.Channels * max(1, i.Height) * max(1, i.Width) }

func (i Info) checkFloats(batch []float32, n int) error {
	if i.Uint8 {
		return fmt.Errorf("infer: %w: the model takes 8-bit pixels; use RunPixels", ErrWrongInput)
	}
	return i.checkSize(len(batch), n)
}

func (i Info) checkSize(values, n int) error {
	if size := i.sampleSize(); n < 1 || values/n != size || values%n != 0 {
		return fmt.Errorf("infer: %w", &SizeError{Values: values, Samples: n, PerSample: size})
	}
	return nil
}

// compute runs n samples that fill writes. It is for calls that have entered.
func (m *Model) compute(ctx context.Context, n int, fill func(Input) error) (Outputs, error) {
	if ctx.Err() != nil {
		return Outputs{}, cancelled(ctx)
	}
	if batch := m.info.Batch; batch > 0 && n != batch {
		return chunked(ctx, m.backend, batch, n, fill)
	}
	return m.backend.Run(ctx, n, fill)
}

// computeOn is compute of n samples that are in memory already.
func (m *Model) computeOn(ctx context.Context, n int, in Input) (Outputs, error) {
	if b, can := m.backend.(inPlace); can && (m.info.Batch == 0 || n == m.info.Batch) {
		if ctx.Err() != nil {
			return Outputs{}, cancelled(ctx)
		}
		return b.runOn(ctx, n, in)
	}
	return m.compute(ctx, n, func(dst Input) error {
		dst.copyFrom(in)
		return nil
	})
}

// Predict classifies images. A model that does not say how to prepare them
// gives ErrNoMetadata.
func (m *Model) Predict(ctx context.Context, images ...Image) ([]Prediction, error) {
	return predict(ctx, m, images)
}

// Embed returns the L2-normalised features of images.
func (m *Model) Embed(ctx context.Context, images ...Image) ([][]float32, error) {
	return embed(ctx, m, images)
}

// EmbedImages is Embed of decoded images, which makes a Model an Embedder of
// package reid.
func (m *Model) EmbedImages(ctx context.Context, images ...image.Image) ([][]float32, error) {
	return m.Embed(ctx, fromImages(images)...)
}

func (m *Model) enter() error      { return m.gate.enter() }
func (m *Model) leave()            { m.gate.leave() }
func (m *Model) options() Options  { return m.opts }
func (m *Model) input() TensorInfo { return m.desc.Input }
func (m *Model) classes() []string { return m.info.Classes }

func (m *Model) preparer() (*preparer, error) {
	if errors.Is(m.prepErr, ErrNoMetadata) { // advice that does not hold for a Cohort
		run := "Run"
		if m.info.Uint8 {
			run = "RunPixels"
		}
		return nil, fmt.Errorf("%w: give a preset, or prepare them yourself and use %s", m.prepErr, run)
	}
	return m.prep, m.prepErr
}

// runPixels is RunPixels of every engine.
func runPixels(ctx context.Context, e engine, info Info, batch []uint8, n int) (Outputs, error) {
	if err := info.checkSize(len(batch), n); err != nil {
		return Outputs{}, err
	}
	if info.Uint8 {
		return runInside(e, func() (Outputs, error) {
			return e.compute(ctx, n, func(dst Input) error {
				copy(dst.Uint8, batch)
				return nil
			})
		})
	}
	prep, err := e.preparer()
	if err != nil {
		return Outputs{}, fmt.Errorf("infer: %w", err)
	}
	size := info.sampleSize()
	return runInside(e, func() (Outputs, error) {
		return e.compute(ctx, n, func(dst Input) error {
			for i := range n {
				img := pixels.Image{Width: prep.width, Height: prep.height, Channels: prep.channels, Pix: batch[i*size : (i+1)*size]}
				if err := prep.store(dst.part(i, i+1, size), img); err != nil {
					return err
				}
			}
			return nil
		})
	})
}
