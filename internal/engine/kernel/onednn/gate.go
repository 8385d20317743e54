//go:build cgo && (linux || darwin)

package onednn

// #include "shim.h"
import "C"

import (
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type sigmoid struct {
	planned
	desc  kernel.Desc
	cdesc C.dml_desc
	size  C.int64_t
	hard  C.int
}

// Sigmoid plans a sigmoid.
func (e *engine) Sigmoid(s kernel.SigmoidSpec) (kernel.Sigmoid, error) {
	if err := e.planning("a sigmoid", s.Validate()); err != nil {
		return nil, err
	}
	return &sigmoid{
		planned: planned{e, fmt.Sprintf("sigmoid of %v", s.Desc)},
		desc:    s.Desc,
		cdesc:   cdesc(s.Desc),
		size:    C.int64_t(s.Desc.Size()),
		hard:    cbool(s.Hard),
	}, nil
}

func (k *sigmoid) Forward(dst, src kernel.Tensor) error {
	if err := k.check("forward pass",
		kernel.CheckTensor("dst", dst, k.desc),
		kernel.CheckTensor("src", src, k.desc)); err != nil {
		return err
	}
	C.dml_sigmoid(k.eng.ptr, &k.cdesc, k.hard, ptr(dst.Data), ptr(src.Data))
	return nil
}

func (k *sigmoid) Backward(dSrc, dDst, dst kernel.Tensor) error {
	if err := k.check("gradient",
		kernel.CheckTensor("dSrc", dSrc, k.desc),
		kernel.CheckTensor("dDst", dDst, k.desc),
		kernel.CheckTensor("dst", dst, k.desc)); err != nil {
		return err
	}
	C.dml_sigmoid_backward(k.eng.ptr, k.size, k.hard, ptr(dSrc.Data), ptr(dDst.Data), ptr(dst.Data))
	return nil
}

type multiply struct {
	planned
	spec  kernel.MultiplySpec
	cdesc C.dml_desc
	size  C.int64_t
}

// Multiply plans a multiplication.
func (e *engine) Multiply(s kernel.MultiplySpec) (kernel.Multiply, error) {
	if err := e.planning("a multiplication", s.Validate()); err != nil {
		return nil, err
	}
	return &multiply{
		planned: planned{e, fmt.Sprintf("multiplication of %v by %v", s.Desc, s.Factor())},
		spec:    s,
		cdesc:   cdesc(s.Desc),
		size:    C.int64_t(s.Desc.Size()),
	}, nil
}

func (k *multiply) Forward(dst, a, b kernel.Tensor) error {
	if err := k.check("forward pass",
		kernel.CheckTensor("dst", dst, k.spec.Desc),
		kernel.CheckTensor("a", a, k.spec.Desc),
		kernel.CheckTensor("b", b, k.spec.Factor())); err != nil {
		return err
	}
	if k.spec.Gate {
		C.dml_gate(k.eng.ptr, &k.cdesc, ptr(dst.Data), ptr(a.Data), ptr(b.Data))
	} else {
		C.dml_multiply(k.eng.ptr, k.size, ptr(dst.Data), ptr(a.Data), ptr(b.Data))
	}
	return nil
}

func (k *multiply) BackwardFactor(dB, dDst, a kernel.Tensor) error {
	if err := k.check("gradient",
		kernel.CheckTensor("dB", dB, k.spec.Factor()),
		kernel.CheckTensor("dDst", dDst, k.spec.Desc),
		kernel.CheckTensor("a", a, k.spec.Desc)); err != nil {
		return err
	}
	if k.spec.Gate {
		C.dml_gate_backward(k.eng.ptr, &k.cdesc, ptr(dB.Data), ptr(dDst.Data), ptr(a.Data))
	} else {
		C.dml_multiply(k.eng.ptr, k.size, ptr(dB.Data), ptr(dDst.Data), ptr(a.Data))
	}
	return nil
}
