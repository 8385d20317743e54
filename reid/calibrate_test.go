package reid

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// slowPairs gathers and sorts the distances of all pairs.
func slowPairs(t *testing.T, query, gallery Set, opts CalibrateOptions) (same, different []float64) {
	t.Helper()
	shared := opts.options().withDefaults()
	src := newDirect(shared.Metric, single(shared.Multiplier), matrix[float32]{query.Features, query.Dim}, matrix[float32]{gallery.Features, gallery.Dim})
	row := make([]float32, len(gallery.Labels))
	for q, l := range query.Labels {
		if l.PID == Junk || l.PID == "0" && !opts.ZeroIsIdentity {
			continue
		}
		if err := src.rows(row, q, 1); err != nil {
			t.Fatal(err)
		}
		src.finish(row, q, 0)
		for j, g := range gallery.Labels {
			switch d := src.reported(float64(row[j])); {
			case g.PID == Junk || g == l:
			case g.PID == l.PID:
				same = append(same, d)
			default:
				different = append(different, d)
			}
		}
	}
	slices.Sort(same)
	slices.Sort(different)
	return same, different
}

// below counts the distances of a sorted list below a threshold.
func below(sorted []float64, threshold float64) int {
	n, _ := slices.BinarySearch(sorted, threshold)
	return n
}

// slowAUC compares every pair with every other.
func slowAUC(same, different []float64) float64 {
	nearer := 0.0
	for _, s := range same {
		first := below(different, s)
		equal := below(different, math.Nextafter(s, math.Inf(1))) - first
		nearer += float64(len(different)-first-equal) + float64(equal)/2
	}
	return nearer / float64(len(same)) / float64(len(different))
}

func TestCalibrateAgainstSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	smooth := func(name string, rows int) Set { // few equal distances
		s := randomSet(r, name, rows, 7)
		for i := range s.Features {
			s.Features[i] += float32(r.NormFloat64())
		}
		return s
	}
	sets := map[string][2]Set{
		"smooth": {smooth("q", 90), smooth("g", 400)},
		"equal":  {randomSet(r, "q", 60, 3), randomSet(r, "g", 300, 3)},
	}
	for name, s := range sets {
		for _, metric := range Metrics() {
			for _, rate := range []float64{1e-3, .01, .3, .99} {
				for _, zero := range []bool{false, true} {
					opts := CalibrateOptions{FPR: rate, Metric: metric, Bins: 37, ZeroIsIdentity: zero, Workers: 3}
					what := fmt.Sprintf("%s %s %g %v", name, metric, rate, zero)
					got, err := Calibrate(t.Context(), s[0], s[1], opts)
					if err != nil {
						t.Fatalf("%s: %v", what, err)
					}
					same, different := slowPairs(t, s[0], s[1], opts)
					want := different[int(rate*float64(len(different)))]
					accepted := below(different, want)
					if got.Threshold != want || got.Accepted != int64(accepted) || got.FPR != float64(accepted)/float64(len(different)) ||
						got.TPR != float64(below(same, want))/float64(len(same)) || got.Same != int64(len(same)) || got.Different != int64(len(different)) {
						t.Errorf("%s: %+v, want threshold %v accepting %d", what, *got, want, accepted)
					}
					if got.FPR > rate {
						t.Errorf("%s: accepts %v", what, got.FPR)
					}
					if auc := slowAUC(same, different); !near(got.AUC, auc, 1e-3) {
						t.Errorf("%s: AUC %v, want %v", what, got.AUC, auc)
					}
					h := got.Histogram
					if sum(h.Same) != got.Same || sum(h.Different) != got.Different || len(h.Same) != 37 {
						t.Errorf("%s: the histogram has %d and %d pairs", what, sum(h.Same), sum(h.Different))
					}
					if lo, hi := min(same[0], different[0]), max(same[len(same)-1], different[len(different)-1]); h.Low > lo || h.High <= hi || h.High-h.Low > 1.01*(hi-lo)+1e-6 {
						t.Errorf("%s: a histogram from %v to %v of distances from %v to %v", what, h.Low, h.High, lo, hi)
					}
				}
			}
		}
	}
}

// TestCalibrateIsTheROC compares with what Evaluate says of the same rate.
func TestCalibrateIsTheROC(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 8))
	q, g := marketSets(r, 60, 700, 16)
	all, err := Evaluate(t.Context(), q, g, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all.ROC {
		got, err := Calibrate(t.Context(), q, g, CalibrateOptions{FPR: p.FPR})
		if err != nil {
			t.Fatal(err)
		}
		if got.TPR != p.TPR {
			t.Errorf("TPR %v at %v, the ROC has %v", got.TPR, p.FPR, p.TPR)
		}
	}
}

