package reid

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// rerankedRows returns all distances after re-ranking.
func rerankedRows[T float](t *testing.T, a arithmetic[T], query, gallery Set, metric Metric, r Rerank) [][]float64 {
	t.Helper()
	q, g := matrix[T]{a.convert(query), query.Dim}, matrix[T]{a.convert(gallery), gallery.Dim}
	src, err := rerank(t.Context(), a, q, g, r.withDefaults(), Options{Metric: metric, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	out := make([][]float64, q.rows())
	err = forEachBlock(t.Context(), src, q.rows(), g.rows(), 2, func(row []T, i, _ int) {
		for _, d := range row {
			out[i] = append(out[i], float64(d))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func vectors(sets ...Set) (out [][]float64) {
	for _, s := range sets {
		for i := range s.rowsOf() {
			var v []float64
			for _, x := range s.row(i) {
				v = append(v, float64(x))
			}
			out = append(out, v)
		}
	}
	return
}

func (s Set) row(i int) []float32 { return s.Features[i*s.Dim : (i+1)*s.Dim] }

func (s Set) rowsOf() int { return len(s.Features) / s.Dim }

func compareRows(t *testing.T, what string, got, want [][]float64, tolerance float64) {
	t.Helper()
	for i := range want {
		for j := range want[i] {
			if !near(got[i][j], want[i][j], tolerance) {
				t.Fatalf("%s: query %d, image %d: %v, want %v", what, i, j, got[i][j], want[i][j])
			}
		}
	}
}

func TestGoldenRerank(t *testing.T) {
	query, gallery := Set{Features: []float32{0, 5}, Dim: 1}, Set{Features: []float32{.3, 1, 4.2, 5.5, 9}, Dim: 1}
	want := [][]float64{{.000333, .214215, .634207, .745784, .960303}, {.898827, .743564, .182416, .003, .412405}}
	r := Rerank{K1: 4, K2: 2, Lambda: .3}
	compareRows(t, "slow", slowRerank(vectors(query, gallery), 2, r), want, 5e-7)
	compareRows(t, "float64", rerankedRows(t, double(2), query, gallery, Euclidean, r), want, 6e-7)
	compareRows(t, "float32", rerankedRows(t, single(Gonum{}), query, gallery, Euclidean, r), want, 1e-6)
}

func clustered(r *rand.Rand, rows, dim int) Set {
	s := Set{Dim: dim}
	for range rows {
		centre := r.IntN(8)
		for k := range dim {
			v := r.NormFloat64() * .4
			if k%8 == centre {
				v++
			}
			s.Features = append(s.Features, float32(v))
		}
		s.Labels = append(s.Labels, Label{Number(1 + centre), Number(r.IntN(3))})
	}
	return s
}

func TestRerankAgainstDense(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	query, gallery := clustered(rng, 20, 10), clustered(rng, 80, 10)
	for _, r := range []Rerank{{}, {K1: 7, K2: 1}, {K1: 200, K2: 300, Lambda: .5}, {K1: 1, K2: 2, JaccardOnly: true}, {K1: 5, K2: 9, Lambda: 1}} {
		want := slowRerank(vectors(query, gallery), 20, r)
		compareRows(t, "float64", rerankedRows(t, double(2), query, gallery, Euclidean, r), want, 1e-9)
		compareRows(t, "float32", rerankedRows(t, single(Gonum{}), query, gallery, Euclidean, r), want, 2e-6)
		unit := joined(matrix[float64]{nil, 10}, matrix[float64]{slices.Concat(vectors(query, gallery)...), 10}, Cosine)
		var units [][]float64
		for i := range unit.rows() {
			units = append(units, unit.row(i))
		}
		compareRows(t, "cosine", rerankedRows(t, double(2), query, gallery, Cosine, r), slowRerank(units, 20, r), 1e-9)
	}
}

// TestRerankTop: with all of the gallery it is that of the query alone; with
// less, that of the nearest, and the others follow in their order.
func TestRerankTop(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 8))
	query, gallery := clustered(rng, 9, 10), clustered(rng, 60, 10)
	x := vectors(query, gallery)
	for _, top := range []int{12, 60, 100} {
		r := Rerank{K1: 6, K2: 3, Top: top}
		got := rerankedRows(t, double(2), query, gallery, Euclidean, r)
		single := rerankedRows(t, single(Gonum{}), query, gallery, Euclidean, r)
		for q := range 9 {
			distance := make([]float64, 60)
			order := make([]int, 60)
			for g := range 60 {
				order[g] = g
				for k, v := range x[9+g] {
					distance[g] += (v - x[q][k]) * (v - x[q][k])
				}
			}
			slices.SortFunc(order, func(a, b int) int { return int(1e15 * (distance[a] - distance[b])) })
			n := min(top, 60)
			some := [][]float64{x[q]}
			for _, g := range order[:n] {
				some = append(some, x[9+g])
			}
			want := make([]float64, 60)
			for k, d := range slowRerank(some, 1, r)[0] {
				want[order[k]] = d
			}
			for _, g := range order[n:] {
				want[g] = 1 + distance[g]/distance[order[59]]
			}
			compareRows(t, "float64", [][]float64{got[q]}, [][]float64{want}, 1e-9)
			compareRows(t, "float32", [][]float64{single[q]}, [][]float64{want}, 1e-5)
		}
	}
}

// TestRerankAlike: images that are all the same are at no distance.
func TestRerankAlike(t *testing.T) {
	query, gallery := Set{Features: []float32{3, 3}, Dim: 1}, Set{Features: []float32{3, 3, 3}, Dim: 1}
	for _, top := range []int{0, 2} {
		for _, row := range rerankedRows(t, double(2), query, gallery, Euclidean, Rerank{K1: 2, K2: 1, Top: top}) {
			for _, d := range row {
				if !(d >= 0 && d <= 1) {
					t.Errorf("top %d: %v", top, row)
				}
			}
		}
	}
}
