package reid

import (
	"cmp"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// slowSearches is what CalibrateSearch measures, by its documentation: of each
// query of a person the distance of the nearest image of others, and that of the
// nearest match if it comes before.
func slowSearches(query, gallery Set, zeroIsIdentity bool) (nearest, identified []float64, known int) {
	person := func(id ID) bool { return id.Person() || id == Distractor && zeroIsIdentity }
	for i, q := range query.Labels {
		if !person(q.PID) {
			continue
		}
		others, match := math.Inf(1), math.Inf(1)
		for j, g := range gallery.Labels {
			d, err := Distance(Cosine, query.row(i), gallery.row(j))
			if err != nil {
				panic(err)
			}
			switch {
			case g.PID == Junk:
			case g.PID != q.PID:
				others = min(others, d)
			case g.Camera != q.Camera:
				match = min(match, d)
			}
		}
		nearest = append(nearest, others)
		if !math.IsInf(match, 1) {
			known++
			if match <= others {
				identified = append(identified, match)
			}
		}
	}
	return nearest, identified, known
}

// continuous is randomSet without equal distances.
func continuous(r *rand.Rand, rows, dim int) Set {
	s := randomSet(r, "set", rows, dim)
	for i := range s.Features {
		s.Features[i] += float32(r.NormFloat64())
	}
	return s
}

func TestCalibrateSearchAgainstSlow(t *testing.T) {
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 5))
		query, gallery := continuous(r, 60, 4), continuous(r, 150, 4)
		opts := SearchCalibrationOptions{FalseAlarms: []float64{.05, .2, .5}[r.IntN(3)], Resamples: 50, ZeroIsIdentity: seed%2 == 1, Workers: 2}
		got, err := CalibrateSearch(t.Context(), query, gallery, opts)
		if err != nil {
			t.Fatal(err)
		}
		nearest, identified, known := slowSearches(query, gallery, opts.ZeroIsIdentity)
		slices.Sort(nearest)
		slices.Sort(identified)
		want := nearest[int(opts.FalseAlarms*float64(len(nearest)+1))-1]
		if !near(got.Threshold, want, 1e-12) || got.Searches != len(nearest) || got.Known != known {
			t.Fatalf("threshold %v of %d searches, %d known; want %v, %d, %d", got.Threshold, got.Searches, got.Known, want, len(nearest), known)
		}
		last := got.Sizes[len(got.Sizes)-1]
		if last.Threshold != got.Threshold || last.Rates != got.Rates {
			t.Errorf("the last size is %+v", last)
		}
		points := append([]SearchPoint{{got.Threshold, got.FalseAlarms, got.Identified}}, got.Curve...)
		for _, p := range points {
			// Just below, so that equal distances round to the same side.
			if a, i := float64(below(nearest, p.Threshold-1e-12))/float64(len(nearest)), float64(below(identified, p.Threshold))/float64(known); !near(p.FalseAlarms, a, 1e-12) || !near(p.Identified, i, 1e-12) {
				t.Errorf("at %v: %v and %v, want %v and %v", p.Threshold, p.FalseAlarms, p.Identified, a, i)
			}
		}
		if len(got.Curve) < 10 || !slices.IsSortedFunc(got.Curve, func(a, b SearchPoint) int { return cmp.Compare(a.Threshold, b.Threshold) }) {
			t.Errorf("%d points", len(got.Curve))
		}
		if i := got.FalseAlarmsInterval; !(i[0] <= got.FalseAlarms && got.FalseAlarms <= i[1]) || !(got.ThresholdInterval[0] <= got.Threshold && got.Threshold <= got.ThresholdInterval[1]) {
			t.Errorf("%v outside of %v, or %v of %v", got.FalseAlarms, i, got.Threshold, got.ThresholdInterval)
		}
		again, err := CalibrateSearch(t.Context(), query, gallery, opts)
		if err != nil || again.Threshold != got.Threshold || again.FalseAlarmsInterval != got.FalseAlarmsInterval || again.Sizes[0] != got.Sizes[0] {
			t.Errorf("not the same again: %v", err)
		}
	}
}

