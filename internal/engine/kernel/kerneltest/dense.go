package kerneltest

import (
	"fmt"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

func denseProblem(s kernel.DenseSpec) *problem {
	p := &problem{
		name: fmt.Sprintf("dense batch %d, %d to %d, bias %v", s.Batch, s.In, s.Out, s.Bias),
		operands: []operand{
			{name: "src", desc: kernel.Matrix(s.Batch, s.In), grad: true, saved: true},
			{name: "weights", desc: vector(s.Out * s.In), grad: true, saved: true},
		},
		output: kernel.Matrix(s.Batch, s.Out),
		step:   linearStep,
		slack:  linearSlack,
	}
	if s.Bias {
		p.operands = append(p.operands, operand{name: "bias", desc: vector(s.Out), grad: true})
	}
	bias := func(v []kernel.Tensor) []float32 {
		if s.Bias {
			return v[2].Data
		}
		return nil
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.Dense(s)
		if err != nil {
			return runner{}, err
		}
		return runner{
			forward: func(out kernel.Tensor, in []kernel.Tensor) error {
				return k.Forward(out, in[0], in[1].Data, bias(in))
			},
			backward: func(grads []kernel.Tensor, dOut, out kernel.Tensor, in []kernel.Tensor) error {
				if err := k.BackwardData(grads[0], dOut, in[1].Data); err != nil {
					return err
				}
				return k.BackwardWeights(grads[1].Data, bias(grads), in[0], dOut)
			},
		}, nil
	}
	return p
}

func (s *suite) testDense(t *testing.T) {
	for _, spec := range []kernel.DenseSpec{
		{Batch: 1, In: 1, Out: 1, Bias: true},
		{Batch: 1, In: 64, Out: 10, Bias: true},
		{Batch: 5, In: 17, Out: 3},
		{Batch: 8, In: 64, Out: 100, Bias: true},
		{Batch: 3, In: 245, Out: 33, Bias: true},
	} {
		s.each(t, func(placement) *problem { return denseProblem(spec) }, s.check)
	}
	t.Run("WithoutBiasGradient", func(t *testing.T) {
		s.checkWithoutBiasGradient(t, denseProblem(kernel.DenseSpec{Batch: 5, In: 17, Out: 3, Bias: true}))
	})
}

// checkWithoutBiasGradient asks for the gradient of the weights alone, of a
// problem with the operands src, weights and bias.
func (s *suite) checkWithoutBiasGradient(t *testing.T, p *problem) {
	e := s.engine(t, kernel.EngineOptions{})
	x := p.instantiate(t, e, allocator(t, e))
	x.run(t)
	with := x.grads[1]
	alone := kernel.Tensor{Desc: with.Desc, Data: alloc(t, e, len(with.Data))}
	spoil(alone)
	if err := x.backward([]kernel.Tensor{x.grads[0], alone, {}}, x.dOut, x.out, x.in); err != nil {
		t.Fatalf("%s: gradient of the weights alone: %v", p.name, err)
	}
	if d := distance(alone, with); !(d <= s.Tolerance) {
		t.Errorf("%s: gradient of the weights differs by %.3g when that of the bias is not asked for", p.name, d)
	}
}
