package ref

import (
	"errors"
	"math"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type softmax struct {
	kernel.SoftmaxSpec
	desc kernel.Desc
}

func (*engine) Softmax(spec kernel.SoftmaxSpec) (kernel.Softmax, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return &softmax{spec, kernel.Matrix(spec.Rows, spec.Cols)}, nil
}

// row returns row r of a matrix.
func (k *softmax) row(t kernel.Tensor, r int) []float32 { return t.Data[r*k.Cols : (r+1)*k.Cols] }

func (k *softmax) Forward(dst, src kernel.Tensor) error {
	if err := errors.Join(kernel.CheckTensor("dst", dst, k.desc), kernel.CheckTensor("src", src, k.desc)); err != nil {
		return err
	}
	for r := range k.Rows {
		x, y := k.row(src, r), k.row(dst, r)
		peak, sum := math.Inf(-1), 0.0
		for _, v := range x {
			peak = max(peak, float64(v))
		}
		for _, v := range x {
			sum += math.Exp(float64(v) - peak)
		}
		for i, v := range x {
			if shifted := float64(v) - peak; k.Log {
				y[i] = float32(shifted - math.Log(sum))
			} else {
				y[i] = float32(math.Exp(shifted) / sum)
			}
		}
	}
	return nil
}

// Backward is dx = dy - softmax(x) sum dy of the logarithm, else
// dx = y (dy - sum dy y).
func (k *softmax) Backward(dSrc, dDst, dst kernel.Tensor) error {
	err := errors.Join(
		kernel.CheckTensor("dSrc", dSrc, k.desc),
		kernel.CheckTensor("dDst", dDst, k.desc),
		kernel.CheckTensor("dst", dst, k.desc))
	if err != nil {
		return err
	}
	for r := range k.Rows {
		dx, dy, y := k.row(dSrc, r), k.row(dDst, r), k.row(dst, r)
		var sum, product float64
		for i, g := range dy {
			sum += float64(g)
			product += float64(g) * float64(y[i])
		}
		for i, g := range dy {
			if k.Log {
				dx[i] = float32(float64(g) - math.Exp(float64(y[i]))*sum)
			} else {
				dx[i] = float32(float64(y[i]) * (float64(g) - product))
			}
		}
	}
	return nil
}