// TestCalibrateSearchOfSizes: in smaller galleries somebody looks alike less
// often, and a threshold for a smaller one is that of the same size's table.
func TestCalibrateSearchOfSizes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	var query, gallery Set
	query.Dim, gallery.Dim = 6, 6
	for person := range 120 {
		for range 4 {
			query.Labels, gallery.Labels = append(query.Labels, Label{Number(1 + person), "1"}), append(gallery.Labels, Label{Number(1 + person), "2"})
			query.Features, gallery.Features = append(query.Features, normal(r, 6)...), append(gallery.Features, normal(r, 6)...)
		}
	}
	opts := SearchCalibrationOptions{FalseAlarms: .1, Rounds: 50}
	all, err := CalibrateSearch(t.Context(), query, gallery, opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < len(all.Sizes); i++ {
		a, b := all.Sizes[i-1], all.Sizes[i]
		if !(a.Images < b.Images && a.FalseAlarms < b.FalseAlarms && a.Threshold > b.Threshold) {
			t.Errorf("%+v before %+v", a, b)
		}
	}
	opts.Images = 120
	quarter, err := CalibrateSearch(t.Context(), query, gallery, opts)
	if err != nil {
		t.Fatal(err)
	}
	if size := all.Sizes[2]; size.Images != 120 || !near(size.Threshold, quarter.Threshold, .01) || !near(quarter.FalseAlarms, .1, .01) {
		t.Errorf("a quarter: %+v, calibrated %v, %v", size, quarter.Threshold, quarter.FalseAlarms)
	}
}

