//go:build cgo && (linux || darwin)

package onednn

// #include "shim.h"
import "C"

import (
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type add struct {
	planned
	desc   kernel.Desc
	size   C.int64_t
	act    C.int
	lo, hi C.float
}

// Add plans an addition.
func (e *engine) Add(s kernel.AddSpec) (kernel.Add, error) {
	if err := e.planning("an addition", s.Validate()); err != nil {
		return nil, err
	}
	a := &add{
		planned: planned{e, fmt.Sprintf("addition of %v", s.Desc)},
		desc:    s.Desc,
		size:    C.int64_t(s.Desc.Size()),
	}
	a.act, a.lo, a.hi = clipArgs(s.Act)
	return a, nil
}

func (a *add) Forward(dst, x, y kernel.Tensor) error {
	if err := a.check("forward pass",
		kernel.CheckTensor("dst", dst, a.desc),
		kernel.CheckTensor("a", x, a.desc),
		kernel.CheckTensor("b", y, a.desc)); err != nil {
		return err
	}
	C.dml_add(a.eng.ptr, a.size, ptr(dst.Data), ptr(x.Data), ptr(y.Data), a.act, a.lo, a.hi)
	return nil
}

func (a *add) Backward(dSrc, dDst, dst kernel.Tensor) error {
	const what = "gradient"
	if err := a.check(what,
		kernel.CheckTensor("dSrc", dSrc, a.desc),
		kernel.CheckTensor("dDst", dDst, a.desc)); err != nil {
		return err
	}
	if a.act == 0 {
		C.dml_copy_flat(a.eng.ptr, a.size, ptr(dSrc.Data), ptr(dDst.Data))
		return nil
	}
	if err := a.check(what, kernel.CheckTensor("dst", dst, a.desc)); err != nil {
		return err
	}
	C.dml_clip_backward(a.eng.ptr, a.size, ptr(dSrc.Data), ptr(dDst.Data), ptr(dst.Data), a.lo, a.hi)
	return nil
}

type activation struct {
	planned
	desc   kernel.Desc
	size   C.int64_t
	lo, hi C.float
}

// Activation plans an activation.
func (e *engine) Activation(s kernel.ActivationSpec) (kernel.Activation, error) {
	if err := e.planning("an activation", s.Validate()); err != nil {
		return nil, err
	}
	return &activation{
		planned: planned{e, fmt.Sprintf("activation of %v", s.Desc)},
		desc:    s.Desc,
		size:    C.int64_t(s.Desc.Size()),
		lo:      C.float(s.Act.Lo),
		hi:      C.float(s.Act.Hi),
	}, nil
}

func (a *activation) Forward(dst, src kernel.Tensor) error {
	if err := a.check("forward pass",
		kernel.CheckTensor("dst", dst, a.desc),
		kernel.CheckTensor("src", src, a.desc)); err != nil {
		return err
	}
	C.dml_clip(a.eng.ptr, a.size, ptr(dst.Data), ptr(src.Data), a.lo, a.hi)
	return nil
}

func (a *activation) Backward(dSrc, dDst, dst kernel.Tensor) error {
	if err := a.check("gradient",
		kernel.CheckTensor("dSrc", dSrc, a.desc),
		kernel.CheckTensor("dDst", dDst, a.desc),
		kernel.CheckTensor("dst", dst, a.desc)); err != nil {
		return err
	}
	C.dml_clip_backward(a.eng.ptr, a.size, ptr(dSrc.Data), ptr(dDst.Data), ptr(dst.Data), a.lo, a.hi)
	return nil
}

type dropout struct {
	planned
	desc      kernel.Desc
	cdesc     C.dml_desc
	threshold C.uint32_t
	scale     C.float
}

// Dropout plans a dropout.
func (e *engine) Dropout(s kernel.DropoutSpec) (kernel.Dropout, error) {
	if err := e.planning("a dropout", s.Validate()); err != nil {
		return nil, err
	}
	return &dropout{
		planned:   planned{e, fmt.Sprintf("dropout of %v", s.Desc)},
		desc:      s.Desc,
		cdesc:     cdesc(s.Desc),
		threshold: C.uint32_t(s.Threshold()),
		scale:     C.float(s.Scale()),
	}, nil
}

func (d *dropout) Run(dst, src kernel.Tensor, key uint64) error {
	if err := d.check("run",
		kernel.CheckTensor("dst", dst, d.desc),
		kernel.CheckTensor("src", src, d.desc)); err != nil {
		return err
	}
	C.dml_dropout(d.eng.ptr, &d.cdesc, ptr(dst.Data), ptr(src.Data), C.uint64_t(key), d.threshold, d.scale)
	return nil
}
