package retrieval

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/reid"
)

// TestEqualRowsByOneDNN: oneDNN gives rows of the same features other products by
// where they lie; all the same the first of the gallery is ranked first.
func TestEqualRowsByOneDNN(t *testing.T) {
	m, err := onednn.OpenMultiplier(2)
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	defer m.Close()
	r := rand.New(rand.NewPCG(1, 5))
	for _, dim := range []int{1000, 1024, 1280, 2048} {
		row := make([]float32, dim)
		for k := range row {
			row[k] = float32(r.NormFloat64())
		}
		query := reid.Set{Features: row, Dim: dim, Labels: []reid.Label{{PID: "1", Camera: "1"}}}
		gallery := reid.Set{Features: slices.Repeat(row, 517), Dim: dim, Labels: slices.Repeat([]reid.Label{{PID: "2", Camera: "2"}}, 517)}
		gallery.Labels[0] = reid.Label{PID: "1", Camera: "2"}
		for _, metric := range reid.Metrics() {
			got, err := reid.Evaluate(t.Context(), query, gallery, reid.Options{Metric: metric, Multiplier: m, Rerank: &reid.Rerank{Top: 20}, Best: 3})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range []reid.Scores{got.Scores, got.Rerank.Scores} {
				if best := s.PerQuery[0].Best; s.MAP != 1 || best[0].Gallery != 0 || best[1].Gallery != 1 || best[2].Gallery != 2 {
					t.Errorf("%d features, %s: mAP %v, nearest %v", dim, metric, s.MAP, best)
				}
			}
		}
	}
}
