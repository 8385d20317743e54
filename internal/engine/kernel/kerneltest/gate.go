package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// sigmoidProblem has inputs up to spread. Of a hard sigmoid the bounds are kinks.
func sigmoidProblem(s kernel.SigmoidSpec, spread float64) *problem {
	p := &problem{
		name:     fmt.Sprintf("sigmoid of %v, hard %v, up to %g", s.Desc, s.Hard, spread),
		operands: []operand{{name: "src", desc: s.Desc, grad: true, draw: uniform(-spread, spread)}},
		output:   s.Desc,
		step:     curvedStep,
		slack:    curvedSlack,
	}
	if s.Hard {
		p.act = &kernel.Clip{Lo: 0, Hi: 1}
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.Sigmoid(s)
		if err != nil {
			return runner{}, err
		}
		return runner{
			forward: func(out kernel.Tensor, in []kernel.Tensor) error { return k.Forward(out, in[0]) },
			backward: func(grads []kernel.Tensor, dOut, out kernel.Tensor, in []kernel.Tensor) error {
				return k.Backward(grads[0], dOut, out)
			},
		}, nil
	}
	return p
}

func (s *suite) testSigmoid(t *testing.T) {
	for _, d := range append([]kernel.Desc{kernel.Matrix(3, 50)}, pointwiseShapes...) {
		for _, hard := range []bool{false, true} {
			for _, spread := range []float64{2, 5} {
				s.each(t, func(place placement) *problem {
					return sigmoidProblem(kernel.SigmoidSpec{Desc: place(d), Hard: hard}, spread)
				}, s.check)
			}
		}
	}
	t.Run("Extremes", s.testSigmoidExtremes)
}

// testSigmoidExtremes gives values that overflow where they should not, and no
// numbers.
func (s *suite) testSigmoidExtremes(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	src := []float32{0, 1, -1, 3, -3, 20, -20, 100, -100, 3e38, -3e38, inf, -inf, nan, -60}
	soft := []float32{0.5, 0.73105858, 0.26894142, 0.95257413, 0.04742587, 1, 2.0611537e-9, 1, 0, 1, 0, 1, 0, nan, 8.7565108e-27}
	hard := []float32{0.5, 2. / 3, 1. / 3, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, nan, 0}
	d := kernel.Matrix(1, len(src))
	for isHard, want := range map[bool][]float32{false: soft, true: hard} {
		k, err := e.Sigmoid(kernel.SigmoidSpec{Desc: d, Hard: isHard})
		must(t, err)
		dst := kernel.NewTensor(d)
		must(t, k.Forward(dst, kernel.Tensor{Desc: d, Data: src}))
		for i, w := range want {
			got := dst.Data[i]
			if !closeTo(got, w) || w > 0 && w < 1 && math.Abs(float64(got/w-1)) > 1e-6 {
				t.Errorf("hard %v: sigmoid of %g is %g, want %g", isHard, src[i], got, w)
			}
		}
	}
}

func multiplyProblem(s kernel.MultiplySpec) *problem {
	p := &problem{
		name: fmt.Sprintf("multiply %v by %v", s.Desc, s.Factor()),
		operands: []operand{
			{name: "a", desc: s.Desc, grad: true, saved: true},
			{name: "b", desc: s.Factor(), grad: true, saved: true},
		},
		output: s.Desc,
		step:   linearStep,
		slack:  linearSlack,
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.Multiply(s)
		if err != nil {
			return runner{}, err
		}
		return runner{
			forward: func(out kernel.Tensor, in []kernel.Tensor) error { return k.Forward(out, in[0], in[1]) },
			backward: func(grads []kernel.Tensor, dOut, out kernel.Tensor, in []kernel.Tensor) error {
				if err := k.Forward(grads[0], dOut, in[1]); err != nil {
					return err
				}
				return k.BackwardFactor(grads[1], dOut, in[0])
			},
		}, nil
	}
	return p
}

func (s *suite) testMultiply(t *testing.T) {
	for _, d := range append([]kernel.Desc{kernel.Matrix(3, 50), {N: 3, C: 20, H: 9, W: 16}}, pointwiseShapes...) {
		for _, gate := range []bool{false, true} {
			s.each(t, func(place placement) *problem {
				return multiplyProblem(kernel.MultiplySpec{Desc: place(d), Gate: gate})
			}, s.check)
		}
	}
}

// literalMultiply gates two channels of two pixels, and multiplies elementwise.
func (s *suite) literalMultiply(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	a := image(2, 1, 2, 1, 2, 3, 4)
	gate := kernel.Tensor{Desc: kernel.Matrix(1, 2), Data: []float32{10, -1}}
	dDst := image(2, 1, 2, 1, 1, 0.5, 2)
	k, err := e.Multiply(kernel.MultiplySpec{Desc: a.Desc, Gate: true})
	must(t, err)
	dst, dGate := kernel.NewTensor(a.Desc), kernel.NewTensor(gate.Desc)
	must(t, k.Forward(dst, a, gate))
	near(t, "gated", dst.Data, 10, 20, -3, -4)
	must(t, k.BackwardFactor(dGate, dDst, a))
	near(t, "gate's gradient", dGate.Data, 3, 9.5)
	must(t, k.Forward(dst, dDst, gate))
	near(t, "gradient", dst.Data, 10, 10, -0.5, -2)

	k, err = e.Multiply(kernel.MultiplySpec{Desc: a.Desc})
	must(t, err)
	must(t, k.Forward(dst, a, a))
	near(t, "square", dst.Data, 1, 4, 9, 16)
	must(t, k.BackwardFactor(dst, dDst, a))
	near(t, "factor's gradient", dst.Data, 1, 2, 1.5, 8)
}
