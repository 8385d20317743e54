package gops_test

import (
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/engine/exec"
	"github.com/deepmutual/dml/internal/engine/gops"
	"github.com/deepmutual/dml/internal/engine/kernel"
)

// factor * CE(t, log-softmax(x / 2)), by hand: both factors reach the gradient,
// and one of them may change between runs.
func TestScaleAndTimes(t *testing.T) {
	b := gops.NewBuilder(engine(t))
	x, target, factor := image(b, "x", kernel.Matrix(1, 2)), b.Input("target", kernel.Matrix(1, 2)), b.Param("factor", 1)
	scaled := must(b.Scale(x, 0.5))(t)
	loss := must(b.Times(factor, must(b.CrossEntropy(target, must(b.LogSoftmax(scaled))(t)))(t)))(t)
	one := b.Param("one", 1)
	grads := must(gorgonia.Backpropagate(gorgonia.Nodes{loss}, gorgonia.Nodes{one}, gorgonia.Nodes{x.Node}))(t)
	p := must(exec.Compile(exec.Spec{Outputs: gorgonia.Nodes{loss}, Gradients: grads, Memory: b.Engine, Add: planAdd}))(t)
	p.Value(one)[0] = 1
	copy(p.Value(target.Node), []float32{1, 0})
	// The logits 2 log 3 and 0 have, halved, the posterior 3/4, 1/4.
	copy(p.Value(x.Node), []float32{2.1972246, 0})
	for _, f := range []float32{1, 3, 0} {
		p.Value(factor)[0] = f
		if err := p.Forward(); err != nil {
			t.Fatal(err)
		}
		if err := p.Backward(); err != nil {
			t.Fatal(err)
		}
		const ce = 0.28768207 // -log(3/4)
		if got := p.Value(loss)[0]; !near(got, float64(f)*ce) {
			t.Errorf("factor %g: loss %g, want %g", f, got, f*ce)
		}
		for i, want := range []float64{-0.125, 0.125} { // (posterior - target) / 2
			if got := p.Value(grads[0])[i]; !near(got, float64(f)*want) {
				t.Errorf("factor %g: gradient %d is %g, want %g", f, i, got, float64(f)*want)
			}
		}
	}
}
