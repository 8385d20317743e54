package infer

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
)

// network is one network of a Model, and how images are prepared for it.
type network struct {
	backend Backend
	desc    Description
	info    Info
	prep    *preparer
	prepErr error // why prep is nil
}

// newNetwork checks that the metadata, or the preset, fits the graph.
func newNetwork(b Backend, opts Options) (*network, error) {
	d := b.Describe()
	if err := d.Input.CheckInput(); err != nil {
		return nil, err
	}
	n := &network{backend: b, desc: d, info: Info{
		Path:     d.Path,
		Students: 1,
		Batch:    int(max(0, d.Input.Dims[0])),
		Features: d.Embedding.Sample(),
		Uint8:    d.Input.Uint8,
		Outputs:  d.names(),
		Runtime:  d.Runtime,
	}}
	if dims := d.Input.Dims; len(dims) != 4 {
		n.info.Channels = d.Input.Sample()
	} else if d.Input.Uint8 || opts.Preset != nil && opts.Preset.Layout == "nhwc" {
		n.info.Height, n.info.Width, n.info.Channels = int(dims[1]), int(dims[2]), int(dims[3])
	} else {
		n.info.Channels, n.info.Height, n.info.Width = int(dims[1]), int(dims[2]), int(dims[3])
	}
	meta, err := onnxmeta.Parse(d.Metadata)
	switch {
	case errors.Is(err, onnxmeta.ErrNone):
		n.info.Foreign = true
		err = n.usePreset(opts.Preset)
	case err != nil:
		err = fmt.Errorf("%w: %w", ErrUnsupported, err)
	case opts.Preset != nil:
		err = fmt.Errorf("%w: it says itself how images are prepared; open it without a preset", ErrUnsupported)
	default:
		err = n.useMetadata(meta)
	}
	n.info.Images = n.prep != nil
	return n, err
}

// useMetadata takes over what the model says of itself.
func (n *network) useMetadata(meta onnxmeta.Metadata) error {
	if err := n.desc.check(meta); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	n.info.Architecture, n.info.Classes = meta.Architecture, meta.Classes
	n.info.StudentNames, n.info.Students = meta.Students, max(1, len(meta.Students))
	n.info.Mean, n.info.Std = meta.Mean, meta.Std
	n.info.Dataset, n.info.Mode, n.info.Toolkit = meta.Dataset, meta.Mode, meta.Toolkit
	n.info.NormalisedInGraph = meta.NormalisedInGraph
	n.prep, n.prepErr = newPreparer(meta, n.desc.Input.Uint8)
	return nil
}

// usePreset takes over what a model without metadata does not say.
func (n *network) usePreset(preset *Preset) error {
	if preset == nil {
		n.prepErr = ErrNoMetadata
		return nil
	}
	preset = preset.clone()
	for _, out := range []TensorInfo{n.desc.Logits, n.desc.Probabilities} {
		if size := out.Sample(); len(preset.Classes) > 0 && size > 0 && size != len(preset.Classes) {
			return fmt.Errorf("%w: its output %q has the shape %v, the preset has %d classes", ErrUnsupported, out.Name, out.Dims, len(preset.Classes))
		}
	}
	var err error
	if n.prep, err = presetPreparer(*preset, n.desc.Input); err != nil {
		return err
	}
	n.info.Classes, n.info.Mean, n.info.Std = preset.Classes, preset.Mean, preset.Std
	return nil
}

// agree reports every difference that keeps two networks from sharing an input
// and adding their probabilities.
func (n *network) agree(o *network) error {
	var errs []error
	differ := func(what string, a, b any) {
		errs = append(errs, fmt.Errorf("%s %v and %v", what, b, a))
	}
	p, q := n.prep.preparation, o.prep.preparation
	if a, b := [3]int{p.channels, p.height, p.width}, [3]int{q.channels, q.height, q.width}; a != b {
		differ("inputs", a, b)
	}
	if p.mean != q.mean {
		differ("means", p.mean, q.mean)
	}
	if p.std != q.std {
		differ("standard deviations", p.std, q.std)
	}
	if n.info.Uint8 != o.info.Uint8 {
		differ("inputs of 8-bit pixels", n.info.Uint8, o.info.Uint8)
	}
	if p != q && len(errs) == 0 {
		differ("preparations", fmt.Sprintf("%+v", p), fmt.Sprintf("%+v", q))
	}
	if a, b := n.desc.classCount(), o.desc.classCount(); !slices.Equal(n.info.Classes, o.info.Classes) {
		differ("classes", n.info.Classes, o.info.Classes)
	} else if a != b {
		differ("numbers of classes", a, b)
	}
	return errors.Join(errs...)
}

// compute runs samples that fill writes.
func (n *network) compute(ctx context.Context, samples int, fill func(Input) error) (Outputs, error) {
	if batch := n.info.Batch; batch > 0 && samples != batch {
		return n.chunked(ctx, batch, samples, fill)
	}
	return n.backend.Run(ctx, samples, fill)
}

// computeOn is compute of samples that are in memory already.
func (n *network) computeOn(ctx context.Context, samples int, in Input) (Outputs, error) {
	if b, can := n.backend.(inPlace); can && (n.info.Batch == 0 || samples == n.info.Batch) {
		return b.runOn(ctx, samples, in)
	}
	return n.compute(ctx, samples, func(dst Input) error {
		dst.copyFrom(in)
		return nil
	})
}

// chunked runs samples on a network whose batch is fixed: in batches of that
// size, the last filled up with zeros whose results are dropped.
func (n *network) chunked(ctx context.Context, batch, samples int, fill func(Input) error) (Outputs, error) {
	sample := n.desc.Input.Sample()
	whole := newInput(n.desc.Input, (samples+batch-1)/batch*batch, sample)
	if err := fill(whole.part(0, samples, sample)); err != nil {
		return Outputs{}, err
	}
	var out Outputs
	for at := 0; at < samples; at += batch {
		part, err := n.backend.Run(ctx, batch, func(dst Input) error {
			dst.copyFrom(whole.part(at, at+batch, sample))
			return nil
		})
		if err != nil {
			return Outputs{}, err
		}
		if part.N != batch {
			return Outputs{}, fmt.Errorf("%w: results of %d samples for a batch of %d", ErrUnsupported, part.N, batch)
		}
		out.add(part.part(0, min(batch, samples-at)))
	}
	return out, nil
}
