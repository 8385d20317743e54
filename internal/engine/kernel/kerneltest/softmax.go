package kerneltest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

func softmaxProblem(s kernel.SoftmaxSpec, spread float64) *problem {
	kind := "softmax"
	if s.Log {
		kind = "log-softmax"
	}
	d := kernel.Matrix(s.Rows, s.Cols)
	p := &problem{
		name:     fmt.Sprintf("%s of %dx%d, logits up to %g", kind, s.Rows, s.Cols, spread),
		operands: []operand{{name: "src", desc: d, grad: true, draw: uniform(-spread, spread)}},
		output:   d,
		step:     curvedStep,
		slack:    curvedSlack,
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.Softmax(s)
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

func (s *suite) testSoftmax(t *testing.T) {
	for _, spec := range []kernel.SoftmaxSpec{
		{Rows: 1, Cols: 1}, {Rows: 5, Cols: 1}, {Rows: 6, Cols: 2}, {Rows: 8, Cols: 10}, {Rows: 3, Cols: 17},
		{Rows: 4, Cols: 64}, {Rows: 5, Cols: 1000}, {Rows: 1, Cols: 3001},
	} {
		for _, spec.Log = range []bool{false, true} {
			for _, spread := range []float64{1, 5} {
				s.each(t, func(placement) *problem { return softmaxProblem(spec, spread) }, s.check)
			}
		}
	}
	t.Run("Extremes", s.testSoftmaxExtremes)
	t.Run("InPlace", s.testSoftmaxInPlace)
}

// runSoftmax computes the softmax of rows, or its logarithm.
func runSoftmax(t *testing.T, e kernel.Engine, rows, cols int, log bool, logits []float32) []float32 {
	t.Helper()
	k, err := e.Softmax(kernel.SoftmaxSpec{Rows: rows, Cols: cols, Log: log})
	must(t, err)
	src := kernel.Tensor{Desc: kernel.Matrix(rows, cols), Data: logits}
	dst := kernel.NewTensor(src.Desc)
	must(t, k.Forward(dst, src))
	return dst.Data
}

// testSoftmaxExtremes gives logits that overflow where they should not, far
// apart, and no numbers.
func (s *suite) testSoftmaxExtremes(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, c := range []struct{ logits, p, logp []float32 }{
		{[]float32{1, 2, 3}, []float32{0.09003057, 0.24472848, 0.66524094}, []float32{-2.407606, -1.407606, -0.407606}},
		{[]float32{-1000, 1000, 0}, []float32{0, 1, 0}, []float32{-2000, 0, -1000}},
		{[]float32{1e30, 1e30, -1e30}, []float32{0.5, 0.5, 0}, []float32{-math.Ln2, -math.Ln2, -2e30}},
		{[]float32{-3e38, 88, 3e38}, []float32{0, 0, 1}, []float32{-inf, -3e38, 0}},
		{[]float32{-inf, 4, 4}, []float32{0, 0.5, 0.5}, []float32{-inf, -math.Ln2, -math.Ln2}},
		{[]float32{-3e38, -3e38, -3e38}, []float32{1. / 3, 1. / 3, 1. / 3}, []float32{-1.0986123, -1.0986123, -1.0986123}},
		{[]float32{0, -100, -87.5}, []float32{1, 0, 0}, []float32{0, -100, -87.5}},
		{[]float32{1, nan, 2}, []float32{nan, nan, nan}, []float32{nan, nan, nan}},
		{[]float32{nan, 1, 2}, []float32{nan, nan, nan}, []float32{nan, nan, nan}},
		{[]float32{1, 2, inf}, []float32{nan, nan, nan}, []float32{nan, nan, nan}},
		{[]float32{-inf, -inf, -inf}, []float32{nan, nan, nan}, []float32{nan, nan, nan}},
	} {
		for log, want := range map[bool][]float32{false: c.p, true: c.logp} {
			// Alone, and at the end of a row that fills vectors.
			long := append(slices.Repeat([]float32{-inf}, 61), c.logits...)
			short := runSoftmax(t, e, 1, 3, log, c.logits)
			tail := runSoftmax(t, e, 1, 64, log, long)[61:]
			for i, w := range want {
				for _, got := range []float32{short[i], tail[i]} {
					if !closeTo(got, w) {
						t.Errorf("log %v of %v: value %d is %g, want %g", log, c.logits, i, got, w)
					}
				}
			}
		}
	}
}

func closeTo(got, want float32) bool {
	g, w := float64(got), float64(want)
	return got == want || math.IsNaN(g) && math.IsNaN(w) || math.Abs(g-w) <= 1e-6*max(1, math.Abs(w))
}

func (s *suite) testSoftmaxInPlace(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{Threads: 2})
	for _, log := range []bool{false, true} {
		x := kernel.NewTensor(kernel.Matrix(7, 35))
		uniform(-5, 5)(rand.New(rand.NewPCG(1, 2)), x)
		want := runSoftmax(t, e, 7, 35, log, x.Data)
		k, err := e.Softmax(kernel.SoftmaxSpec{Rows: 7, Cols: 35, Log: log})
		must(t, err)
		must(t, k.Forward(x, x))
		if !slices.Equal(x.Data, want) {
			t.Errorf("log %v: in place the values differ", log)
		}
	}
}
