package reid

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

// randomSet has clustered features, of which many distances are equal, and
// labels of all kinds.
func randomSet(r *rand.Rand, name string, rows, dim int) Set {
	s := Set{Name: name, Dim: dim}
	for range rows {
		pid := r.IntN(9) - 1
		s.Labels = append(s.Labels, Label{Number(pid), Number(r.IntN(4))})
		for k := range dim {
			s.Features = append(s.Features, float32(r.IntN(3)+(pid*(k+3))%5))
		}
	}
	return s
}

// TestGoldenAP checks the vectors of the definitions.
func TestGoldenAP(t *testing.T) {
	for _, tc := range []struct {
		matches                  []int
		rectangular, trapezoidal float64
	}{
		{[]int{0, 1}, .5, .25},
		{[]int{1, 0, 1, 0, 0}, .833333, .791667},
		{[]int{0, 1, 1, 0, 1}, .588889, .461111},
		{[]int{0, 0, 1, 1}, .416667, .291667},
	} {
		distances, gallery := []float32{}, []Label{}
		for i, m := range tc.matches {
			distances = append(distances, float32(i))
			gallery = append(gallery, Label{Number(2 - m), "2"})
		}
		// Junk of either kind takes no rank, wherever it is.
		distances = append(distances, -1, -2, .5)
		gallery = append(gallery, Label{"1", "1"}, Label{Junk, "2"}, Label{Junk, "1"})
		got, err := EvaluateDistances(t.Context(), distances, []Label{{"1", "1"}}, gallery, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if !near(got.MAP, tc.rectangular, 5e-7) || !near(got.MAPTrapezoidal, tc.trapezoidal, 5e-7) {
			t.Errorf("%v: %.6f and %.6f, want %.6f and %.6f", tc.matches, got.MAP, got.MAPTrapezoidal, tc.rectangular, tc.trapezoidal)
		}
	}
}

// check compares a result with the slow one.
func check(t *testing.T, got Scores, want slowScores, tolerance float64) {
	t.Helper()
	var sum QueryResult
	valid, first := 0.0, 0.0
	for q, w := range want.results {
		g := got.PerQuery[q]
		if g.Valid != w.Valid || g.Matches != w.Matches || g.First != w.First ||
			!near(g.AP, w.AP, 1e-12) || !near(g.APTrapezoidal, w.APTrapezoidal, 1e-12) || !near(g.INP, w.INP, 1e-12) {
			t.Fatalf("query %d: %+v, want %+v", q, g, w)
		}
		if len(g.Best) != len(w.Best) {
			t.Fatalf("query %d: best %v, want %v", q, g.Best, w.Best)
		}
		for i, b := range g.Best {
			if b.Gallery != w.Best[i].Gallery || b.Good != w.Best[i].Good || !near(b.Distance, w.Best[i].Distance, tolerance) {
				t.Fatalf("query %d: best %v, want %v", q, g.Best, w.Best)
			}
		}
		if w.Valid {
			valid++
			sum.AP, sum.APTrapezoidal, sum.INP = sum.AP+w.AP, sum.APTrapezoidal+w.APTrapezoidal, sum.INP+w.INP
			if w.First <= 5 {
				first++
			}
		}
	}
	if !near(got.MAP, sum.AP/valid, 1e-12) || !near(got.MAPTrapezoidal, sum.APTrapezoidal/valid, 1e-12) ||
		!near(got.MINP, sum.INP/valid, 1e-12) || got.CMC[5] != first/valid {
		t.Errorf("%v %v %v %v, want %v %v %v %v", got.MAP, got.MAPTrapezoidal, got.MINP, got.CMC[5],
			sum.AP/valid, sum.APTrapezoidal/valid, sum.INP/valid, first/valid)
	}
	for _, p := range got.ROC {
		if want := want.tpr(p.FPR); p.TPR != want {
			t.Errorf("TPR at %v is %v, want %v", p.FPR, p.TPR, want)
		}
	}
	if len(got.Cameras) != len(want.cameras) || len(got.ROC) != len(rates) {
		t.Errorf("%d pairs of cameras, want %d; %d points of the ROC", len(got.Cameras), len(want.cameras), len(got.ROC))
	}
	for _, c := range got.Cameras {
		aps := want.cameras[[2]ID{c.Query, c.Gallery}]
		mean := 0.0
		for _, ap := range aps {
			mean += ap / float64(len(aps))
		}
		if c.Queries != len(aps) || !near(c.MAP, mean, 1e-12) {
			t.Errorf("%+v, want %v of %d", c, mean, len(aps))
		}
	}
}

// TestAgainstSorting compares with sorted rows, on distances with many ties.
func TestAgainstSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 1))
	for _, zero := range []bool{false, true} {
		for _, rows := range []int{8, 60, 300} {
			query, gallery := randomSet(r, "q", 40, 3), randomSet(r, "g", rows, 3)
			gallery.Labels[0].PID, gallery.Labels[rows-1].PID = Junk, Junk // trimmed
			distances := make([]float32, 40*rows)
			exact := make([][]float64, 40)
			for q := range exact {
				for g := range rows {
					d := r.IntN(20)
					distances[q*rows+g] = float32(d)
					exact[q] = append(exact[q], float64(d))
				}
			}
			before := slices.Clone(distances)
			got, err := EvaluateDistances(t.Context(), distances, query.Labels, gallery.Labels, Options{Best: 3, ZeroIsIdentity: zero, Workers: 3})
			if err != nil {
				t.Fatal(err)
			}
			check(t, got.Scores, slowRank(exact, query.Labels, gallery.Labels, zero), 0)
			if !slices.Equal(before, distances) {
				t.Error("the distances were changed")
			}
			// Small whole numbers have exact products: ties are the same.
			for _, metric := range []Metric{Dot, Euclidean} {
				for _, double := range []bool{false, true} {
					got, err := Evaluate(t.Context(), query, gallery, Options{Metric: metric, Best: 3, ZeroIsIdentity: zero, Float64: double, Workers: 2})
					if err != nil {
						t.Fatal(err)
					}
					check(t, got.Scores, slowRank(slowDistances(query, gallery, metric), query.Labels, gallery.Labels, zero), 1e-6)
				}
			}
		}
	}
}

