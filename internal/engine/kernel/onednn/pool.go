//go:build cgo && (linux || darwin)

package onednn

// #include "shim.h"
import "C"

import (
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type pool struct {
	planned
	spec              kernel.PoolSpec
	forward, backward *C.dml_plan
	ran               bool // Forward has run
}

// Pool plans a pooling.
func (e *engine) Pool(s kernel.PoolSpec) (kernel.Pool, error) {
	if err := e.planning("a pooling", s.Validate()); err != nil {
		return nil, err
	}
	p := &pool{
		planned: planned{e, fmt.Sprintf("pooling %dx%d of %v to %v", s.KernelH, s.KernelW, s.Src, s.Dst)},
		spec:    s,
	}
	g := C.dml_pool_geometry{
		src:        cdesc(s.Src),
		dst:        cdesc(s.Dst),
		kernel:     pair(s.KernelH, s.KernelW),
		stride:     pair(s.StrideH, s.StrideW),
		pad_before: pair(s.Pad.Top, s.Pad.Left),
		pad_after:  pair(s.Pad.Bottom, s.Pad.Right),
		max:        cbool(s.Max),
		count_pad:  cbool(s.CountPad),
	}
	var pass C.enum_dml_pass = C.DML_FORWARD
	if s.ForwardOnly {
		pass = C.DML_INFERENCE
	}
	var plan *C.dml_plan
	if err := p.planDone("planning the forward pass", C.dml_pool_plan(e.ptr, &g, pass, nil, &plan)); err != nil {
		return nil, err
	}
	p.forward = plan
	if s.ForwardOnly {
		return p, nil
	}
	if err := p.planDone("planning the gradient", C.dml_pool_plan(e.ptr, &g, C.DML_BACKWARD_DATA, p.forward, &plan)); err != nil {
		return nil, err
	}
	p.backward = plan
	return p, nil
}

func (p *pool) Forward(dst, src kernel.Tensor) error {
	const what = "forward pass"
	if err := p.check(what,
		kernel.CheckTensor("dst", dst, p.spec.Dst),
		kernel.CheckTensor("src", src, p.spec.Src)); err != nil {
		return err
	}
	err := p.done(what, C.dml_pool_forward(p.forward, ptr(dst.Data), ptr(src.Data)))
	p.ran = err == nil
	return err
}

func (p *pool) Backward(dSrc, dDst kernel.Tensor) error {
	const what = "gradient"
	if p.backward == nil {
		return p.fail(what, errNotPlanned)
	}
	if p.spec.Max && !p.ran {
		return p.fail(what, errNoForward)
	}
	if err := p.check(what,
		kernel.CheckTensor("dSrc", dSrc, p.spec.Src),
		kernel.CheckTensor("dDst", dDst, p.spec.Dst)); err != nil {
		return err
	}
	return p.done(what, C.dml_pool_backward(p.backward, p.forward, ptr(dSrc.Data), ptr(dDst.Data)))
}

type globalAvgPool struct {
	planned
	src, dst kernel.Desc
	desc     C.dml_desc
}

// GlobalAvgPool plans a mean over H and W.
func (e *engine) GlobalAvgPool(src kernel.Desc) (kernel.GlobalAvgPool, error) {
	if err := e.planning("a global average pooling", kernel.ValidateGlobalAvgPool(src)); err != nil {
		return nil, err
	}
	return &globalAvgPool{
		planned: planned{e, fmt.Sprintf("global average pooling of %v", src)},
		src:     src,
		dst:     kernel.Matrix(src.N, src.C),
		desc:    cdesc(src),
	}, nil
}

func (p *globalAvgPool) Forward(dst, src kernel.Tensor) error {
	if err := p.check("forward pass",
		kernel.CheckTensor("dst", dst, p.dst),
		kernel.CheckTensor("src", src, p.src)); err != nil {
		return err
	}
	C.dml_mean(p.eng.ptr, &p.desc, ptr(dst.Data), ptr(src.Data))
	return nil
}

func (p *globalAvgPool) Backward(dSrc, dDst kernel.Tensor) error {
	if err := p.check("gradient",
		kernel.CheckTensor("dSrc", dSrc, p.src),
		kernel.CheckTensor("dDst", dDst, p.dst)); err != nil {
		return err
	}
	C.dml_mean_backward(p.eng.ptr, &p.desc, ptr(dSrc.Data), ptr(dDst.Data))
	return nil
}
