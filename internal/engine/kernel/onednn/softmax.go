//go:build cgo && (linux || darwin)

package onednn

// #include "shim.h"
import "C"

import (
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type softmax struct {
	planned
	desc       kernel.Desc
	rows, cols C.int64_t
	log        C.int
}

// Softmax plans a softmax or log-softmax.
func (e *engine) Softmax(s kernel.SoftmaxSpec) (kernel.Softmax, error) {
	if err := e.planning("a softmax", s.Validate()); err != nil {
		return nil, err
	}
	return &softmax{
		planned: planned{e, fmt.Sprintf("softmax of %dx%d", s.Rows, s.Cols)},
		desc:    kernel.Matrix(s.Rows, s.Cols),
		rows:    C.int64_t(s.Rows),
		cols:    C.int64_t(s.Cols),
		log:     cbool(s.Log),
	}, nil
}

func (k *softmax) Forward(dst, src kernel.Tensor) error {
	if err := k.check("forward pass",
		kernel.CheckTensor("dst", dst, k.desc),
		kernel.CheckTensor("src", src, k.desc)); err != nil {
		return err
	}
	C.dml_softmax(k.eng.ptr, k.rows, k.cols, k.log, ptr(dst.Data), ptr(src.Data))
	return nil
}

func (k *softmax) Backward(dSrc, dDst, dst kernel.Tensor) error {
	if err := k.check("gradient",
		kernel.CheckTensor("dSrc", dSrc, k.desc),
		kernel.CheckTensor("dDst", dDst, k.desc),
		kernel.CheckTensor("dst", dst, k.desc)); err != nil {
		return err
	}
	C.dml_softmax_backward(k.eng.ptr, k.rows, k.cols, k.log, ptr(dSrc.Data), ptr(dDst.Data), ptr(dst.Data))
	return nil
}
