package reid

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// tied has unit vectors whose distances float32 cannot tell apart, many of them
// the same as others.
func tied(r *rand.Rand, base []float32, rows int) Set {
	s := Set{Dim: len(base)}
	for i := range rows {
		s.Labels = append(s.Labels, Label{Number(1 + r.IntN(4)), Number(r.IntN(3))})
		if i > 0 && r.IntN(2) == 0 {
			s.Features = append(s.Features, s.row(r.IntN(i))...)
			continue
		}
		v := slices.Clone(base)
		for k := range v {
			v[k] += float32(r.NormFloat64()) * 1e-4
		}
		s.Features = append(s.Features, unit(v)...)
	}
	return s
}

// TestNearTies compares rankings by a multiplier that rounds badly with those of
// sorting by float64, and with those by another multiplier.
func TestNearTies(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 1))
	for _, dim := range []int{3, 130, 1000} {
		base := unit(normal(r, dim))
		query, gallery := tied(r, base, 8), tied(r, base, 90)
		for _, opts := range []Options{{}, {Metric: Euclidean}, {Metric: Dot}, {Float64: true}, {Expand: 3},
			{Rerank: &Rerank{K1: 7, K2: 3}}, {Rerank: &Rerank{K1: 7, K2: 3, Top: 20}}, {Float64: true, Rerank: &Rerank{K1: 7, K2: 3, Top: 20}}} {
			name := fmt.Sprintf("%d features, %s, expanded by %d, float64 %v, re-ranked %v", dim, opts.Metric, opts.Expand, opts.Float64, opts.Rerank)
			opts.Best, opts.Workers = 90, 2
			plain, err := Evaluate(t.Context(), query, gallery, opts)
			if err != nil {
				t.Fatal(err)
			}
			opts.Multiplier = wild{}
			got, err := Evaluate(t.Context(), query, gallery, opts)
			if err != nil {
				t.Fatal(err)
			}
			// Rates of pairs are not rankings: they are those of float32.
			for _, result := range []*Result{plain, got} {
				result.ROC = nil
				if result.Rerank != nil {
					result.Rerank.ROC = nil
				}
			}
			if !reflect.DeepEqual(got, plain) {
				t.Errorf("%s: another multiplier gives another ranking", name)
			}
			last := got.Scores
			if opts.Rerank != nil {
				last = got.Rerank.Scores
			}
			for _, q := range last.PerQuery {
				sameInOrder(t, name, gallery, q.Best, opts.Rerank == nil || opts.Rerank.Top == 0)
			}
			if opts.Rerank != nil || opts.Expand > 0 {
				continue
			}
			want := slowRank(slowDistances(query, gallery, cmpMetric(opts.Metric)), query.Labels, gallery.Labels, false)
			for q, w := range want.results {
				g := got.PerQuery[q]
				if !near(g.AP, w.AP, 1e-12) || g.First != w.First || g.Best[0].Gallery != w.Best[0].Gallery || g.Best[2].Gallery != w.Best[2].Gallery {
					t.Fatalf("%s: query %d: %+v, want %+v", name, q, g, w)
				}
			}
		}
	}
}

func cmpMetric(m Metric) Metric {
	if m == "" {
		return Cosine
	}
	return m
}

// sameInOrder wants images of the same features to be in the gallery's order, and
// at one distance, but where only the first few are re-ranked.
func sameInOrder(t *testing.T, name string, gallery Set, best []Match, all bool) {
	t.Helper()
	last := make(map[string]Match)
	for _, m := range best {
		key := fmt.Sprint(gallery.row(m.Gallery))
		if before, seen := last[key]; seen && (before.Gallery > m.Gallery || all && before.Distance != m.Distance) {
			t.Fatalf("%s: %v before %v", name, before, m)
		}
		last[key] = m
	}
}

// TestOneImageManyTimes: of a gallery of equal rows the first is found, whatever
// rounding does to the others.
func TestOneImageManyTimes(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 2))
	base := unit(normal(r, 1024))
	query := Set{Features: base, Dim: 1024, Labels: []Label{{"1", "1"}}}
	gallery := Set{Features: slices.Repeat(base, 517), Dim: 1024, Labels: slices.Repeat([]Label{{"2", "2"}}, 517)}
	gallery.Labels[0] = Label{"1", "2"}
	for _, metric := range Metrics() {
		for _, rerank := range []*Rerank{nil, {}, {Top: 50}} {
			got, err := Evaluate(t.Context(), query, gallery, Options{Metric: metric, Multiplier: wild{}, Rerank: rerank})
			if err != nil || got.MAP != 1 || rerank != nil && got.Rerank.MAP != 1 {
				t.Errorf("%s: %v: %+v", metric, err, got)
			}
		}
	}
}

// TestFloat64Features: features that differ by less than float32 holds are told
// apart where they are given in float64.
func TestFloat64Features(t *testing.T) {
	query := Set{Features64: []float64{1, 1 + 1e-9}, Dim: 2, Labels: []Label{{"1", "1"}}}
	gallery := Set{Features64: []float64{1, 1 - 2e-9, 1, 1 + 1e-9}, Dim: 2, Labels: []Label{{"2", "2"}, {"1", "2"}}}
	for want, opts := range map[float64]Options{1: {Float64: true, Metric: Euclidean, Best: 1}, .5: {Metric: Euclidean, Best: 1}} {
		got, err := Evaluate(t.Context(), query, gallery, opts)
		if err != nil || got.MAP != want {
			t.Errorf("float64 %v: %v, mAP %v, want %v", opts.Float64, err, got, want)
		}
	}
	gallery.Features64[3] = math.Inf(1)
	if _, err := Evaluate(t.Context(), query, gallery, Options{}); !errors.Is(err, ErrNotFinite) {
		t.Errorf("%v", err)
	}
	gallery.Features64 = gallery.Features64[:3]
	if _, err := Evaluate(t.Context(), query, gallery, Options{}); !errors.Is(err, ErrCount) {
		t.Errorf("%v", err)
	}
}
