package ref

import (
	"errors"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type globalAvgPool struct{ src, dst kernel.Desc }

func (*engine) GlobalAvgPool(src kernel.Desc) (kernel.GlobalAvgPool, error) {
	if err := kernel.ValidateGlobalAvgPool(src); err != nil {
		return nil, err
	}
	return &globalAvgPool{src: src, dst: kernel.Matrix(src.N, src.C)}, nil
}

func (k *globalAvgPool) Forward(dst, src kernel.Tensor) error {
	if err := errors.Join(kernel.CheckTensor("dst", dst, k.dst), kernel.CheckTensor("src", src, k.src)); err != nil {
		return err
	}
	for n := range k.src.N {
		for c := range k.src.C {
			start, step := plane(k.src, n, c)
			sum := 0.0
			for p := range k.src.H * k.src.W {
				sum += float64(src.Data[start+p*step])
			}
			dst.Data[n*k.src.C+c] = float32(sum / float64(k.src.H*k.src.W))
		}
	}
	return nil
}

func (k *globalAvgPool) Backward(dSrc, dDst kernel.Tensor) error {
	if err := errors.Join(kernel.CheckTensor("dSrc", dSrc, k.src), kernel.CheckTensor("dDst", dDst, k.dst)); err != nil {
		return err
	}
	for n := range k.src.N {
		for c := range k.src.C {
			start, step := plane(k.src, n, c)
			share := dDst.Data[n*k.src.C+c] / float32(k.src.H*k.src.W)
			for p := range k.src.H * k.src.W {
				dSrc.Data[start+p*step] = share
			}
		}
	}
	clearPadding(dSrc)
	return nil
}
