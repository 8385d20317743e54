package infer

import (
	"errors"
	"math"
	"testing"
)

// TestEnsemble computes every way of joining two students by hand.
func TestEnsemble(t *testing.T) {
	each := []Outputs{
		{N: 1, Logits: []float32{0, 1}, Probabilities: []float32{.25, .75}, Embedding: []float32{3, 4}},
		{N: 1, Logits: []float32{2, 1}, Probabilities: []float32{.5, .5}, Embedding: []float32{0, 2}},
	}
	softmax := func(a, b float64) []float32 {
		p := 1 / (1 + math.Exp(b-a))
		return []float32{float32(p), float32(1 - p)}
	}
	root := func(w float64) float32 { return float32(math.Sqrt(w)) }
	for name, tc := range map[string]struct {
		ensemble                         Ensemble
		logits, probabilities, embedding []float32
	}{
		"mean of probabilities": {Ensemble{}, nil, []float32{.375, .625}, []float32{.6 * root(.5), .8 * root(.5), 0, root(.5)}},
		"weighted":              {Ensemble{Weights: []float64{3, 1}}, nil, []float32{.3125, .6875}, []float32{.6 * root(.75), .8 * root(.75), 0, root(.25)}},
		"mean of logits":        {Ensemble{Logits: true, AverageEmbeddings: true}, []float32{1, 1}, softmax(1, 1), []float32{.3, .9}},
		"weighted logits":       {Ensemble{Logits: true, AverageEmbeddings: true, Weights: []float64{.75, .25}}, []float32{.5, 1}, softmax(.5, 1), []float32{.45, .85}},
	} {
		got, err := tc.ensemble.outputs(each)
		if err != nil || got.N != 1 || len(got.Logits) != len(tc.logits) {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		for i, want := range [][]float32{tc.logits, tc.probabilities, tc.embedding} {
			v := [][]float32{got.Logits, got.Probabilities, got.Embedding}[i]
			for k := range want {
				if len(v) != len(want) || math.Abs(float64(v[k]-want[k])) > 1e-6 {
					t.Errorf("%s: result %d is %v, want %v", name, i, v, want)
					break
				}
			}
		}
	}
	if each[0].Embedding[0] != 3 {
		t.Error("joining changed a student's outputs")
	}
	// Students without probabilities take part by the softmax of their logits.
	bare := []Outputs{{N: 1, Logits: []float32{0, 0}}, {N: 1, Logits: []float32{0, 0}}}
	if got, err := (Ensemble{}).outputs(bare); err != nil || got.Probabilities[0] != .5 || got.Embedding != nil {
		t.Errorf("logits alone: %+v, %v", got, err)
	}
	bare[1].Logits = []float32{0, 0, 0}
	if _, err := (Ensemble{}).outputs(bare); !errors.Is(err, ErrMismatch) {
		t.Errorf("two and three classes: %v", err)
	}
	if _, err := (Ensemble{AverageEmbeddings: true}).features([]int{3, 4}); err == nil {
		t.Error("embeddings of 3 and 4 features can be averaged")
	}
	if n, err := (Ensemble{}).features([]int{3, 4}); n != 7 || err != nil {
		t.Errorf("side by side: %d, %v", n, err)
	}
}