// TestCosine has no ties but between rows that are the same.
func TestCosine(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 2))
	query, gallery := randomSet(r, "q", 30, 16), randomSet(r, "g", 100, 16)
	for i := range gallery.Features {
		gallery.Features[i] += r.Float32()
	}
	clear(query.row(3))
	got, err := Evaluate(t.Context(), query, gallery, Options{Best: 3, Float64: true})
	if err != nil {
		t.Fatal(err)
	}
	check(t, got.Scores, slowRank(slowDistances(query, gallery, Cosine), query.Labels, gallery.Labels, false), 1e-9)
}

// TestManyPairs has more pairs than the ROC keeps at a time, and several blocks.
func TestManyPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 3))
	query, gallery := randomSet(r, "q", 300, 1), randomSet(r, "g", 2000, 1)
	distances := make([]float32, 300*2000)
	exact := make([][]float64, 300)
	for q := range exact {
		for g := range 2000 {
			d := float32(r.NormFloat64() - float64(q)/100) // ever smaller: the bound moves
			if query.Labels[q].PID == gallery.Labels[g].PID {
				d -= 2
			}
			distances[q*2000+g] = d
			exact[q] = append(exact[q], float64(d))
		}
	}
	got, err := EvaluateDistances(t.Context(), distances, query.Labels, gallery.Labels, Options{Best: 3, Workers: 3})
	if err != nil {
		t.Fatal(err)
	}
	check(t, got.Scores, slowRank(exact, query.Labels, gallery.Labels, false), 0)
	if tpr := got.ROC[2].TPR; tpr < .05 || tpr > .95 {
		t.Errorf("the ROC is trivial: %v", got.ROC)
	}
}

