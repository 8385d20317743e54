//go:build cgo && (linux || darwin)

package onednn

// #include "shim.h"
import "C"

import (
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type dense struct {
	planned
	spec           kernel.DenseSpec
	src, dst       kernel.Desc
	batch, in, out C.int64_t
}

// Dense plans a fully connected layer.
func (e *engine) Dense(s kernel.DenseSpec) (kernel.Dense, error) {
	if err := e.planning("a dense layer", s.Validate()); err != nil {
		return nil, err
	}
	return &dense{
		planned: planned{e, fmt.Sprintf("dense layer %dx%d to %d", s.Batch, s.In, s.Out)},
		spec:    s,
		src:     kernel.Matrix(s.Batch, s.In),
		dst:     kernel.Matrix(s.Batch, s.Out),
		batch:   C.int64_t(s.Batch),
		in:      C.int64_t(s.In),
		out:     C.int64_t(s.Out),
	}, nil
}

// biases is the length of the bias.
func (d *dense) biases() int {
	if d.spec.Bias {
		return d.spec.Out
	}
	return 0
}

func (d *dense) Forward(dst, src kernel.Tensor, weights, bias []float32) error {
	const what = "forward pass"
	if err := d.check(what,
		kernel.CheckTensor("dst", dst, d.dst),
		kernel.CheckTensor("src", src, d.src),
		kernel.CheckSlice("weights", weights, d.spec.Out*d.spec.In),
		kernel.CheckSlice("bias", bias, d.biases())); err != nil {
		return err
	}
	return d.done(what, C.dml_dense_forward(d.eng.ptr, d.batch, d.in, d.out,
		ptr(dst.Data), ptr(src.Data), ptr(weights), ptr(bias)))
}

func (d *dense) BackwardData(dSrc, dDst kernel.Tensor, weights []float32) error {
	const what = "data gradient"
	if err := d.check(what,
		kernel.CheckTensor("dSrc", dSrc, d.src),
		kernel.CheckTensor("dDst", dDst, d.dst),
		kernel.CheckSlice("weights", weights, d.spec.Out*d.spec.In)); err != nil {
		return err
	}
	return d.done(what, C.dml_dense_backward_data(d.eng.ptr, d.batch, d.in, d.out,
		ptr(dSrc.Data), ptr(dDst.Data), ptr(weights)))
}

func (d *dense) BackwardWeights(dWeights, dBias []float32, src, dDst kernel.Tensor) error {
	const what = "weight gradient"
	biases := 0
	if dBias != nil {
		biases = d.biases()
	}
	if err := d.check(what,
		kernel.CheckSlice("dWeights", dWeights, d.spec.Out*d.spec.In),
		kernel.CheckSlice("dBias", dBias, biases),
		kernel.CheckTensor("src", src, d.src),
		kernel.CheckTensor("dDst", dDst, d.dst)); err != nil {
		return err
	}
	return d.done(what, C.dml_dense_backward_weights(d.eng.ptr, d.batch, d.in, d.out,
		ptr(dWeights), ptr(dBias), ptr(src.Data), ptr(dDst.Data)))
}
