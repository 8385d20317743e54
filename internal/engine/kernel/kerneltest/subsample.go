package kerneltest

import (
	"fmt"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

var subsampleCases = []struct {
	n, in, h, w, out, stride, front int
}{
	{2, 16, 8, 8, 32, 2, 8},
	{1, 8, 7, 9, 16, 2, 4},
	{2, 5, 5, 5, 11, 2, 3},
	{1, 17, 6, 5, 24, 3, 7},
	{2, 32, 8, 8, 64, 2, 16},
	{1, 16, 4, 4, 16, 1, 0},
	{2, 3, 9, 4, 20, 2, 0},
	{1, 16, 4, 4, 40, 2, 24},
}

func subsampleProblem(s kernel.SubsampleSpec) *problem {
	p := &problem{
		name:     fmt.Sprintf("subsample %v to %v, stride %d, front %d", s.Src, s.Dst, s.Stride, s.Front),
		operands: []operand{{name: "src", desc: s.Src, grad: true}},
		output:   s.Dst,
		exact:    true,
		step:     linearStep,
		slack:    linearSlack,
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.Subsample(s)
		if err != nil {
			return runner{}, err
		}
		return runner{
			forward: func(out kernel.Tensor, in []kernel.Tensor) error { return k.Forward(out, in[0]) },
			backward: func(grads []kernel.Tensor, dOut, out kernel.Tensor, in []kernel.Tensor) error {
				return k.Backward(grads[0], dOut)
			},
		}, nil
	}
	return p
}

func (s *suite) testSubsample(t *testing.T) {
	for _, c := range subsampleCases {
		s.each(t, func(place placement) *problem {
			return subsampleProblem(kernel.SubsampleSpec{
				Src:    place(kernel.Desc{N: c.n, C: c.in, H: c.h, W: c.w}),
				Dst:    place(kernel.Desc{N: c.n, C: c.out, H: (c.h + c.stride - 1) / c.stride, W: (c.w + c.stride - 1) / c.stride}),
				Stride: c.stride, Front: c.front,
			})
		}, s.check)
	}
}

func reorderProblem(dst, src kernel.Desc) *problem {
	return &problem{
		name:     fmt.Sprintf("reorder %v to %v", src, dst),
		operands: []operand{{name: "src", desc: src}},
		output:   dst,
		exact:    true,
		plan: func(e kernel.Engine) (runner, error) {
			k, err := e.Reorder(dst, src)
			if err != nil {
				return runner{}, err
			}
			return runner{forward: func(out kernel.Tensor, in []kernel.Tensor) error { return k.Run(out, in[0]) }}, nil
		},
	}
}

// testReorder covers every pair of layouts, and matrices.
func (s *suite) testReorder(t *testing.T) {
	layouts := []kernel.Layout{kernel.NCHW, kernel.NHWC, kernel.NChw8c, kernel.NChw16c}
	run := func(dst, src kernel.Desc) {
		s.each(t, func(placement) *problem { return reorderProblem(dst, src) }, s.check)
	}
	for _, d := range []kernel.Desc{
		{N: 1, C: 3, H: 5, W: 7}, {N: 2, C: 17, H: 3, W: 4}, {N: 3, C: 24, H: 2, W: 2}, {N: 2, C: 32, H: 1, W: 1},
	} {
		for _, from := range layouts {
			for _, to := range layouts {
				run(d.As(to), d.As(from))
			}
		}
		if d.H*d.W > 1 { // otherwise the matrix has the same Desc
			m := kernel.Matrix(d.N, d.C*d.H*d.W)
			run(m, d)
			run(d, m)
		}
	}
}