// TestROCIsBounded: rates for which too many distances would have to be kept are
// left out.
func TestROCIsBounded(t *testing.T) {
	query, gallery := make([]Label, 40_000), make([]Label, 50_000)
	for i := range query {
		query[i] = Label{Number(1 + i), "1"}
	}
	gallery[0] = Label{"1", "2"}
	s := newPairs[float32](newProtocol(query, gallery, false, true))
	if s.total != 40_000*50_000-1 || len(s.good) != 1 || !slices.Equal(s.rates, rates[:2]) || s.keep > mostKept {
		t.Errorf("%d wrong pairs, %d good ones, rates %v, %d kept", s.total, len(s.good), s.rates, s.keep)
	}
}

// TestSelectNth compares with sorting.
func TestSelectNth(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 4))
	for range 300 {
		v := make([]float32, 1+r.IntN(60))
		for i := range v {
			v[i] = float32(r.IntN(30))
		}
		sorted := slices.Sorted(slices.Values(v))
		n := r.IntN(len(v))
		got := selectNth(v, n)
		front := slices.Sorted(slices.Values(v[:n+1]))
		if got != sorted[n] || v[n] != got || !slices.Equal(front, sorted[:n+1]) {
			t.Fatalf("place %d of %v: %v", n, sorted, got)
		}
	}
}

// TestSmallest compares with sorting: values in any order, many equal, and such
// that a sample misleads.
func TestSmallest(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 14))
	for round := range 300 {
		n := 1 + r.IntN(3000)
		v := make([]float32, 2*n+r.IntN(50))
		kinds := 1 + r.IntN(10_000)
		for i := range v {
			v[i] = float32(r.IntN(kinds))
			if round%3 == 0 && i%(max(1, len(v)/1024)) == 0 {
				v[i] = -v[i] // what a sample looks at
			}
		}
		sorted := slices.Sorted(slices.Values(v))
		front, bound := smallest(v, n)
		if len(front) < n || len(front) > n+n/2 {
			t.Fatalf("%d of %d values, %d are wanted", len(front), len(v), n)
		}
		got := slices.Sorted(slices.Values(front))
		if !slices.Equal(got, sorted[:len(got)]) || got[n-1] > bound || sorted[len(got)] < bound {
			t.Fatalf("the %d smallest of %v: %v, bound %v", n, sorted, got, bound)
		}
	}
}

// TestWorkers: the number of workers changes no bit.
func TestWorkers(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 5))
	query, gallery := randomSet(r, "q", 40, 8), randomSet(r, "g", 200, 8)
	var want *Result
	for _, workers := range []int{1, 2, 7} {
		got, err := Evaluate(t.Context(), query, gallery, Options{Workers: workers, Best: 5, MultiQuery: true, Expand: 2, Rerank: &Rerank{}})
		if err != nil {
			t.Fatal(err)
		}
		if want == nil {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%d workers: %+v, want %+v", workers, got, want)
		}
	}
}

