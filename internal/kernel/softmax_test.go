package kernel

import (
	"math"
	"testing"
)

func TestSoftmaxAgainstItsFormula(t *testing.T) {
	logits := []float32{1, 2, 3, -1000, 1000, 0, 5, 5, 5}
	p, logp := make([]float32, 9), make([]float32, 9)
	Softmax(p, logits, 3, 3)
	LogSoftmax(logp, logits, 3, 3)
	z := math.Exp(1) + math.Exp(2) + math.Exp(3)
	want := []float64{math.Exp(1) / z, math.Exp(2) / z, math.Exp(3) / z, 0, 1, 0, 1. / 3, 1. / 3, 1. / 3}
	for i := range want {
		if math.Abs(float64(p[i])-want[i]) > 1e-7 {
			t.Errorf("softmax %d is %g, want %g", i, p[i], want[i])
		}
		if want[i] > 0 && math.Abs(float64(logp[i])-math.Log(want[i])) > 1e-6 {
			t.Errorf("log-softmax %d is %g, want %g", i, logp[i], math.Log(want[i]))
		}
	}
	if logp[3] != -2000 || logp[5] != -1000 {
		t.Errorf("log-softmax of far logits: %v", logp[3:6])
	}
	Softmax(logits, logits, 3, 3)
	for i := range p {
		if logits[i] != p[i] {
			t.Errorf("in place, softmax %d is %g, want %g", i, logits[i], p[i])
		}
	}
}

func TestEntropy(t *testing.T) {
	got := Entropy([]float32{0.5, 0.5, 0, 1}, 2)
	if want := math.Log(2) / 2; math.Abs(got-want) > 1e-7 {
		t.Errorf("got %g, want %g", got, want)
	}
	if Entropy(nil, 2) != 0 {
		t.Error("no rows have no entropy")
	}
}
