package ref

import (
	"errors"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type dropout struct{ kernel.DropoutSpec }

func (*engine) Dropout(spec kernel.DropoutSpec) (kernel.Dropout, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return &dropout{spec}, nil
}

func (k *dropout) Run(dst, src kernel.Tensor, key uint64) error {
	d := k.Desc
	if err := errors.Join(kernel.CheckTensor("dst", dst, d), kernel.CheckTensor("src", src, d)); err != nil {
		return err
	}
	threshold, scale := k.Threshold(), k.Scale()
	for n := range d.N {
		sample := kernel.SampleKey(key, n)
		for c := range d.C {
			start, step := plane(d, n, c)
			for p := range d.H * d.W {
				at, v := start+p*step, float32(0)
				if kernel.MaskBits(sample, uint32(c*d.H*d.W+p)) >= threshold {
					v = src.Data[at] * scale
				}
				dst.Data[at] = v
			}
		}
	}
	clearPadding(dst)
	return nil
}