// TestPooling checks the features of multiple and of expanded queries.
func TestPooling(t *testing.T) {
	query := Set{Name: "q", Features: []float32{3, 0, 0, 2, 7, 7}, Dim: 2, Labels: []Label{{"1", "1"}, {"0", "1"}, {"2", "1"}}}
	gallery := Set{Name: "g", Features: []float32{0, 4, 1, 1, 9, 0, 5, 5}, Dim: 2, Labels: []Label{{"1", "1"}, {"1", "2"}, {"0", "1"}, {Junk, "1"}}}
	root := math.Sqrt(.5)
	for _, tc := range []struct {
		metric Metric
		pool   *Set
		want   []float64
	}{
		{Dot, nil, []float64{.6, .8, 0, 2, root, root}},
		{Cosine, nil, []float64{root, root, 0, 2, root, root}},
		{Euclidean, nil, []float64{1.5, 2, 0, 2, 7, 7}},
		{Dot, &Set{Name: "p", Features: []float32{0, 9}, Dim: 2, Labels: []Label{{"1", "1"}}}, []float64{0, 1, 0, 2, 7, 7}},
	} {
		a := double(1)
		got := pooled(a, matrix[float64]{a.convert(query), 2}, query, gallery, Options{Metric: tc.metric, Pool: tc.pool})
		for i := range tc.want {
			if len(got) != len(tc.want) || !near(got[i], tc.want[i], 1e-12) {
				t.Errorf("%s: %v, want %v", tc.metric, got, tc.want)
				break
			}
		}
	}
	q, g := matrix[float64]{[]float64{1, 0}, 2}, matrix[float64]{[]float64{1, 1, -1, 0, 0, 2}, 2}
	for metric, want := range map[Metric][]float64{Euclidean: {1, .5}, Dot: {2 / math.Sqrt(5), 1 / math.Sqrt(5)}} {
		got, err := expanded(t.Context(), double(2), q, g, Options{Metric: metric, Expand: 1, Workers: 2})
		if err != nil || !near(got[0], want[0], 1e-12) || !near(got[1], want[1], 1e-12) {
			t.Errorf("%s: expanded to %v (%v), want %v", metric, got, err, want)
		}
	}
}

// TestGonum compares tiles of all sizes with the obvious way.
func TestGonum(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 13))
	for _, size := range [][3]int{{1, 1, 1}, {3, 70, 5}, {17, 64, 2}, {33, 129, 20}} {
		m, n, k := size[0], size[1], size[2]
		a, b := make([]float32, m*k), make([]float32, n*k)
		for _, v := range [][]float32{a, b} {
			for i := range v {
				v[i] = float32(r.IntN(9) - 4)
			}
		}
		want, got, small := make([]float32, m*n), make([]float32, m*n), make([]float32, m*n)
		got[0], small[0] = 99, 99
		for i := range m {
			for j := range n {
				for l := range k {
					want[i*n+j] += a[i*k+l] * b[j*k+l]
				}
			}
		}
		if err := (Gonum{}).MultiplyTransposed(got, a, b, m, n, k); err != nil || !slices.Equal(got, want) {
			t.Errorf("%v: %v, want %v (%v)", size, got, want, err)
		}
		if single(Gonum{}).small(small, a, b, m, n, k); !slices.Equal(small, want) {
			t.Errorf("%v: small gives %v, want %v", size, small, want)
		}
	}
}

// failing is a Multiplier that fails; counting one that counts.
type failing struct{ err error }

func (f failing) MultiplyTransposed([]float32, []float32, []float32, int, int, int) error {
	return f.err
}

type counting struct{ multiplications int }

func (c *counting) MultiplyTransposed(dst, a, b []float32, m, n, k int) error {
	c.multiplications += m * n
	return Gonum{}.MultiplyTransposed(dst, a, b, m, n, k)
}

