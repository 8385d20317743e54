package train

import (
	"math"
	"testing"
)

func TestScores(t *testing.T) {
	var all, parts Tally
	p := []float32{0.5, 0.25, 0.25, 0, 1, 0, 0.2, 0.2, 0.6}
	labels := []int32{0, 0, 1}
	all.Add(p, labels)
	parts.Add(p[:3], labels[:1])
	parts.Add(p[3:], labels[1:])
	parts.Add(nil, nil)
	if all.Scores() != parts.Scores() {
		t.Errorf("whole %v, in parts %v", all.Scores(), parts.Scores())
	}
	got := all.Scores()
	wantNLL := (math.Log(2) - math.Log(tiny) - math.Log(0.2)) / 3
	wantEntropy := (0.5*math.Log(2) + 0.5*math.Log(4) - 0.4*math.Log(0.2) - 0.6*math.Log(0.6)) / 3
	if math.Abs(got.Accuracy-1.0/3) > 1e-12 || math.Abs(got.NLL-wantNLL) > 1e-6 || math.Abs(got.Entropy-wantEntropy) > 1e-6 {
		t.Errorf("got %+v, want accuracy 1/3, nll %g, entropy %g", got, wantNLL, wantEntropy)
	}
	if (&Tally{}).Scores() != (Scores{}) {
		t.Error("an empty tally scores nothing")
	}
}

func TestScoresOfOneClass(t *testing.T) {
	first, second := []float32{.9, .1}, []float32{.1, .9}
	for _, tc := range []struct {
		name        string
		predictions [][]float32
		labels      []int32
		want        bool
	}{
		{"all taken for the first", [][]float32{first, first, first}, []int32{0, 1, 0}, true},
		{"all taken for the second", [][]float32{second, second}, []int32{1, 0}, true},
		{"told apart", [][]float32{first, first, second}, []int32{0, 1, 0}, false},
		{"all of one class", [][]float32{first, first}, []int32{0, 0}, false},
		{"one sample", [][]float32{first}, []int32{1}, false},
	} {
		var tally Tally
		for i, p := range tc.predictions {
			tally.Add(p, tc.labels[i:i+1])
		}
		if got := tally.Scores().OneClass; got != tc.want {
			t.Errorf("%s: %v", tc.name, got)
		}
	}
}

func TestMean(t *testing.T) {
	dst := make([]float32, 2)
	mean(dst, []float32{1, 0}, []float32{0.5, 0.5})
	if dst[0] != 0.75 || dst[1] != 0.25 {
		t.Errorf("got %v", dst)
	}
}

func TestBetter(t *testing.T) {
	for _, tt := range []struct {
		name    string
		a, b    Scores
		further bool
	}{
		{"more accurate", Scores{Accuracy: 0.8, NLL: 2}, Scores{Accuracy: 0.7, NLL: 1}, true},
		{"less accurate", Scores{Accuracy: 0.7, NLL: 1}, Scores{Accuracy: 0.8, NLL: 2}, false},
		{"as accurate and surer", Scores{Accuracy: 0.8, NLL: 1}, Scores{Accuracy: 0.8, NLL: 2}, true},
		{"as accurate and less sure", Scores{Accuracy: 0.8, NLL: 2}, Scores{Accuracy: 0.8, NLL: 1}, false},
		{"equal", Scores{Accuracy: 0.8, NLL: 1}, Scores{Accuracy: 0.8, NLL: 1}, false},
		{"no number", Scores{Accuracy: 0.8, NLL: math.NaN()}, Scores{Accuracy: 0.8, NLL: 1}, false},
	} {
		if got := tt.a.Better(tt.b); got != tt.further {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
