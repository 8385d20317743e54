package ref

import (
	"errors"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type subsample struct{ kernel.SubsampleSpec }

func (*engine) Subsample(spec kernel.SubsampleSpec) (kernel.Subsample, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return &subsample{spec}, nil
}

// each calls f with the position in Src and in Dst of every value that is
// taken.
func (k *subsample) each(f func(src, dst int)) {
	for n := range k.Src.N {
		for c := range k.Src.C {
			for y := range k.Dst.H {
				for x := range k.Dst.W {
					f(k.Src.Index(n, c, y*k.Stride, x*k.Stride), k.Dst.Index(n, c+k.Front, y, x))
				}
			}
		}
	}
}

func (k *subsample) Forward(dst, src kernel.Tensor) error {
	if err := errors.Join(kernel.CheckTensor("dst", dst, k.Dst), kernel.CheckTensor("src", src, k.Src)); err != nil {
		return err
	}
	clear(dst.Data)
	k.each(func(s, d int) { dst.Data[d] = src.Data[s] })
	return nil
}

func (k *subsample) Backward(dSrc, dDst kernel.Tensor) error {
	if err := errors.Join(kernel.CheckTensor("dSrc", dSrc, k.Src), kernel.CheckTensor("dDst", dDst, k.Dst)); err != nil {
		return err
	}
	clear(dSrc.Data)
	k.each(func(s, d int) { dSrc.Data[s] = dDst.Data[d] })
	return nil
}
