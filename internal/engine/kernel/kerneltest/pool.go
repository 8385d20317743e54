package kerneltest

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// A maximum has a kink where two values meet: drawDistinct keeps values
// gridSpacing apart, and gridStep moves two of them by half of that.
const (
	gridSpacing = 1.0 / 64
	gridStep    = gridSpacing / 4
)

// drawDistinct fills every plane with different multiples of gridSpacing, some
// planes wholly below zero, where padding must not win.
func drawDistinct(rng *rand.Rand, t kernel.Tensor) {
	for n := range t.N {
		for c := range t.C {
			shift := rng.IntN(2) * t.H * t.W
			for i, rank := range rng.Perm(t.H * t.W) {
				t.Data[t.Index(n, c, i/t.W, i%t.W)] = float32(gridSpacing * float64(rank-shift))
			}
		}
	}
}

type poolCase struct {
	n, c, h, w       int
	kernelH, kernelW int
	stride           int
	pad              kernel.Pad
}

var poolCases = []poolCase{
	{2, 16, 8, 8, 2, 2, 2, kernel.Pad{}},
	{1, 3, 7, 5, 3, 3, 2, same(1)},
	{2, 17, 9, 7, 3, 3, 2, kernel.Pad{Bottom: 1, Right: 1}},
	{2, 24, 6, 6, 3, 3, 1, same(1)},
	{1, 5, 7, 8, 2, 3, 2, kernel.Pad{Left: 2, Bottom: 1}},
	{3, 32, 5, 5, 5, 5, 1, kernel.Pad{}},
	{1, 8, 9, 9, 2, 2, 3, kernel.Pad{}},
}

func (c poolCase) spec() kernel.PoolSpec {
	return kernel.PoolSpec{
		Src: kernel.Desc{N: c.n, C: c.c, H: c.h, W: c.w},
		Dst: kernel.Desc{
			N: c.n, C: c.c,
			H: (c.h+c.pad.Top+c.pad.Bottom-c.kernelH)/c.stride + 1,
			W: (c.w+c.pad.Left+c.pad.Right-c.kernelW)/c.stride + 1,
		},
		KernelH: c.kernelH, KernelW: c.kernelW,
		StrideH: c.stride, StrideW: c.stride, Pad: c.pad,
	}
}

func poolProblem(s kernel.PoolSpec) *problem {
	kind := "average"
	if s.Max {
		kind = "max"
	} else if s.CountPad {
		kind = "average with padding"
	}
	if s.ForwardOnly {
		kind += " forward only"
	}
	p := &problem{
		name: fmt.Sprintf("pool %s %v to %v, window %dx%d, stride %dx%d, pad %d+%d %d+%d", kind, s.Src, s.Dst,
			s.KernelH, s.KernelW, s.StrideH, s.StrideW, s.Pad.Top, s.Pad.Bottom, s.Pad.Left, s.Pad.Right),
		operands:    []operand{{name: "src", desc: s.Src, grad: !s.ForwardOnly}},
		output:      s.Dst,
		forwardOnly: s.ForwardOnly,
		step:        linearStep,
		slack:       linearSlack,
	}
	if s.Max {
		p.operands[0].draw = drawDistinct
		p.step = gridStep
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.Pool(s)
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

func (s *suite) testPool(t *testing.T) {
	kinds := []struct {
		name                       string
		max, countPad, forwardOnly bool
	}{
		{name: "Max", max: true},
		{name: "Average"},
		{name: "AverageCountPad", countPad: true},
		{name: "MaxForwardOnly", max: true, forwardOnly: true},
	}
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			for _, c := range poolCases {
				s.each(t, func(place placement) *problem {
					spec := c.spec()
					spec.Max, spec.CountPad, spec.ForwardOnly = kind.max, kind.countPad, kind.forwardOnly
					spec.Src = place(spec.Src)
					spec.Dst = spec.Dst.As(spec.Src.Layout)
					return poolProblem(spec)
				}, s.check)
			}
		})
	}
}

func globalAvgPoolProblem(src kernel.Desc) *problem {
	p := &problem{
		name:     fmt.Sprintf("global average pool %v", src),
		operands: []operand{{name: "src", desc: src, grad: true}},
		output:   kernel.Matrix(src.N, src.C),
		step:     linearStep,
		slack:    linearSlack,
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.GlobalAvgPool(src)
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

func (s *suite) testGlobalAvgPool(t *testing.T) {
	for _, d := range []kernel.Desc{
		{N: 1, C: 3, H: 7, W: 5}, {N: 2, C: 17, H: 8, W: 8}, {N: 3, C: 24, H: 3, W: 3},
		{N: 2, C: 64, H: 8, W: 8}, {N: 5, C: 5, H: 1, W: 1},
	} {
		s.each(t, func(place placement) *problem {
			return globalAvgPoolProblem(place(d))
		}, s.check)
	}
}
