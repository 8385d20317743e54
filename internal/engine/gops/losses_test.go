package gops_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/engine/exec"
	"github.com/deepmutual/dml/internal/engine/gops"
	"github.com/deepmutual/dml/internal/engine/kernel"
)

// mimicry is the graph of a DML student's loss: cross entropy of the labels
// plus 0.5 KL(peer || student).
type mimicry struct {
	program             *exec.Program
	x, labels, peer     *gorgonia.Node
	logq                *gorgonia.Node
	ce, cross, h, total *gorgonia.Node
	one, gradient       *gorgonia.Node
	rows, cols          int
}

func newMimicry(t *testing.T, rows, cols int) *mimicry {
	t.Helper()
	b := gops.NewBuilder(engine(t))
	d := kernel.Matrix(rows, cols)
	x, labels, peer := image(b, "x", d), b.Input("labels", d), b.Input("peer", d)
	logq := must(b.LogSoftmax(x))(t)
	m := &mimicry{x: x.Node, labels: labels.Node, peer: peer.Node, logq: logq.Node, rows: rows, cols: cols}
	m.ce = must(b.CrossEntropy(labels, logq))(t)
	m.cross = must(b.CrossEntropy(peer, logq))(t)
	m.h = must(b.Entropy(peer))(t)
	m.total = must(b.WeightedSum([]float32{1, 0.5, -0.5}, m.ce, m.cross, m.h))(t)
	m.one = b.Param("one", 1)
	grads := must(gorgonia.Backpropagate(gorgonia.Nodes{m.total}, gorgonia.Nodes{m.one}, gorgonia.Nodes{m.x}))(t)
	m.gradient = grads[0]
	m.program = must(exec.Compile(exec.Spec{Outputs: gorgonia.Nodes{m.logq, m.ce, m.cross, m.h, m.total}, Gradients: grads,
		Memory: b.Engine, Add: planAdd}))(t)
	m.program.Value(m.one)[0] = 1
	return m
}

// setPeer makes the peer's posterior the softmax of logits.
func (m *mimicry) setPeer(t *testing.T, logits []float32) {
	t.Helper()
	d := kernel.Matrix(m.rows, m.cols)
	k := must(engine(t).Softmax(kernel.SoftmaxSpec{Rows: m.rows, Cols: m.cols}))(t)
	if err := k.Forward(kernel.Tensor{Desc: d, Data: m.program.Value(m.peer)}, kernel.Tensor{Desc: d, Data: logits}); err != nil {
		t.Fatal(err)
	}
}

func (m *mimicry) run(t *testing.T) {
	t.Helper()
	if err := m.program.Forward(); err != nil {
		t.Fatal(err)
	}
	if err := m.program.Backward(); err != nil {
		t.Fatal(err)
	}
}

// formula computes the same in float64 straight from the definitions.
func (m *mimicry) formula() (ce, cross, h, total float64) {
	x, labels, peer := m.program.Value(m.x), m.program.Value(m.labels), m.program.Value(m.peer)
	for r := range m.rows {
		row := r * m.cols
		var z float64
		for c := range m.cols {
			z += math.Exp(float64(x[row+c]))
		}
		for c := range m.cols {
			logq := float64(x[row+c]) - math.Log(z)
			ce -= float64(labels[row+c]) * logq / float64(m.rows)
			p := float64(peer[row+c])
			cross -= p * logq / float64(m.rows)
			if p > 0 {
				h -= p * math.Log(p) / float64(m.rows)
			}
		}
	}
	return ce, cross, h, ce + 0.5*(cross-h)
}

func near(got float32, want float64) bool {
	return math.Abs(float64(got)-want) <= 1e-6*(1+math.Abs(want))
}

func TestLossesEqualTheirFormulas(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	m := newMimicry(t, 5, 7)
	p := m.program
	for i := range p.Value(m.x) {
		p.Value(m.x)[i] = float32(rng.NormFloat64() * 3)
		p.Value(m.peer)[i] = float32(rng.NormFloat64() * 2)
	}
	m.setPeer(t, p.Value(m.peer))
	for r := range m.rows {
		p.Value(m.labels)[r*m.cols+(3*r)%m.cols] = 1
	}
	m.run(t)
	ce, cross, h, total := m.formula()
	for _, c := range []struct {
		name string
		node *gorgonia.Node
		want float64
	}{{"cross entropy of labels", m.ce, ce}, {"cross entropy of the peer", m.cross, cross}, {"entropy", m.h, h}, {"weighted sum", m.total, total}} {
		if got := p.Value(c.node)[0]; !near(got, c.want) {
			t.Errorf("%s is %g, want %g", c.name, got, c.want)
		}
	}
	for i, got := range p.Value(m.gradient) {
		at, h := &p.Value(m.x)[i], float32(1)/256
		old := *at
		*at = old + h
		_, _, _, up := m.formula()
		*at = old - h
		_, _, _, down := m.formula()
		*at = old
		if want := (up - down) / float64(2*h); math.Abs(float64(got)-want) > 2e-6 {
			t.Errorf("gradient of logit %d is %g, finite difference %g", i, got, want)
		}
	}
}

// A student that equals its peer has no mimicry loss and no mimicry gradient.
func TestMimicryVanishesBetweenEquals(t *testing.T) {
	m := newMimicry(t, 2, 3)
	p := m.program
	copy(p.Value(m.x), []float32{1, -2, 0.5, 3, 3, -1})
	m.setPeer(t, p.Value(m.x))
	m.run(t)
	if kl := p.Value(m.cross)[0] - p.Value(m.h)[0]; math.Abs(float64(kl)) > 1e-6 {
		t.Errorf("KL(p || p) = %g", kl)
	}
	for i, g := range p.Value(m.gradient) {
		if math.Abs(float64(g)) > 1e-7 {
			t.Errorf("gradient of logit %d is %g", i, g)
		}
	}
}

func TestExtremeLogitsStayFinite(t *testing.T) {
	m := newMimicry(t, 3, 3)
	p := m.program
	copy(p.Value(m.x), []float32{
		1e30, -1e30, 0,
		-3e38, 88, 3e38,
		float32(math.Inf(-1)), 0, 1,
	})
	copy(p.Value(m.labels), []float32{1, 0, 0, 0, 0, 1, 0, 1, 0})
	copy(p.Value(m.peer), []float32{1, 0, 0, 0, 0, 1, 0, 0.5, 0.5})
	m.run(t)
	for _, n := range []*gorgonia.Node{m.ce, m.cross, m.h, m.total, m.gradient} {
		for i, v := range p.Value(n) {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				t.Errorf("%v: value %d is %g", n, i, v)
			}
		}
	}
	want := math.Log(1+math.E) / 3 // only the third row's label has a loss
	if got := p.Value(m.ce)[0]; !near(got, want) {
		t.Errorf("cross entropy is %g, want %g", got, want)
	}
}

func TestWeightedSumNeedsAWeightATerm(t *testing.T) {
	b := gops.NewBuilder(engine(t))
	h := must(b.Entropy(b.Input("p", kernel.Matrix(1, 2))))(t)
	if _, err := b.WeightedSum([]float32{1, 2}, h); err == nil {
		t.Error("two weights for one term are accepted")
	}
}
