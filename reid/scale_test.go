package reid

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
)

// marketLabels returns labels distributed as in Market-1501: junk in front, as
// by file name, then distractors, then 750 people seen by 6 cameras.
func marketLabels(r *rand.Rand, queries, gallery int) (q, g []Label) {
	for i := range queries {
		q = append(q, Label{Number(1 + i%750), Number(i / 750 % 6)})
	}
	for i := range gallery {
		switch {
		case i < gallery*19/100:
			g = append(g, Label{Junk, Number(i % 6)})
		case i < gallery*33/100:
			g = append(g, Label{Distractor, Number(i % 6)})
		default:
			g = append(g, Label{Number(1 + r.IntN(750)), Number(r.IntN(6))})
		}
	}
	return q, g
}

// marketSets returns features that cluster by identity.
func marketSets(r *rand.Rand, queries, gallery, dim int) (q, g Set) {
	q, g = Set{Name: "q", Dim: dim}, Set{Name: "g", Dim: dim}
	q.Labels, g.Labels = marketLabels(r, queries, gallery)
	for _, s := range []*Set{&q, &g} {
		for i, l := range s.Labels {
			n, _ := l.PID.Number()
			seed := uint64(n)
			if !l.PID.Person() {
				seed = uint64(10000 + i)
			}
			centre := rand.New(rand.NewPCG(seed, 9))
			for range dim {
				s.Features = append(s.Features, float32(centre.NormFloat64()+.8*r.NormFloat64()))
			}
		}
	}
	return q, g
}

// TestNoAllocationPerQuery: memory is allocated for the evaluation, for blocks
// and for workers.
func TestNoAllocationPerQuery(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 9))
	query, gallery := marketSets(r, 800, 300, 4)
	allocations := func(queries int, opts Options) float64 {
		opts.Workers, opts.Best, opts.Multiplier = 2, 5, serial{}
		q := Set{Name: query.Name, Features: query.Features[:queries*query.Dim], Dim: query.Dim, Labels: query.Labels[:queries]}
		return testing.AllocsPerRun(1, func() {
			if _, err := Evaluate(context.Background(), q, gallery, opts); err != nil {
				t.Fatal(err)
			}
		})
	}
	for name, opts := range map[string]Options{"ranking": {}, "expansion": {Expand: 3}, "re-ranking the nearest": {Rerank: &Rerank{Top: 10, K1: 4, K2: 2}}} {
		few, many := allocations(200, opts), allocations(800, opts)
		if many-few > 100 {
			t.Errorf("%s: %v allocations for 200 queries, %v for 800", name, few, many)
		}
	}
}

// serial multiplies without goroutines, whose start allocates.
type serial struct{}

func (serial) MultiplyTransposed(c, a, b []float32, m, n, k int) error {
	for i := range m {
		for j := range n {
			var sum float32
			for l := range k {
				sum += a[i*k+l] * b[j*k+l]
			}
			c[i*n+j] = sum
		}
	}
	return nil
}

// TestRerankMemory: all that is allocated, in sum, is less than half of one
// matrix of all pairs.
func TestRerankMemory(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 10))
	query, gallery := marketSets(r, 1500, 8500, 8)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Evaluate(t.Context(), query, gallery, Options{Rerank: &Rerank{}, Workers: 2}); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	const matrix = 10_000 * 10_000 * 4
	allocated := after.TotalAlloc - before.TotalAlloc
	t.Logf("%d MB allocated, a matrix has %d MB", allocated>>20, matrix>>20)
	if allocated > matrix/2 {
		t.Errorf("%d bytes were allocated; a matrix of all pairs has %d", allocated, matrix)
	}
}

// BenchmarkRank ranks and scores the full size of Market-1501, the distances
// being there.
func BenchmarkRank(b *testing.B) {
	r := rand.New(rand.NewPCG(6, 11))
	query, gallery := marketLabels(r, 3368, 19732)
	distances := make([]float32, len(query)*len(gallery))
	for i := range distances {
		distances[i] = r.Float32()
	}
	for b.Loop() {
		if _, err := EvaluateDistances(context.Background(), distances, query, gallery, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkEvaluate measures whole evaluations of the full size.
func BenchmarkEvaluate(b *testing.B) {
	for _, dim := range []int{64, 512} {
		query, gallery := marketSets(rand.New(rand.NewPCG(6, 12)), 3368, 19732, dim)
		for _, rerank := range []*Rerank{nil, {}, {Top: 100}} {
			name := "rank"
			if rerank != nil {
				name = fmt.Sprintf("rerank-top%d", rerank.Top)
			}
			b.Run(fmt.Sprintf("%s-%d", name, dim), func(b *testing.B) {
				for b.Loop() {
					if _, err := Evaluate(context.Background(), query, gallery, Options{Rerank: rerank}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// TestManyCameras: where every image has a camera of its own, a table of queries
// by cameras would be as large as that of all distances.
func TestManyCameras(t *testing.T) {
	const n = 4000 // whose squares float32 holds exactly
	s := Set{Dim: 1}
	for i := range n {
		s.Features, s.Labels = append(s.Features, float32(i/2)), append(s.Labels, Label{Number(1 + i/2), Number(i)})
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := Evaluate(t.Context(), s, s, Options{Workers: 2, Metric: Euclidean})
	runtime.ReadMemStats(&after)
	if err != nil || r.MAP != 1 || len(r.Cameras) != n || r.Cameras[7] != (CameraPair{Query: "7", Gallery: "6", Queries: 1, MAP: 1}) {
		t.Fatalf("%v: mAP %v, %d pairs of cameras", err, r.MAP, len(r.Cameras))
	}
	if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 2*blockBytes {
		t.Errorf("%d bytes, and all distances are %d", allocated, n*n*4)
	}
}
