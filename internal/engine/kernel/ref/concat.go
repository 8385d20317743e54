package ref

import (
	"errors"
	"slices"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type concat struct{ kernel.ConcatSpec }

func (*engine) Concat(spec kernel.ConcatSpec) (kernel.Concat, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	spec.Srcs = slices.Clone(spec.Srcs)
	return &concat{spec}, nil
}

// each calls f with the position of every value of a source, in that source
// and in Dst.
func (k *concat) each(source int, f func(src, dst int)) {
	front := 0
	for _, s := range k.Srcs[:source] {
		front += s.C
	}
	d := k.Srcs[source]
	for n := range d.N {
		for c := range d.C {
			for y := range d.H {
				for x := range d.W {
					f(d.Index(n, c, y, x), k.Dst.Index(n, front+c, y, x))
				}
			}
		}
	}
}

func (k *concat) Forward(dst kernel.Tensor, srcs ...kernel.Tensor) error {
	if err := errors.Join(kernel.CheckTensor("dst", dst, k.Dst), k.CheckSources(srcs)); err != nil {
		return err
	}
	clear(dst.Data)
	for i, src := range srcs {
		k.each(i, func(s, d int) { dst.Data[d] = src.Data[s] })
	}
	return nil
}

func (k *concat) Backward(source int, dSrc, dDst kernel.Tensor) error {
	if err := errors.Join(k.CheckSource(source, dSrc), kernel.CheckTensor("dDst", dDst, k.Dst)); err != nil {
		return err
	}
	clear(dSrc.Data)
	k.each(source, func(s, d int) { dSrc.Data[s] = dDst.Data[d] })
	return nil
}
