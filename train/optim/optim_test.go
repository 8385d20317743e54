package optim

import (
	"fmt"
	"math"
	"testing"
)

// Where torch.optim.SGD ended in TestSGDFollowsPyTorch.
var (
	nesterov  = [2]float64{-0.571266995, 0.016877696}
	heavyBall = [2]float64{-0.624385815, 0.416138700}
	plain     = [2]float64{0.522299071, -0.136447725}
)

// TestSGDFollowsPyTorch compares with torch.optim.SGD(lr=0.1, weight_decay=0.01)
// in float64 on f(a, b) = a^2 + 3 b^2 + a b from (1, -2), five steps.
func TestSGDFollowsPyTorch(t *testing.T) {
	for _, tc := range []struct {
		opt  SGD
		want [2]float64
	}{
		{SGD{Momentum: 0.9, Nesterov: true, WeightDecay: 0.01}, nesterov},
		{SGD{Momentum: 0.9, WeightDecay: 0.01}, heavyBall},
		{SGD{WeightDecay: 0.01}, plain},
	} {
		w, v, g := []float32{1, -2}, make([]float32, 2), make([]float32, 2)
		for range 5 {
			g[0], g[1] = 2*w[0]+w[1], 6*w[1]+w[0]
			tc.opt.Update(w, g, v, 0.1)
		}
		for i := range w {
			if math.Abs(float64(w[i])-tc.want[i]) > 1e-6 {
				t.Errorf("%+v: w[%d] = %.7f, want %.7f", tc.opt, i, w[i], tc.want[i])
			}
		}
	}
}

func TestSGDConverges(t *testing.T) {
	for _, opt := range []SGD{{}, {Momentum: 0.9}, {Momentum: 0.9, Nesterov: true}} {
		t.Run(fmt.Sprintf("%+v", opt), func(t *testing.T) {
			w, v, g := []float32{-1.2, 1}, make([]float32, 2), make([]float32, 2)
			for range 40000 { // Rosenbrock's valley, minimum at (1, 1)
				x, y := w[0], w[1]
				g[0], g[1] = -2*(1-x)-400*x*(y-x*x), 200*(y-x*x)
				opt.Update(w, g, v, 2e-4)
			}
			if math.Abs(float64(w[0])-1) > 2e-2 || math.Abs(float64(w[1])-1) > 4e-2 {
				t.Errorf("ended at %v, want (1, 1)", w)
			}
		})
	}
}

func TestUpdateAllocatesNothing(t *testing.T) {
	w, g, v := make([]float32, 64), make([]float32, 64), make([]float32, 64)
	if n := testing.AllocsPerRun(10, func() { SGD{Momentum: 0.9, Nesterov: true}.Update(w, g, v, 0.1) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestStepDecay(t *testing.T) {
	s := StepDecay{Base: 0.1, Factor: 0.1, Every: 60}
	for step, want := range map[int]float64{0: 0.1, 59: 0.1, 60: 0.01, 119: 0.01, 120: 0.001} {
		if got := s.Rate(step); math.Abs(got-want) > 1e-12 {
			t.Errorf("step %d: rate %g, want %g", step, got, want)
		}
	}
	if got := (StepDecay{Base: 0.1}).Rate(1000); got != 0.1 {
		t.Errorf("a constant schedule gives %g", got)
	}
}
