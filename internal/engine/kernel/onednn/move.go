//go:build cgo && (linux || darwin)

package onednn

// #include "shim.h"
import "C"

import (
	"fmt"
	"slices"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type subsample struct {
	planned
	spec kernel.SubsampleSpec
	ptr  *C.dml_copy
}

// Subsample plans a parameter-free shortcut.
func (e *engine) Subsample(s kernel.SubsampleSpec) (kernel.Subsample, error) {
	if err := e.planning("a subsampling", s.Validate()); err != nil {
		return nil, err
	}
	k := &subsample{planned: planned{e, fmt.Sprintf("subsampling of %v to %v", s.Src, s.Dst)}, spec: s}
	src, dst := cdesc(s.Src), cdesc(s.Dst)
	if k.ptr = C.dml_subsample_plan(e.ptr, &dst, &src, C.int64_t(s.Stride), C.int64_t(s.Front)); k.ptr == nil {
		return nil, k.fail("planning", kernel.ErrMemory)
	}
	return k, nil
}

func (k *subsample) Forward(dst, src kernel.Tensor) error {
	if err := k.check("forward pass",
		kernel.CheckTensor("dst", dst, k.spec.Dst),
		kernel.CheckTensor("src", src, k.spec.Src)); err != nil {
		return err
	}
	C.dml_copy_forward(k.ptr, ptr(dst.Data), ptr(src.Data))
	return nil
}

func (k *subsample) Backward(dSrc, dDst kernel.Tensor) error {
	if err := k.check("gradient",
		kernel.CheckTensor("dSrc", dSrc, k.spec.Src),
		kernel.CheckTensor("dDst", dDst, k.spec.Dst)); err != nil {
		return err
	}
	C.dml_copy_backward(k.ptr, ptr(dSrc.Data), ptr(dDst.Data))
	return nil
}

type concat struct {
	planned
	spec   kernel.ConcatSpec
	pieces []*C.dml_copy
}

// Concat plans a concatenation of channels.
func (e *engine) Concat(s kernel.ConcatSpec) (kernel.Concat, error) {
	if err := e.planning("a concatenation", s.Validate()); err != nil {
		return nil, err
	}
	s.Srcs = slices.Clone(s.Srcs)
	k := &concat{planned: planned{e, fmt.Sprintf("concatenation of %d sources to %v", len(s.Srcs), s.Dst)}, spec: s}
	dst, front := cdesc(s.Dst), 0
	for _, d := range s.Srcs {
		src := cdesc(d)
		piece := C.dml_concat_plan(e.ptr, &dst, &src, C.int64_t(front))
		if piece == nil {
			return nil, k.fail("planning", kernel.ErrMemory)
		}
		k.pieces = append(k.pieces, piece)
		front += d.C
	}
	return k, nil
}

func (k *concat) Forward(dst kernel.Tensor, srcs ...kernel.Tensor) error {
	if err := k.check("forward pass",
		kernel.CheckTensor("dst", dst, k.spec.Dst),
		k.spec.CheckSources(srcs)); err != nil {
		return err
	}
	for i, p := range k.pieces {
		C.dml_copy_forward(p, ptr(dst.Data), ptr(srcs[i].Data))
	}
	return nil
}

func (k *concat) Backward(source int, dSrc, dDst kernel.Tensor) error {
	if err := k.check("gradient",
		k.spec.CheckSource(source, dSrc),
		kernel.CheckTensor("dDst", dDst, k.spec.Dst)); err != nil {
		return err
	}
	C.dml_copy_backward(k.pieces[source], ptr(dSrc.Data), ptr(dDst.Data))
	return nil
}

type reorder struct {
	planned
	dst, src kernel.Desc
	plan     *C.dml_plan
}

// Reorder plans a copy between layouts.
func (e *engine) Reorder(dst, src kernel.Desc) (kernel.Reorder, error) {
	if err := e.planning("a reorder", kernel.ValidateReorder(dst, src)); err != nil {
		return nil, err
	}
	r := &reorder{planned: planned{e, fmt.Sprintf("reorder of %v to %v", src, dst)}, dst: dst, src: src}
	// A matrix is planned with the extents of the activation: its values lie
	// in the same order.
	from, to := src, dst
	if from.As(to.Layout) != to {
		from = to
	}
	cfrom, cto := cdesc(from), cdesc(to)
	var plan *C.dml_plan
	if err := r.planDone("planning", C.dml_reorder_plan(e.ptr, &cto, &cfrom, &plan)); err != nil {
		return nil, err
	}
	r.plan = plan
	return r, nil
}

func (r *reorder) Run(dst, src kernel.Tensor) error {
	const what = "run"
	if err := r.check(what,
		kernel.CheckTensor("dst", dst, r.dst),
		kernel.CheckTensor("src", src, r.src)); err != nil {
		return err
	}
	return r.done(what, C.dml_reorder_run(r.plan, ptr(dst.Data), ptr(src.Data)))
}
