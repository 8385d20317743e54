package infer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/deepmutual/dml/internal/pixels"
)

// group is networks that answer together: what a Model holds until another takes
// its place.
type group struct {
	networks []*network
	opts     Options
	info     Info
	input    TensorInfo
	prep     *preparer
	prepErr  error
	gate     gate
	decodes  chan struct{} // has room for as many images as may be decoded at a time
	join     *joiner       // nil where calls are not joined
	meter    atomic.Pointer[meter]
	// gone says that this only stands in the place of a group that was closed, which
	// is before, or given to another Model.
	gone   bool
	before *group
}

// newGroup makes a group of networks that must agree in the preparation of images
// and in classes, if they are several. Its joiner is started last: after an error
// there is nothing to undo.
func newGroup(networks []*network, opts Options) (*group, error) {
	if len(networks) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrMismatch)
	}
	if n := len(opts.Ensemble.Weights); n != 0 && n != len(networks) {
		return nil, fmt.Errorf("%w: %d weights for %d models", ErrMismatch, n, len(networks))
	}
	first := networks[0]
	g := &group{
		networks: networks, opts: opts, info: first.info, input: first.desc.Input, prep: first.prep, prepErr: first.prepErr,
		decodes: make(chan struct{}, opts.decodes()),
	}
	if len(networks) > 1 {
		if err := g.unite(); err != nil {
			return nil, err
		}
	}
	if opts.Join != nil {
		g.join = newJoiner(g, *opts.Join)
	}
	return g, nil
}

// unite checks that several networks fit together, and describes them as one.
func (g *group) unite() error {
	first := g.networks[0]
	g.info.Path, g.info.Outputs, g.info.Students, g.info.StudentNames = "", nil, 0, nil
	var names []string
	features := make([]int, len(g.networks))
	for i, n := range g.networks {
		if n.prepErr != nil {
			return fmt.Errorf("model %d: %w", i+1, n.prepErr)
		}
		if slices.ContainsFunc(g.networks[:i], func(o *network) bool { return same(o.backend, n.backend) }) {
			return fmt.Errorf("%w: model %d (%s) occurs twice", ErrMismatch, i+1, n.info.Path)
		}
		if err := first.agree(n); err != nil {
			return fmt.Errorf("%w: model %d (%s) and the first (%s): %w", ErrMismatch, i+1, n.info.Path, first.info.Path, err)
		}
		if g.opts.Ensemble.Logits && n.desc.Logits.Name == "" {
			return fmt.Errorf("%w: model %d (%s), whose logits are to be averaged: %w %q", ErrMismatch, i+1, n.info.Path, ErrNoOutput, "logits")
		}
		names, features[i] = append(names, n.info.Architecture), n.info.Features
		g.info.Students += n.info.Students
		if n.info.StudentNames == nil {
			g.info.StudentNames = append(g.info.StudentNames, n.info.Architecture)
		}
		g.info.StudentNames = append(g.info.StudentNames, n.info.StudentNames...)
	}
	var err error
	if g.info.Features, err = g.opts.Ensemble.features(features); err != nil {
		return fmt.Errorf("%w: %w", ErrMismatch, err)
	}
	g.info.Architecture = strings.Join(names, "+")
	return nil
}

// same reports one backend that is there twice. One of another package may be of a
// type that cannot be compared.
func same(a, b Backend) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// successor stands in the group's place once it is closed, which is before, or
// given away. It only describes what was there.
func (g *group) successor(before *group) *group {
	s := &group{networks: g.networks, opts: g.opts, info: g.info, gone: true, before: before}
	s.gate.close()
	return s
}

// close waits for calls under way, which a joiner then computes at once, and frees
// the networks.
func (g *group) close() error {
	if g.join != nil {
		g.join.hasten()
	}
	g.gate.close()
	if g.join != nil {
		g.join.end()
	}
	return closeAll(g.networks)
}

func closeAll(networks []*network) error {
	var errs []error
	for _, n := range networks {
		errs = append(errs, n.backend.Close())
	}
	return errors.Join(errs...)
}

// compute runs n samples that fill writes, joined with those of other calls where
// the options say so. It is for calls that have entered.
func (g *group) compute(ctx context.Context, n int, fill func(Input) error) (Outputs, error) {
	switch {
	case ctx.Err() != nil:
		return Outputs{}, cancelled(ctx)
	case g.join != nil:
		return g.join.compute(ctx, n, fill)
	}
	return g.direct(ctx, n, fill)
}

