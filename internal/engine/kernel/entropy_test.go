package kernel

import (
	"math"
	"testing"
)

func TestEntropy(t *testing.T) {
	got := Entropy([]float32{0.5, 0.5, 0, 1}, 2)
	if want := math.Log(2) / 2; math.Abs(got-want) > 1e-7 {
		t.Errorf("got %g, want %g", got, want)
	}
	if Entropy(nil, 2) != 0 {
		t.Error("no rows have no entropy")
	}
}
