package reid

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// TestBestSameCamera compares with sorting everything but junk.
func TestBestSameCamera(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	query, gallery := randomSet(r, "q", 40, 4), randomSet(r, "g", 150, 4)
	for _, opts := range []Options{{Best: 5}, {Best: 5, Rerank: &Rerank{K1: 6, K2: 2}}, {Best: 500}, {Best: 0}} {
		plain, err := Evaluate(t.Context(), query, gallery, opts)
		if err != nil {
			t.Fatal(err)
		}
		opts.BestSameCamera = true
		got, err := Evaluate(t.Context(), query, gallery, opts)
		if err != nil {
			t.Fatal(err)
		}
		own := 0
		compare := func(plain, got Scores) {
			t.Helper()
			for q, l := range query.Labels {
				with, without := got.PerQuery[q], plain.PerQuery[q]
				ranked := slices.DeleteFunc(slices.Clone(with.Best), func(m Match) bool { return m.SameCamera })
				own += len(with.Best) - len(ranked)
				if !(len(ranked) == 0 && len(without.Best) == 0) && !reflect.DeepEqual(ranked, without.Best) || with.AP != without.AP || with.First != without.First {
					t.Fatalf("query %d: ranked %v, want %v", q, ranked, without.Best)
				}
				ordered := slices.IsSortedFunc(with.Best, func(a, b Match) int {
					return order(neighbour[float64]{a.Distance, int32(a.Gallery)}, neighbour[float64]{b.Distance, int32(b.Gallery)})
				})
				if !ordered {
					t.Fatalf("query %d: not in order: %v", q, with.Best)
				}
				for _, m := range with.Best {
					if g := gallery.Labels[m.Gallery]; m.SameCamera != (l.PID.Person() && g == l) {
						t.Fatalf("query %d %v: %v is said to be %v", q, l, g, m)
					}
				}
				if n := len(with.Best); n > 0 && with.Best[n-1].SameCamera && len(ranked) == opts.Best {
					t.Fatalf("query %d: an image of the same camera behind the last that is asked for", q)
				}
				if opts.Best == 500 {
					all := 0
					for _, g := range gallery.Labels {
						if g.PID != Junk {
							all++
						}
					}
					if len(with.Best) != all {
						t.Fatalf("query %d: %d of %d images", q, len(with.Best), all)
					}
				}
			}
		}
		compare(plain.Scores, got.Scores)
		if opts.Rerank != nil {
			compare(plain.Rerank.Scores, got.Rerank.Scores)
		}
		if own == 0 && opts.Best > 0 {
			t.Error("no image of the same camera in the test")
		}
	}
}

// TestRankWithoutLabels ranks images that nobody labelled.
func TestRankWithoutLabels(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	query, gallery := randomSet(r, "q", 30, 4), randomSet(r, "g", 80, 4)
	for i, l := range query.Labels {
		if l.PID == Junk {
			query.Labels[i].PID = "1"
		}
	}
	for i := range gallery.Labels {
		if gallery.Labels[i].PID == Junk {
			gallery.Labels[i].PID = Distractor
		}
	}
	want, err := Evaluate(t.Context(), query, gallery, Options{Best: 80, BestSameCamera: true})
	if err != nil {
		t.Fatal(err)
	}
	known, err := Rank(t.Context(), query, gallery, Options{Best: 80, BestSameCamera: true})
	if err != nil || !reflect.DeepEqual(known, want) {
		t.Errorf("with labels Rank differs from Evaluate: %v", err)
	}
	bare := func(s Set) Set {
		s.Labels = slices.Repeat([]Label{{Unknown, Unknown}}, len(s.Labels))
		return s
	}
	for _, sets := range [][2]Set{{bare(query), gallery}, {query, bare(gallery)}, {bare(query), bare(gallery)}} {
		got, err := Rank(t.Context(), sets[0], sets[1], Options{Best: 80, BestSameCamera: true, MultiQuery: true, Pool: &Set{Dim: 4, Features: make([]float32, 4), Labels: []Label{{"8", "9"}}}})
		if err != nil {
			t.Fatal(err)
		}
		if got.ValidQueries != 0 || got.SkippedQueries != 30 || got.MAP != 0 || got.CMC[1] != 0 || sets[1].Labels[0].PID == Unknown && got.Distractors != 0 {
			t.Errorf("%+v", got)
		}
		for q := range got.PerQuery {
			best := got.PerQuery[q].Best
			if len(best) != 80 {
				t.Fatalf("query %d: %d images", q, len(best))
			}
			for i, m := range best {
				if m.Good || m.SameCamera || m.Gallery != want.PerQuery[q].Best[i].Gallery {
					t.Fatalf("query %d: %v, want %v", q, m, want.PerQuery[q].Best[i])
				}
			}
		}
		if _, err := Evaluate(t.Context(), sets[0], sets[1], Options{}); !errors.Is(err, ErrLabel) {
			t.Errorf("Evaluate without labels: %v", err)
		}
	}
	// Of an image of unknown camera every image of its person is a match.
	for i := range query.Labels {
		query.Labels[i].Camera = Unknown
	}
	got, err := Rank(t.Context(), query, gallery, Options{Best: 80, BestSameCamera: true})
	if err != nil {
		t.Fatal(err)
	}
	for q, l := range query.Labels {
		for _, m := range got.PerQuery[q].Best {
			if m.SameCamera || m.Good != (l.PID.Person() && gallery.Labels[m.Gallery].PID == l.PID) {
				t.Fatalf("query %d: %v", q, m)
			}
		}
	}
}