func TestMultiplier(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	query, gallery := randomSet(r, "q", 10, 4), randomSet(r, "g", 50, 4)
	gallery.Labels[0].PID, gallery.Labels[1].PID, gallery.Labels[49].PID = Junk, Junk, Junk
	for i := 2; i < 49; i++ {
		if gallery.Labels[i].PID == Junk {
			gallery.Labels[i].PID = Distractor
		}
	}
	c := new(counting)
	if _, err := Evaluate(t.Context(), query, gallery, Options{Multiplier: c}); err != nil || c.multiplications != 10*47 {
		t.Errorf("%d products, want %d, without the junk at the ends (%v)", c.multiplications, 10*47, err)
	}
	broken := errors.New("broken")
	for _, o := range []Options{{}, {Expand: 1}, {Rerank: &Rerank{}}, {Rerank: &Rerank{Top: 3}}} {
		o.Multiplier = failing{broken}
		if _, err := Evaluate(t.Context(), query, gallery, o); !errors.Is(err, broken) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Evaluate(done, query, gallery, Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestBadSets(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	good := func() (Set, Set) {
		return Set{Name: "q.npy", Features: []float32{1, 2, 3, 4}, Dim: 2, Labels: []Label{{"1", "1"}, {"2", "1"}}},
			Set{Name: "g.npy", Features: []float32{1, 2, 3, 4, 5, 6}, Dim: 2, Labels: []Label{{"1", "2"}, {"2", "2"}, {"0", "1"}}}
	}
	for _, tc := range []struct {
		name  string
		spoil func(q, g *Set)
		want  error
		says  []string
	}{
		{"NaN", func(q, g *Set) { g.Features[3] = nan }, ErrNotFinite, []string{"g.npy", "row 1", "feature 1 is NaN"}},
		{"infinite", func(q, g *Set) { q.Features[0] = inf }, ErrNotFinite, []string{"q.npy", "row 0", "+Inf"}},
		{"huge", func(q, g *Set) { q.Features[2] = 1e30 }, ErrNotFinite, []string{"q.npy", "row 1", "too large"}},
		{"dimensions", func(q, g *Set) { g.Dim, g.Labels = 3, g.Labels[:2] }, ErrDimension, []string{"q.npy", "g.npy", "2 features", "3"}},
		{"no dimension", func(q, g *Set) { g.Dim = 0 }, ErrDimension, []string{"g.npy"}},
		{"count", func(q, g *Set) { g.Labels = g.Labels[:2] }, ErrCount, []string{"g.npy", "6 numbers", "2 rows"}},
		{"empty", func(q, g *Set) { q.Labels, q.Features = nil, nil }, ErrEmpty, []string{"q.npy"}},
		{"identity", func(q, g *Set) { q.Labels[1].PID = "-7" }, ErrLabel, []string{"q.npy", "row 1", "-7"}},
		{"camera", func(q, g *Set) { q.Labels[0].Camera = "-7" }, ErrLabel, []string{"q.npy", "row 0", "camera -7"}},
		{"no camera", func(q, g *Set) { q.Labels[0].Camera = Unknown }, ErrLabel, []string{"q.npy", "row 0", "camera is not known"}},
		{"other people", func(q, g *Set) { q.Labels[0].PID, q.Labels[1].PID = "7", "8" }, ErrNoMatch, []string{"q.npy", "g.npy", "identity"}},
		{"same camera", func(q, g *Set) { g.Labels[0].Camera, g.Labels[1].Camera = "1", "1" }, ErrNoMatch, []string{"camera alone"}},
		{"only junk", func(q, g *Set) { q.Labels[0].PID, q.Labels[1].PID = Junk, Distractor }, ErrNoMatch, []string{"junk or distractors"}},
		{"junk gallery", func(q, g *Set) { g.Labels = []Label{{Junk, "1"}, {Junk, "1"}, {Junk, "1"}} }, ErrNoMatch, []string{"g.npy"}},
	} {
		q, g := good()
		tc.spoil(&q, &g)
		_, err := Evaluate(t.Context(), q, g, Options{})
		if !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
			continue
		}
		for _, want := range tc.says {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", tc.name, err, want)
			}
		}
	}
	q, g := good()
	if _, err := Evaluate(t.Context(), q, g, Options{MultiQuery: true, Pool: &Set{Name: "p.npy"}}); !errors.Is(err, ErrEmpty) || !strings.Contains(err.Error(), "p.npy") {
		t.Errorf("empty pool: %v", err)
	}
	var row *RowError
	_, err := EvaluateDistances(t.Context(), []float32{1, 2, 3, 4, nan, 6}, q.Labels, g.Labels, Options{})
	if !errors.As(err, &row) || row.Row != 1 || !errors.Is(err, ErrNotFinite) {
		t.Errorf("NaN distance: %v", err)
	}
	if _, err := EvaluateDistances(t.Context(), slices.Repeat([]float32{nan}, 6), q.Labels, g.Labels, Options{}); !errors.Is(err, ErrNotFinite) {
		t.Errorf("distances that are all NaN: %v", err)
	}
	if _, err := EvaluateDistances(t.Context(), []float32{1}, q.Labels, g.Labels, Options{}); !errors.Is(err, ErrCount) {
		t.Errorf("too few distances: %v", err)
	}
	if _, err := EvaluateDistances(t.Context(), nil, nil, g.Labels, Options{}); !errors.Is(err, ErrEmpty) {
		t.Errorf("no distances: %v", err)
	}
	if _, err := EvaluateDistances(t.Context(), nil, nil, nil, Options{Rerank: &Rerank{}}); !errors.Is(err, ErrOptions) {
		t.Errorf("re-ranking distances: %v", err)
	}
}

// TestOneFaultOnce: a set that is both queries and gallery has its fault once.
func TestOneFaultOnce(t *testing.T) {
	s := Set{Name: "g.npy", Features: []float32{1, 2}, Dim: 2, Labels: []Label{{Unknown, "1"}}}
	if _, err := Evaluate(t.Context(), s, s, Options{}); !errors.Is(err, ErrLabel) || strings.Count(err.Error(), "g.npy") != 1 {
		t.Errorf("%v", err)
	}
}

// TestValidateReportsAll: every fault is said at once.
func TestValidateReportsAll(t *testing.T) {
	bad := Options{Metric: "far", Pool: &Set{}, Expand: -1, Best: -2, Workers: -3, Ranks: []int{1, 0},
		Rerank: &Rerank{K1: -4, K2: -5, Lambda: 2, JaccardOnly: true, Top: 5000}}
	if err := (Options{Rerank: &Rerank{K1: math.MaxInt, K2: math.MaxInt}}).Validate(); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "K1") || !strings.Contains(err.Error(), "K2") {
		t.Errorf("endless neighbourhoods: %v", err)
	}
	err := bad.Validate()
	for _, want := range []string{`"far"`, "Pool", "Expand", "Best", "Workers", "rank 0", "K1", "K2", "Lambda is 2", "JaccardOnly", "Top"} {
		if !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	if (Options{Rerank: &Rerank{Lambda: math.NaN()}}).Validate() == nil {
		t.Error("a lambda of NaN passed")
	}
	if err := (Options{}).Validate(); err != nil {
		t.Error(err)
	}
	if _, err := Evaluate(t.Context(), Set{}, Set{}, bad); !errors.Is(err, ErrOptions) {
		t.Errorf("Evaluate: %v", err)
	}
}

func TestJSON(t *testing.T) {
	query, gallery := Set{Name: "", Features: []float32{1}, Dim: 1, Labels: []Label{{"1", "1"}}}, Set{Name: "", Features: []float32{1}, Dim: 1, Labels: []Label{{"1", "2"}}}
	r, err := Evaluate(t.Context(), query, gallery, Options{Rerank: &Rerank{}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Protocol, Metric string
		Queries, Gallery int
		Valid            int     `json:"valid_queries"`
		MAP              float64 `json:"mAP"`
		Trapezoidal      float64 `json:"mAP_trapezoidal"`
		MINP             float64 `json:"mINP"`
		CMC              map[string]float64
		ROC              []ROCPoint
		Rerank           struct {
			MAP float64 `json:"mAP"`
			K1  int
		}
	}
	text, err := json.Marshal(r)
	if err == nil {
		err = json.Unmarshal(text, &got)
	}
	if err != nil || got.Protocol != "single_query" || got.Metric != "cosine" || got.Queries != 1 || got.Valid != 1 || got.Gallery != 1 ||
		got.MAP != 1 || got.Trapezoidal != 1 || got.MINP != 1 || got.CMC["20"] != 1 || len(got.CMC) != 4 || got.ROC == nil || got.Rerank.MAP != 1 || got.Rerank.K1 != 20 {
		t.Errorf("%v: %s", err, text)
	}
}
