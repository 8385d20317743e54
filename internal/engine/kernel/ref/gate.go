package ref

import (
	"errors"
	"math"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type sigmoid struct{ kernel.SigmoidSpec }

func (*engine) Sigmoid(spec kernel.SigmoidSpec) (kernel.Sigmoid, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return &sigmoid{spec}, nil
}

func (k *sigmoid) Forward(dst, src kernel.Tensor) error {
	if err := errors.Join(kernel.CheckTensor("dst", dst, k.Desc), kernel.CheckTensor("src", src, k.Desc)); err != nil {
		return err
	}
	for i, v := range src.Data {
		x := float64(v)
		if k.Hard {
			dst.Data[i] = float32(min(max(x/6+0.5, 0), 1))
		} else {
			dst.Data[i] = float32(1 / (1 + math.Exp(-x)))
		}
	}
	clearPadding(dst)
	return nil
}

func (k *sigmoid) Backward(dSrc, dDst, dst kernel.Tensor) error {
	err := errors.Join(
		kernel.CheckTensor("dSrc", dSrc, k.Desc),
		kernel.CheckTensor("dDst", dDst, k.Desc),
		kernel.CheckTensor("dst", dst, k.Desc))
	if err != nil {
		return err
	}
	for i, g := range dDst.Data {
		y, slope := float64(dst.Data[i]), 0.0
		switch {
		case !k.Hard:
			slope = y * (1 - y)
		case 0 < y && y < 1:
			slope = 1. / 6
		}
		dSrc.Data[i] = float32(float64(g) * slope)
	}
	return nil
}

type multiply struct{ kernel.MultiplySpec }

func (*engine) Multiply(spec kernel.MultiplySpec) (kernel.Multiply, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return &multiply{spec}, nil
}

// each calls f with the position of every value of a, and of its factor in b.
func (k *multiply) each(f func(a, b int)) {
	for n := range k.Desc.N {
		for c := range k.Desc.C {
			start, step := plane(k.Desc, n, c)
			for p := range k.Desc.H * k.Desc.W {
				a, b := start+p*step, start+p*step
				if k.Gate {
					b = n*k.Desc.C + c
				}
				f(a, b)
			}
		}
	}
}

func (k *multiply) Forward(dst, a, b kernel.Tensor) error {
	err := errors.Join(
		kernel.CheckTensor("dst", dst, k.Desc),
		kernel.CheckTensor("a", a, k.Desc),
		kernel.CheckTensor("b", b, k.Factor()))
	if err != nil {
		return err
	}
	k.each(func(i, j int) { dst.Data[i] = a.Data[i] * b.Data[j] })
	clearPadding(dst)
	return nil
}

func (k *multiply) BackwardFactor(dB, dDst, a kernel.Tensor) error {
	err := errors.Join(
		kernel.CheckTensor("dB", dB, k.Factor()),
		kernel.CheckTensor("dDst", dDst, k.Desc),
		kernel.CheckTensor("a", a, k.Desc))
	if err != nil {
		return err
	}
	sum := make([]float64, len(dB.Data))
	k.each(func(i, j int) { sum[j] += float64(dDst.Data[i]) * float64(a.Data[i]) })
	for i, v := range sum {
		dB.Data[i] = float32(v)
	}
	return nil
}
