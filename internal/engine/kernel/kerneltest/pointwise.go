package kerneltest

import (
	"fmt"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

var pointwiseShapes = []kernel.Desc{
	{N: 1, C: 3, H: 5, W: 7}, {N: 2, C: 17, H: 3, W: 3}, {N: 2, C: 24, H: 1, W: 1}, {N: 2, C: 32, H: 8, W: 8},
}

// addProblem differentiates by its first operand; by the second the gradient
// is the same.
func addProblem(s kernel.AddSpec) *problem {
	p := &problem{
		name: fmt.Sprintf("add %v, activation %s", s.Desc, clipName(s.Act)),
		operands: []operand{
			{name: "a", desc: s.Desc, grad: true},
			{name: "b", desc: s.Desc},
		},
		output: s.Desc,
		act:    s.Act,
		step:   curvedStep,
		slack:  linearSlack,
	}
	if s.Act != nil {
		linear := s
		linear.Act = nil
		p.bare = addProblem(linear)
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.Add(s)
		if err != nil {
			return runner{}, err
		}
		return runner{
			forward: func(out kernel.Tensor, in []kernel.Tensor) error { return k.Forward(out, in[0], in[1]) },
			backward: func(grads []kernel.Tensor, dOut, out kernel.Tensor, in []kernel.Tensor) error {
				return k.Backward(grads[0], dOut, out)
			},
		}, nil
	}
	return p
}

func (s *suite) testAdd(t *testing.T) {
	for _, d := range pointwiseShapes {
		for _, act := range activations {
			s.each(t, func(place placement) *problem {
				return addProblem(kernel.AddSpec{Desc: place(d), Act: act})
			}, func(t *testing.T, p *problem) {
				s.check(t, p)
				s.checkInPlace(t, p)
			})
		}
	}
}

// checkInPlace adds into each operand.
func (s *suite) checkInPlace(t *testing.T, p *problem) {
	for i, o := range p.operands {
		e := s.engine(t, kernel.EngineOptions{})
		x := p.instantiate(t, e, allocator(t, e))
		x.runForward(t)
		if err := x.forward(x.in[i], x.in); err != nil {
			t.Fatalf("%s: into %s: %v", p.name, o.name, err)
		}
		if d := distance(x.in[i], x.out); !(d <= s.Tolerance) {
			t.Errorf("%s: into %s differs by %.3g (relative L2); %s", p.name, o.name, d, worst(x.in[i], x.out))
		}
		checkPadding(t, p.name, "output in "+o.name, x.in[i])
	}
}

func activationProblem(s kernel.ActivationSpec) *problem {
	p := &problem{
		name:     fmt.Sprintf("activation %s of %v", clipName(&s.Act), s.Desc),
		operands: []operand{{name: "src", desc: s.Desc, grad: true, draw: uniform(-1.5, 1.5)}},
		output:   s.Desc,
		act:      &s.Act,
		step:     curvedStep,
		slack:    linearSlack,
	}
	if s.Act.Hi == 6 {
		p.operands[0].draw = uniform(-8, 8)
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.Activation(s)
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

func (s *suite) testActivation(t *testing.T) {
	for _, d := range pointwiseShapes {
		for _, act := range activations {
			if act == nil {
				continue
			}
			s.each(t, func(place placement) *problem {
				return activationProblem(kernel.ActivationSpec{Desc: place(d), Act: *act})
			}, func(t *testing.T, p *problem) {
				s.check(t, p)
				s.checkBounds(t, p)
			})
		}
	}
}

// checkBounds requires that no gradient passes an output that equals a bound.
func (s *suite) checkBounds(t *testing.T, p *problem) {
	e := s.engine(t, kernel.EngineOptions{})
	x := p.instantiate(t, e, allocator(t, e))
	at := func(i int) float32 {
		// The upper bound of ReLU is infinite; halfway there passes.
		return []float32{p.act.Lo, min(p.act.Hi, 100), (p.act.Lo + min(p.act.Hi, 100)) / 2}[i%3]
	}
	i := 0
	values(p.output, func(j int) {
		x.in[0].Data[j], x.dOut.Data[j] = at(i), 1
		i++
	})
	x.run(t)
	i = 0
	values(p.output, func(j int) {
		want := float32(0)
		if v := at(i); p.act.Lo < v && v < p.act.Hi {
			want = 1
		}
		if g := x.grads[0].Data[j]; g != want {
			t.Errorf("%s: gradient at src %g is %g, want %g", p.name, at(i), g, want)
		}
		i++
	})
}