func TestCalibrateSearchRefuses(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 8))
	query, gallery := continuous(r, 30, 3), continuous(r, 60, 3)
	for _, opts := range []SearchCalibrationOptions{{FalseAlarms: -1}, {FalseAlarms: 1}, {FalseAlarms: math.NaN()}, {Images: -1}, {Rounds: -1}, {Rounds: 1 << 20}, {Resamples: -1}, {Resamples: 1 << 20}, {Images: 1000, FalseAlarms: .5}, {Metric: "none"}} {
		if _, err := CalibrateSearch(t.Context(), query, gallery, opts); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", opts, err)
		}
	}
	if _, err := CalibrateSearch(t.Context(), query, gallery, SearchCalibrationOptions{FalseAlarms: .001}); !errors.Is(err, ErrRate) {
		t.Errorf("too few: %v", err)
	}
	one := Set{Dim: 1, Features: []float32{1}, Labels: []Label{{"1", "1"}}}
	if _, err := CalibrateSearch(t.Context(), one, one, SearchCalibrationOptions{FalseAlarms: .9}); !errors.Is(err, ErrRate) {
		t.Errorf("nobody else: %v", err)
	}
	unknown := Set{Dim: 1, Features: []float32{1}, Labels: []Label{{Unknown, "1"}}}
	if _, err := CalibrateSearch(t.Context(), unknown, one, SearchCalibrationOptions{}); !errors.Is(err, ErrLabel) {
		t.Errorf("unknown: %v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := CalibrateSearch(cancelled, query, gallery, SearchCalibrationOptions{FalseAlarms: .5}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestCalibrateSearchHolds: half of the people of real data are in a gallery, and
// the threshold is calibrated on them alone; then everybody is searched for. Over
// 20 random halves the rate of false alarms on people that no calibration saw is
// the one wanted, within its interval.
func TestCalibrateSearchHolds(t *testing.T) {
	dir := filepath.Join(shared(t, "reid-eval"), "market_val100")
	query, gallery := loadFixture(t, dir, "query"), loadFixture(t, dir, "gallery")
	var people []ID
	for _, l := range gallery.Labels {
		if l.PID.Person() && !slices.Contains(people, l.PID) {
			people = append(people, l.PID)
		}
	}
	slices.SortFunc(people, ID.Compare)
	of := func(s Set, wanted func(ID) bool) Set {
		out := Set{Dim: s.Dim}
		for i, l := range s.Labels {
			if wanted(l.PID) {
				out.Labels, out.Features = append(out.Labels, l), append(out.Features, s.row(i)...)
			}
		}
		return out
	}
	const halves = 20
	for _, wanted := range []float64{0.01, 0.05} {
		r := rand.New(rand.NewPCG(20, 26))
		asked, alarms := make([]int, len(people)), make([]int, len(people)) // of each person, when left out
		known, found, foundPairs := 0, 0, 0
		within := 0
		for half := range halves {
			inside := make(map[ID]bool)
			for _, i := range r.Perm(len(people))[:len(people)/2] {
				inside[people[i]] = true
			}
			calibrateOn := of(query, func(id ID) bool { return inside[id] })
			there := of(gallery, func(id ID) bool { return inside[id] })
			c, err := CalibrateSearch(t.Context(), calibrateOn, there, SearchCalibrationOptions{FalseAlarms: wanted, Seed: uint64(half)})
			if err != nil {
				t.Fatal(err)
			}
			pairs, err := Calibrate(t.Context(), calibrateOn, there, CalibrateOptions{FPR: 0.001})
			if err != nil {
				t.Fatal(err)
			}
			g := newGallery(t, gallery.Dim)
			entries := make([]Entry, len(there.Labels))
			for i, l := range there.Labels {
				entries[i] = Entry{Name: string(Number(i)), Label: l}
			}
			if _, err := g.Add(entries, there.Features, RefuseExisting); err != nil {
				t.Fatal(err)
			}
			hits, err := g.Search(t.Context(), query.Features, SearchOptions{Top: 1, MaxDistance: c.Threshold})
			if err != nil {
				t.Fatal(err)
			}
			wide, err := g.Search(t.Context(), query.Features, SearchOptions{Top: 1, MaxDistance: pairs.Threshold})
			if err != nil {
				t.Fatal(err)
			}
			mine, all := 0, 0
			for q, l := range query.Labels {
				i := slices.Index(people, l.PID)
				if i < 0 {
					continue
				}
				if inside[l.PID] {
					known++
					if len(hits[q]) > 0 && hits[q][0].PID == l.PID {
						found++
					}
					continue
				}
				asked[i]++
				all++
				if len(hits[q]) > 0 {
					alarms[i]++
					mine++
				}
				if len(wide[q]) > 0 {
					foundPairs++
				}
			}
			if rate := float64(mine) / float64(all); rate <= c.FalseAlarmsInterval[1] {
				within++
			}
		}
		total := func(times []int) float64 {
			var a, n int
			for i := range people {
				a, n = a+times[i]*alarms[i], n+times[i]*asked[i]
			}
			return float64(a) / float64(n)
		}
		b := rand.New(rand.NewPCG(9, 9))
		var rates []float64
		for range 2000 {
			times := make([]int, len(people))
			for range people {
				times[b.IntN(len(people))]++
			}
			rates = append(rates, total(times))
		}
		i := interval(rates)
		got := total(slices.Repeat([]int{1}, len(people)))
		searches := 0
		for _, n := range asked {
			searches += n
		}
		t.Logf("wanted %.0f %%: %.2f %% of %d searches for people who were not there found somebody, interval %.2f to %.2f %% (by the threshold of pairs at 0.1 %%: %.1f %%); %.1f %% of %d searches for people who were there found them; in %d of %d halves the rate was within the calibration's interval",
			100*wanted, 100*got, searches, 100*i[0], 100*i[1], 100*float64(foundPairs)/float64(searches), 100*float64(found)/float64(known), known, within, halves)
		if !(i[0] <= wanted && wanted <= i[1]) {
			t.Errorf("the wanted rate %v is not within %v", wanted, i)
		}
	}
}

// TestCalibrateSearchOfFloat64: features that are given in float64 alone are taken
// as those in float32 that they are rounded to.
func TestCalibrateSearchOfFloat64(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	query, gallery := continuous(r, 30, 3), continuous(r, 60, 3)
	opts := SearchCalibrationOptions{FalseAlarms: .3, Rounds: 2, Resamples: 10}
	want, err := CalibrateSearch(t.Context(), query, gallery, opts)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Set{&query, &gallery} {
		s.Features, s.Features64 = nil, converted[float64](s.Features)
	}
	if got, err := CalibrateSearch(t.Context(), query, gallery, opts); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, got, want)
	}
}
