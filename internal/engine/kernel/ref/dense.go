package ref

import (
	"errors"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type dense struct {
	kernel.DenseSpec
	engine   *engine
	src, dst kernel.Desc
	// sums holds one row of the data gradient for each worker.
	sums [][]float64
}

func (e *engine) Dense(spec kernel.DenseSpec) (kernel.Dense, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	k := &dense{
		DenseSpec: spec,
		engine:    e,
		src:       kernel.Matrix(spec.Batch, spec.In),
		dst:       kernel.Matrix(spec.Batch, spec.Out),
		sums:      make([][]float64, e.threads),
	}
	for t := range k.sums {
		k.sums[t] = make([]float64, spec.In)
	}
	return k, nil
}

func (k *dense) Forward(dst, src kernel.Tensor, weights, bias []float32) error {
	err := errors.Join(
		kernel.CheckTensor("dst", dst, k.dst),
		kernel.CheckTensor("src", src, k.src),
		kernel.CheckSlice("weights", weights, k.Out*k.In),
		checkBias(k.Bias, bias, k.Out))
	if err != nil {
		return err
	}
	k.engine.parallel(k.Batch, func(_, n int) {
		row := src.Data[n*k.In : (n+1)*k.In]
		for o := range k.Out {
			sum := 0.0
			if k.Bias {
				sum = float64(bias[o])
			}
			for i, w := range weights[o*k.In : (o+1)*k.In] {
				sum += float64(w) * float64(row[i])
			}
			dst.Data[n*k.Out+o] = float32(sum)
		}
	})
	return nil
}

func (k *dense) BackwardData(dSrc, dDst kernel.Tensor, weights []float32) error {
	err := errors.Join(
		kernel.CheckTensor("dSrc", dSrc, k.src),
		kernel.CheckTensor("dDst", dDst, k.dst),
		kernel.CheckSlice("weights", weights, k.Out*k.In))
	if err != nil {
		return err
	}
	k.engine.parallel(k.Batch, func(worker, n int) {
		sums := k.sums[worker]
		clear(sums)
		for o := range k.Out {
			g := float64(dDst.Data[n*k.Out+o])
			for i, w := range weights[o*k.In : (o+1)*k.In] {
				sums[i] += g * float64(w)
			}
		}
		for i, s := range sums {
			dSrc.Data[n*k.In+i] = float32(s)
		}
	})
	return nil
}

func (k *dense) BackwardWeights(dWeights, dBias []float32, src, dDst kernel.Tensor) error {
	err := errors.Join(
		kernel.CheckSlice("dWeights", dWeights, k.Out*k.In),
		kernel.CheckTensor("src", src, k.src),
		kernel.CheckTensor("dDst", dDst, k.dst))
	if dBias != nil {
		err = errors.Join(err, checkBias(k.Bias, dBias, k.Out))
	}
	if err != nil {
		return err
	}
	k.engine.parallel(k.Out, func(worker, o int) {
		sums := k.sums[worker]
		clear(sums)
		for n := range k.Batch {
			g := float64(dDst.Data[n*k.Out+o])
			for i, x := range src.Data[n*k.In : (n+1)*k.In] {
				sums[i] += g * float64(x)
			}
		}
		for i, s := range sums {
			dWeights[o*k.In+i] = float32(s)
		}
		if dBias != nil {
			dBias[o] = sumChannel(dDst, o)
		}
	})
	return nil
}