// TestMostWithin counts up to the largest fraction that a rate admits.
func TestMostWithin(t *testing.T) {
	for _, rate := range []float64{0, 1e-4, 1e-3, .01, .07, .29, .57, .999, 1} {
		for all := range int64(1000) {
			want := int64(0)
			for want < all && float64(want+1)/float64(all) <= rate {
				want++
			}
			if got := mostWithin(rate, all); got != want {
				t.Errorf("%v of %d: %d, want %d", rate, all, got, want)
			}
		}
	}
}

func TestEqualErrorRate(t *testing.T) {
	// Of four pairs of one person one is far, of four pairs of two one is near.
	at := func(angle float64) []float32 { return []float32{float32(math.Cos(angle)), float32(math.Sin(angle))} }
	q := Set{Dim: 2, Features: at(0), Labels: []Label{{"1", "1"}}}
	g := Set{Dim: 2}
	for i, pid := range []int{1, 1, 2, 1, 2, 2, 1, 2} {
		g.Features = append(g.Features, at(.2+float64(i)/4)...)
		g.Labels = append(g.Labels, Label{Number(pid), "2"})
	}
	got, err := Calibrate(t.Context(), q, g, CalibrateOptions{FPR: .25})
	if err != nil {
		t.Fatal(err)
	}
	if got.EER != .25 || got.TPR != .75 || got.FPR != .25 || got.AUC != 12./16 {
		t.Errorf("%+v", got)
	}
}

func TestCalibrateRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	q, g := randomSet(r, "q.npy", 5, 3), randomSet(r, "g.npy", 30, 3)
	q.Labels[0], g.Labels[0] = Label{"3", "1"}, Label{"3", "2"}
	for _, tc := range []struct {
		opts CalibrateOptions
		want error
	}{
		{CalibrateOptions{FPR: 1e-6}, ErrRate},
		{CalibrateOptions{FPR: 1}, ErrOptions},
		{CalibrateOptions{FPR: math.NaN()}, ErrOptions},
		{CalibrateOptions{Metric: "far"}, ErrOptions},
		{CalibrateOptions{Bins: -1}, ErrOptions},
	} {
		if _, err := Calibrate(t.Context(), q, g, tc.opts); !errors.Is(err, tc.want) {
			t.Errorf("%+v: %v", tc.opts, err)
		}
	}
	for i := range g.Labels {
		g.Labels[i].PID = "99"
	}
	if _, err := Calibrate(t.Context(), q, g, CalibrateOptions{FPR: .5}); !errors.Is(err, ErrNoMatch) {
		t.Error(err)
	}
	one := Set{Dim: 1, Features: []float32{1}, Labels: []Label{{"1", "1"}}}
	other := Set{Dim: 1, Features: []float32{2}, Labels: []Label{{"1", "2"}}}
	if _, err := Calibrate(t.Context(), one, other, CalibrateOptions{FPR: .5}); !errors.Is(err, ErrRate) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Calibrate(ctx, one, Set{Dim: 1, Features: []float32{2, 3}, Labels: []Label{{"1", "2"}, {"2", "2"}}}, CalibrateOptions{FPR: 1 - 1e-9}); err == nil {
		t.Error("went on after an interrupt")
	}
}

func TestKeysKeepOrder(t *testing.T) {
	values := []float32{-math.MaxFloat32, -3, -1e-7, -1e-40, 0, 1e-40, 1e-7, .5, .50000006, 2, math.MaxFloat32}
	for i, v := range values {
		if back := distanceOf(keyOf(v)); back != v {
			t.Errorf("%v comes back as %v", v, back)
		}
		if i > 0 && keyOf(values[i-1]) >= keyOf(v) {
			t.Errorf("%v is not before %v", values[i-1], v)
		}
	}
}

func TestDistance(t *testing.T) {
	a, b := []float32{3, 4}, []float32{4, -3}
	wants := map[Metric]float64{Cosine: 1, Euclidean: math.Sqrt(50), Dot: 1}
	for _, metric := range Metrics() {
		want, there := wants[metric]
		if !there {
			t.Fatalf("no distance by %s is known to this test", metric)
		}
		if got, err := Distance(metric, a, b); err != nil || !near(got, want, 1e-12) {
			t.Errorf("%s: %v, %v", metric, got, err)
		}
		if got, err := Distance(metric, []float32{.6, .8}, []float32{.6, .8}); err != nil || !near(got, 0, 1e-7) {
			t.Errorf("%s of equals: %v, %v", metric, got, err)
		}
	}
	if _, err := Distance("far", a, b); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
	if _, err := Distance(Cosine, a, b[:1]); !errors.Is(err, ErrDimension) {
		t.Error(err)
	}
	if _, err := Distance(Cosine, a, []float32{1, float32(math.NaN())}); !errors.Is(err, ErrNotFinite) {
		t.Error(err)
	}
}
