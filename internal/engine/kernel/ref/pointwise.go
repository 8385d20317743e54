package ref

import (
	"errors"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// add needs no care for channel padding: 0 + 0 is 0 and a valid activation
// keeps 0.
type add struct{ kernel.AddSpec }

func (*engine) Add(spec kernel.AddSpec) (kernel.Add, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	spec.Act = copyClip(spec.Act)
	return &add{spec}, nil
}

func (k *add) Forward(dst, a, b kernel.Tensor) error {
	err := errors.Join(
		kernel.CheckTensor("dst", dst, k.Desc),
		kernel.CheckTensor("a", a, k.Desc),
		kernel.CheckTensor("b", b, k.Desc))
	if err != nil {
		return err
	}
	for i := range dst.Data {
		dst.Data[i] = clip(k.Act, a.Data[i]+b.Data[i])
	}
	return nil
}

func (k *add) Backward(dSrc, dDst, dst kernel.Tensor) error {
	err := errors.Join(kernel.CheckTensor("dSrc", dSrc, k.Desc), kernel.CheckTensor("dDst", dDst, k.Desc))
	if k.Act != nil {
		err = errors.Join(err, kernel.CheckTensor("dst", dst, k.Desc))
	}
	if err != nil {
		return err
	}
	if k.Act == nil {
		copy(dSrc.Data, dDst.Data)
		return nil
	}
	maskGradient(dSrc, dDst, dst, k.Act)
	return nil
}

type activation struct{ kernel.ActivationSpec }

func (*engine) Activation(spec kernel.ActivationSpec) (kernel.Activation, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	return &activation{spec}, nil
}

func (k *activation) Forward(dst, src kernel.Tensor) error {
	if err := errors.Join(kernel.CheckTensor("dst", dst, k.Desc), kernel.CheckTensor("src", src, k.Desc)); err != nil {
		return err
	}
	for i, v := range src.Data {
		dst.Data[i] = clip(&k.Act, v)
	}
	return nil
}

func (k *activation) Backward(dSrc, dDst, dst kernel.Tensor) error {
	err := errors.Join(
		kernel.CheckTensor("dSrc", dSrc, k.Desc),
		kernel.CheckTensor("dDst", dDst, k.Desc),
		kernel.CheckTensor("dst", dst, k.Desc))
	if err != nil {
		return err
	}
	maskGradient(dSrc, dDst, dst, &k.Act)
	return nil
}

// maskGradient copies the gradient where the output y lies between the bounds,
// and sets it to zero elsewhere.
func maskGradient(dSrc, dDst, y kernel.Tensor, act *kernel.Clip) {
	for i, g := range dDst.Data {
		if !passes(act, y.Data[i]) {
			g = 0
		}
		dSrc.Data[i] = g
	}
}
