//go:build cgo && (linux || darwin)

package onednn

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type batchNorm struct {
	planned
	spec kernel.BatchNormSpec
	ptr  *C.dml_norm
	ran  bool // Forward has run
}

// BatchNorm plans a batch normalisation.
func (e *engine) BatchNorm(s kernel.BatchNormSpec) (kernel.BatchNorm, error) {
	if err := e.planning("a batch norm", s.Validate()); err != nil {
		return nil, err
	}
	b := &batchNorm{planned: planned{e, fmt.Sprintf("batch norm of %v", s.Src)}, spec: s}
	desc := cdesc(s.Src)
	if s.Src.H == 1 && s.Src.W == 1 && s.Src.Layout == kernel.NCHW {
		desc.layout = C.DML_NHWC // the same memory, in which a row is many channels
	}
	act, lo, hi := clipArgs(s.Act)
	if b.ptr = C.dml_norm_plan(e.ptr, &desc, C.float(s.Epsilon), cbool(!s.ForwardOnly), act, lo, hi); b.ptr == nil {
		return nil, b.fail("planning", kernel.ErrMemory)
	}
	return b, nil
}

var errNoForward = errors.New("the forward pass has not run")

func (b *batchNorm) Forward(dst, src kernel.Tensor, gamma, beta []float32) error {
	const what = "forward pass"
	if b.spec.ForwardOnly {
		return b.fail(what, errNotPlanned)
	}
	if err := b.check(what,
		kernel.CheckTensor("dst", dst, b.spec.Src),
		kernel.CheckTensor("src", src, b.spec.Src),
		kernel.CheckSlice("gamma", gamma, b.spec.Src.C),
		kernel.CheckSlice("beta", beta, b.spec.Src.C)); err != nil {
		return err
	}
	C.dml_norm_forward(b.ptr, ptr(dst.Data), ptr(src.Data), ptr(gamma), ptr(beta))
	b.ran = true
	return nil
}

// UpdateRunning does nothing before the first Forward, after the engine's
// Close, or on slices that are not one value a channel.
func (b *batchNorm) UpdateRunning(mean, variance []float32) {
	if !b.ran || b.eng.ptr == nil || len(mean) != b.spec.Src.C || len(variance) != b.spec.Src.C {
		return
	}
	C.dml_norm_update(b.ptr, C.float(b.spec.Momentum), ptr(mean), ptr(variance))
}

func (b *batchNorm) Infer(dst, src kernel.Tensor, gamma, beta, mean, variance []float32) error {
	const what = "inference"
	channels := b.spec.Src.C
	if err := b.check(what,
		kernel.CheckTensor("dst", dst, b.spec.Src),
		kernel.CheckTensor("src", src, b.spec.Src),
		kernel.CheckSlice("gamma", gamma, channels),
		kernel.CheckSlice("beta", beta, channels),
		kernel.CheckSlice("mean", mean, channels),
		kernel.CheckSlice("variance", variance, channels)); err != nil {
		return err
	}
	C.dml_norm_infer(b.ptr, ptr(dst.Data), ptr(src.Data), ptr(gamma), ptr(beta), ptr(mean), ptr(variance))
	return nil
}

// Backward recomputes the output from src where an activation needs it, which
// costs less than reading dst.
func (b *batchNorm) Backward(dSrc kernel.Tensor, dGamma, dBeta []float32, dDst, src, dst kernel.Tensor, gamma, beta []float32) error {
	const what = "gradient"
	if b.spec.ForwardOnly {
		return b.fail(what, errNotPlanned)
	}
	if !b.ran {
		return b.fail(what, errNoForward)
	}
	channels := b.spec.Src.C
	if err := b.check(what,
		kernel.CheckTensor("dSrc", dSrc, b.spec.Src),
		kernel.CheckSlice("dGamma", dGamma, channels),
		kernel.CheckSlice("dBeta", dBeta, channels),
		kernel.CheckTensor("dDst", dDst, b.spec.Src),
		kernel.CheckTensor("src", src, b.spec.Src),
		kernel.CheckSlice("gamma", gamma, channels),
		kernel.CheckSlice("beta", beta, channels)); err != nil {
		return err
	}
	if b.spec.Act != nil {
		if err := b.check(what, kernel.CheckTensor("dst", dst, b.spec.Src)); err != nil {
			return err
		}
	}
	C.dml_norm_backward(b.ptr, ptr(dSrc.Data), ptr(dGamma), ptr(dBeta), ptr(dDst.Data), ptr(src.Data))
	return nil
}