// computeOn is compute of samples that are in memory already.
func (g *group) computeOn(ctx context.Context, n int, in Input) (Outputs, error) {
	switch {
	case ctx.Err() != nil:
		return Outputs{}, cancelled(ctx)
	case g.join != nil:
		return g.join.compute(ctx, n, func(dst Input) error {
			dst.copyFrom(in)
			return nil
		})
	case len(g.networks) == 1:
		return g.measured(g.networks[0].computeOn(ctx, n, in))
	}
	return g.measured(g.together(ctx, n, in))
}

// direct is compute without joining.
func (g *group) direct(ctx context.Context, n int, fill func(Input) error) (Outputs, error) {
	if len(g.networks) == 1 {
		return g.measured(g.networks[0].compute(ctx, n, fill))
	}
	batch := newInput(g.input, n, g.info.sampleSize()) // prepared once for all
	if err := fill(batch); err != nil {
		return Outputs{}, err
	}
	return g.measured(g.together(ctx, n, batch))
}

// measured counts a batch that was computed.
func (g *group) measured(out Outputs, err error) (Outputs, error) {
	if err == nil {
		g.meter.Load().batches.add(uint64(out.N))
	}
	return out, err
}

// together runs every network on the batch, one after the other: each uses all
// the threads it was opened with.
func (g *group) together(ctx context.Context, n int, batch Input) (Outputs, error) {
	each := make([]Outputs, len(g.networks))
	for i, network := range g.networks {
		if ctx.Err() != nil {
			return Outputs{}, cancelled(ctx)
		}
		var err error
		if each[i], err = network.computeOn(ctx, n, batch); err != nil {
			return Outputs{}, fmt.Errorf("model %d (%s): %w", i+1, cmp.Or(network.info.Architecture, network.info.Path), err)
		}
	}
	out, err := g.opts.Ensemble.outputs(each)
	out.Students = g.oneByOne(each)
	return out, err
}

// oneByOne returns the outputs of all students, given those of the networks; nil
// where a file holds a cohort and does not give them.
func (g *group) oneByOne(each []Outputs) []Outputs {
	out := make([]Outputs, 0, g.info.Students)
	for i, n := range g.networks {
		if n.info.StudentNames == nil {
			out = append(out, each[i])
		} else if each[i].Students == nil {
			return nil
		}
		out = append(out, each[i].Students...)
	}
	return out
}

// preparer is what prepares images, or the error why nothing does.
func (g *group) preparer() (*preparer, error) {
	if errors.Is(g.prepErr, ErrNoMetadata) {
		run := "Run"
		if g.info.Uint8 {
			run = "RunPixels"
		}
		return nil, fmt.Errorf("%w: give a preset, or prepare them yourself and use %s", g.prepErr, run)
	}
	return g.prep, g.prepErr
}

// checkSize reports a batch that does not have the values of n samples.
func (g *group) checkSize(values, n int) error {
	if size := g.info.sampleSize(); n < 1 || values/n != size || values%n != 0 {
		return &SizeError{Values: values, Samples: n, PerSample: size}
	}
	return nil
}

// runFloats is Model.Run.
func (g *group) runFloats(ctx context.Context, batch []float32, n int) (Outputs, error) {
	if g.info.Uint8 {
		return Outputs{}, fmt.Errorf("%w: the model takes 8-bit pixels; use RunPixels", ErrWrongInput)
	}
	if err := g.checkSize(len(batch), n); err != nil {
		return Outputs{}, err
	}
	return g.computeOn(ctx, n, Input{Float32: batch})
}

// runPixels is Model.RunPixels.
func (g *group) runPixels(ctx context.Context, batch []uint8, n int) (Outputs, error) {
	if err := g.checkSize(len(batch), n); err != nil {
		return Outputs{}, err
	}
	if g.info.Uint8 {
		return g.computeOn(ctx, n, Input{Uint8: batch})
	}
	prep, err := g.preparer()
	if err != nil {
		return Outputs{}, err
	}
	size := g.info.sampleSize()
	return g.compute(ctx, n, func(dst Input) error {
		for i := range n {
			img := pixels.Image{Width: prep.width, Height: prep.height, Channels: prep.channels, Pix: batch[i*size : (i+1)*size]}
			if err := prep.store(dst.part(i, i+1, size), img); err != nil {
				return err
			}
		}
		return nil
	})
}
