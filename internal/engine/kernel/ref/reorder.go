package ref

import (
	"errors"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type reorder struct{ dst, src kernel.Desc }

func (*engine) Reorder(dst, src kernel.Desc) (kernel.Reorder, error) {
	if err := kernel.ValidateReorder(dst, src); err != nil {
		return nil, err
	}
	return &reorder{dst, src}, nil
}

func (k *reorder) Run(dst, src kernel.Tensor) error {
	if err := errors.Join(kernel.CheckTensor("dst", dst, k.dst), kernel.CheckTensor("src", src, k.src)); err != nil {
		return err
	}
	if k.dst.As(kernel.NCHW) == k.src.As(kernel.NCHW) {
		kernel.Convert(dst, src)
	} else {
		// A matrix and the NCHW activation of its values are the same in memory.
		copy(dst.Data, src.Data)
	}
	return nil
}
