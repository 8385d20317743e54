package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

func dropoutProblem(s kernel.DropoutSpec, key uint64) *problem {
	p := &problem{
		name:     fmt.Sprintf("dropout %g of %v, key %#x", s.Rate, s.Desc, key),
		operands: []operand{{name: "src", desc: s.Desc, grad: true}},
		output:   s.Desc,
		exact:    true, // of every layout and backend
		step:     linearStep,
		slack:    linearSlack,
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.Dropout(s)
		if err != nil {
			return runner{}, err
		}
		return runner{
			forward: func(out kernel.Tensor, in []kernel.Tensor) error { return k.Run(out, in[0], key) },
			backward: func(grads []kernel.Tensor, dOut, out kernel.Tensor, in []kernel.Tensor) error {
				return k.Run(grads[0], dOut, key)
			},
		}, nil
	}
	return p
}

func (s *suite) testDropout(t *testing.T) {
	for i, d := range append([]kernel.Desc{kernel.Matrix(3, 100), kernel.Matrix(1, 1)}, pointwiseShapes...) {
		for _, rate := range []float32{0.2, 0.5, 0.9} {
			s.each(t, func(place placement) *problem {
				return dropoutProblem(kernel.DropoutSpec{Desc: place(d), Rate: rate}, kernel.MaskKey(uint64(i), "layer", 7))
			}, s.check)
		}
	}
	t.Run("Mask", s.testDropoutMask)
}

// testDropoutMask looks at the masks that a kernel computes: how much they
// drop, and that masks of other keys and of other samples have nothing to do
// with them.
func (s *suite) testDropoutMask(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{Threads: 2})
	d := kernel.Desc{N: 8, C: 32, H: 16, W: 16}
	d.Layout = e.Layout(d.C, d.H, d.W)
	ones := kernel.NewTensor(d)
	for i := range ones.Data {
		ones.Data[i] = 1
	}
	for _, rate := range []float32{0.1, 0.25, 0.5, 0.75} {
		spec := kernel.DropoutSpec{Desc: d, Rate: rate}
		k, err := e.Dropout(spec)
		must(t, err)
		mask := func(key uint64) []float32 {
			out := kernel.NewTensor(d)
			must(t, k.Run(out, ones, key))
			return out.Data
		}
		base := kernel.MaskKey(1, "drop", 5)
		m := mask(base)
		for _, v := range m {
			if v != 0 && v != spec.Scale() {
				t.Fatalf("rate %g: a 1 becomes %g, want 0 or %g", rate, v, spec.Scale())
			}
		}
		independent(t, fmt.Sprintf("rate %g: mask and its neighbour", rate), m[:len(m)-1], m[1:], rate)
		sample := len(m) / d.N
		independent(t, fmt.Sprintf("rate %g: two samples", rate), m[:len(m)-sample], m[sample:], rate)
		for what, key := range map[string]uint64{
			"seeds":  kernel.MaskKey(2, "drop", 5),
			"layers": kernel.MaskKey(1, "drop2", 5),
			"steps":  kernel.MaskKey(1, "drop", 6),
		} {
			independent(t, fmt.Sprintf("rate %g: two %s", rate, what), m, mask(key), rate)
		}
	}
}

// independent requires of two masks that each drops at the rate, and both at
// its square, within five standard deviations.
func independent(t *testing.T, what string, a, b []float32, rate float32) {
	t.Helper()
	var inA, inB, inBoth float64
	for i := range a {
		if a[i] == 0 {
			inA++
		}
		if b[i] == 0 {
			inB++
		}
		if a[i] == 0 && b[i] == 0 {
			inBoth++
		}
	}
	n, p := float64(len(a)), float64(rate)
	for _, c := range []struct {
		what       string
		count, per float64
	}{{"the first", inA, p}, {"the second", inB, p}, {"both", inBoth, p * p}} {
		if limit := 5 * math.Sqrt(n*c.per*(1-c.per)); math.Abs(c.count-n*c.per) > limit {
			t.Errorf("%s: %s dropped %g of %g, want %.0f +- %.0f", what, c.what, c.count, n, n*c.per, limit)
		}
	}
}
