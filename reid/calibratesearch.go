package reid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// SearchCalibrationOptions of CalibrateSearch. The zero value is fine.
type SearchCalibrationOptions struct {
	// FalseAlarms is the wanted rate: the largest fraction of searches for people
	// who are not in the gallery that may find somebody. Default: 0.01.
	FalseAlarms float64
	// Images of the gallery that the threshold is for; it can be smaller than the
	// set's, not larger. Default 0: all of the set but junk.
	Images int
	// Rounds is how many random galleries of each smaller size are measured.
	// Default: 20.
	Rounds int
	// Resamples of people for the intervals. Default: 1000.
	Resamples int
	// Seed of the random choices.
	Seed uint64
	// Metric. Default: Cosine, which galleries search by.
	Metric Metric
	// ZeroIsIdentity, Workers and Multiplier are those of Options.
	ZeroIsIdentity bool
	Workers        int
	Multiplier     Multiplier
}

const (
	maxRounds    = 1 << 12
	maxResamples = 1 << 16
	// mostOthers bounds how many people a query remembers, nearest first. A smaller
	// gallery has nobody of so many only if it is tiny.
	mostOthers = 512
)

// Validate reports all faults of the options, joined.
func (o SearchCalibrationOptions) Validate() error {
	faults := []error{o.options().Validate()}
	addf := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("%w: "+format, append([]any{ErrOptions}, args...)...))
	}
	if !(o.FalseAlarms >= 0 && o.FalseAlarms < 1) {
		addf("the rate of false alarms %v is not between 0 and 1", o.FalseAlarms)
	}
	if o.Images < 0 {
		addf("Images is %d, below 0", o.Images)
	}
	if o.Rounds < 0 || o.Rounds > maxRounds {
		addf("Rounds is %d, not between 1 and %d", o.Rounds, maxRounds)
	}
	if o.Resamples < 0 || o.Resamples > maxResamples {
		addf("Resamples is %d, not between 1 and %d", o.Resamples, maxResamples)
	}
	return errors.Join(faults...)
}

func (o SearchCalibrationOptions) options() Options {
	return Options{Metric: o.Metric, ZeroIsIdentity: o.ZeroIsIdentity, Workers: o.Workers, Multiplier: o.Multiplier}
}

// SearchCalibration says up to which distance a search finds somebody.
type SearchCalibration struct {
	Metric Metric `json:"metric"`
	// Threshold is the distance below which a hit counts (SearchOptions.MaxDistance):
	// that of the k-th nearest image that a search for somebody left out found, where
	// k is the wanted rate times one more than the searches. So the rate to expect
	// for people who were not measured is at most the one wanted.
	Threshold float64 `json:"threshold"`
	// ThresholdInterval and those of Rates hold 95 % of what other people of the
	// same kind would give: percentiles of a bootstrap over the queries' people.
	ThresholdInterval [2]float64 `json:"threshold_interval"`
	Rates
	// Searches for people who were left out, of so many people, and those for
	// people with a match in the gallery.
	Searches int `json:"searches"`
	People   int `json:"people"`
	Known    int `json:"known_searches"`
	// Sizes has the rates at Threshold in galleries of other sizes, ascending; the
	// last is that of Threshold.
	Sizes []SearchSize `json:"sizes"`
	// Curve has the rates at other thresholds, ascending, at the same size.
	Curve []SearchPoint `json:"curve"`
}

// Rates of a threshold, as fractions of 1.
type Rates struct {
	// FalseAlarms is the fraction of the searches for people who are not in the
	// gallery that find somebody.
	FalseAlarms         float64    `json:"false_alarms"`
	FalseAlarmsInterval [2]float64 `json:"false_alarms_interval"`
	// Identified is the fraction of the searches for people who are there, seen by
	// another camera, whose nearest image is theirs, and near enough (the detection
	// and identification rate at rank 1).
	Identified         float64    `json:"identified"`
	IdentifiedInterval [2]float64 `json:"identified_interval"`
}

// SearchSize are rates in galleries of one size.
type SearchSize struct {
	Images int `json:"images"`
	Rates
	// Threshold that the wanted rate needs at this size; 0 where the searches are
	// too few to tell.
	Threshold float64 `json:"threshold"`
}

// SearchPoint is a threshold and its rates.
type SearchPoint struct {
	Threshold   float64 `json:"threshold"`
	FalseAlarms float64 `json:"false_alarms"`
	Identified  float64 `json:"identified"`
}

// CalibrateSearch finds the distance below which a hit of a gallery's search may
// count, for a wanted rate of searches that find somebody though the person is
// not there. It leaves each query's person out of the gallery in turn and looks
// how near the nearest of all others is. With more images somebody looks alike
// more often: a threshold is for a gallery's size, see Sizes; that of single pairs
// (Calibrate) is far too large for searches.
//
// Junk takes no part. Distractors are people who are searched among, not for. An
// image of the query's person by the query's own camera is not a match. Errors are
// those of Calibrate.
func CalibrateSearch(ctx context.Context, query, gallery Set, opts SearchCalibrationOptions) (*SearchCalibration, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts.FalseAlarms = cmp.Or(opts.FalseAlarms, 0.01)
	opts.Rounds, opts.Resamples = cmp.Or(opts.Rounds, 20), cmp.Or(opts.Resamples, 1000)
	shared := opts.options().withDefaults()
	query, gallery = query.named("query"), gallery.named("gallery")
	if err := checkSets(false, query, gallery); err != nil {
		return nil, err
	}
	p := newProtocol(query.Labels, gallery.Labels, opts.ZeroIsIdentity, true)
	c := newSearchCounts(p)
	if opts.Images > c.images {
		return nil, fmt.Errorf("%w: a gallery of %d images; rates are measured, and %s has %d images", ErrOptions, opts.Images, gallery.Name, c.images)
	}
	a := single(shared.Multiplier)
	src := newDirect(shared.Metric, a, matrix[float32]{a.convert(query), query.Dim}, matrix[float32]{a.convert(gallery), gallery.Dim}.between(p.lo, p.hi))
	if err := c.measure(ctx, src, shared.Workers); err != nil {
		return nil, err
	}
	return c.calibrate(ctx, shared.Metric, opts)
}

// search is what a query found.
type search struct {
	person int32   // of the query, among those of the queries
	own    int32   // the query's person among those of the gallery, or -1
	match  float64 // distance of the nearest match, or infinite
	others []other // up to mostOthers people other than the query's, nearest first
}

// other is the nearest image of a person of the gallery.
type other struct {
	distance float64
	person   int32
}

// searchCounts are all searches of a set.
type searchCounts struct {
	p        *protocol
	personOf []int32 // by column, -1 for junk; each distractor is one
	sizes    []int   // images of each person of the gallery
	images   int
	searches []search
	people   [][]int32 // searches of each person of the queries
}

func newSearchCounts(p *protocol) *searchCounts {
	c := &searchCounts{p: p, personOf: make([]int32, p.columns())}
	numbers := make(map[ID]int32)
	for j := range c.personOf {
		pid := p.gallery[p.lo+j].PID
		if pid == Junk {
			c.personOf[j] = -1
			continue
		}
		n, known := numbers[pid]
		if !known || !p.person(pid) {
			n = int32(len(c.sizes))
			c.sizes = append(c.sizes, 0)
			if p.person(pid) {
				numbers[pid] = n
			}
		}
		c.personOf[j] = n
		c.sizes[n]++
		c.images++
	}
	asked := make(map[ID]int32)
	c.searches = make([]search, len(p.query))
	for q, l := range p.query {
		c.searches[q] = search{person: -1, own: -1, match: math.Inf(1)}
		if !p.person(l.PID) {
			continue
		}
		n, known := asked[l.PID]
		if !known {
			n = int32(len(c.people))
			asked[l.PID] = n
			c.people = append(c.people, nil)
		}
		c.people[n] = append(c.people[n], int32(q))
		c.searches[q].person = n
		if own, there := numbers[l.PID]; there {
			c.searches[q].own = own
		}
	}
	return c
}

// measure searches for every query.
func (c *searchCounts) measure(ctx context.Context, src source[float32], workers int) error {
	nearestOf := make([][]int32, workers) // column of each person of the gallery, or -1
	lists := make([][]neighbour[float32], workers)
	for w := range workers {
		nearestOf[w] = make([]int32, len(c.sizes))
	}
	return forEachBlock(ctx, src, len(c.searches), c.p.columns(), workers, func(row []float32, q, w int) {
		s := &c.searches[q]
		if s.person < 0 {
			return
		}
		column := nearestOf[w]
		for i := range column {
			column[i] = -1
		}
		match := int32(-1)
		for j, d := range row {
			n := c.personOf[j]
			if n < 0 {
				continue
			}
			if n == s.own {
				if c.p.good(q, int32(j)) && (match < 0 || d < row[match]) {
					match = int32(j)
				}
			} else if column[n] < 0 || d < row[column[n]] {
				column[n] = int32(j)
			}
		}
		list := lists[w][:0]
		for _, j := range column {
			if j >= 0 {
				list = append(list, neighbour[float32]{row[j], j})
			}
		}
		slices.SortFunc(list, order)
		lists[w] = list
		list = list[:min(len(list), mostOthers)]
		distance := func(j int32) float64 { return src.reported(src.exact(q, j, w)) }
		if match >= 0 {
			s.match = distance(match)
		}
		s.others = make([]other, len(list))
		for i, n := range list {
			s.others[i] = other{distance(n.column), c.personOf[n.column]}
		}
		slices.SortFunc(s.others, func(a, b other) int { return cmp.Compare(a.distance, b.distance) })
	})
}

// outcome of a query in one gallery.
type outcome struct {
	nearest float64 // of another person, or infinite
	match   float64 // the nearest match, if it comes first, or infinite
	known   bool    // there is a match
}

// in returns the outcomes in a gallery of the people whose bit is set; all, where
// it is nil. Those of no person have no search.
func (c *searchCounts) in(people []bool) []outcome {
	out := make([]outcome, len(c.searches))
	for q, s := range c.searches {
		o := outcome{nearest: math.Inf(1), match: math.Inf(1)}
		for _, other := range s.others {
			if people == nil || people[other.person] {
				o.nearest = other.distance
				break
			}
		}
		if !math.IsInf(s.match, 1) && (people == nil || people[s.own]) {
			o.known = true
			if s.match <= o.nearest {
				o.match = s.match
			}
		}
		out[q] = o
	}
	return out
}

// tally counts searches.
type tally struct{ alarms, searches, identified, known int }

func (t *tally) add(n tally, times int) {
	t.alarms, t.searches = t.alarms+times*n.alarms, t.searches+times*n.searches
	t.identified, t.known = t.identified+times*n.identified, t.known+times*n.known
}

func (t tally) rates() (falseAlarms, identified float64) {
	return float64(t.alarms) / float64(max(1, t.searches)), float64(t.identified) / float64(max(1, t.known))
}

// tallies counts the searches for each person, in all of some galleries.
func (c *searchCounts) tallies(galleries [][]outcome, threshold float64) []tally {
	out := make([]tally, len(c.people))
	for _, outcomes := range galleries {
		for person, list := range c.people {
			t := &out[person]
			for _, q := range list {
				o := outcomes[q]
				t.searches++
				if o.nearest < threshold {
					t.alarms++
				}
				if o.known {
					t.known++
					if o.match < threshold {
						t.identified++
					}
				}
			}
		}
	}
	return out
}

// gallery chooses people at random until they have that many images.
func (c *searchCounts) gallery(r *rand.Rand, images int) []bool {
	chosen := make([]bool, len(c.sizes))
	have := 0
	for _, n := range r.Perm(len(c.sizes)) {
		if have >= images {
			break
		}
		chosen[n] = true
		have += c.sizes[n]
	}
	return chosen
}

func (c *searchCounts) calibrate(ctx context.Context, metric Metric, opts SearchCalibrationOptions) (*SearchCalibration, error) {
	images := cmp.Or(opts.Images, c.images)
	main := c.sized(images, opts, 0)
	result := &SearchCalibration{Metric: metric, People: len(c.people)}
	for _, t := range c.tallies([][]outcome{c.in(nil)}, 0) {
		result.Searches, result.Known = result.Searches+t.searches, result.Known+t.known
	}
	if result.Searches == 0 {
		return nil, c.p.explain("query", "gallery")
	}
	once := slices.Repeat([]int{1}, len(c.people))
	sorted := c.sorted(main)
	var ok bool
	if result.Threshold, ok = thresholdOf(sorted, len(main), once, opts.FalseAlarms); !ok {
		return nil, fmt.Errorf("%w: %g of %d searches for people left out is less than one; ask for %.2g or more, or give more queries",
			ErrRate, opts.FalseAlarms, result.Searches, 1/float64(result.Searches))
	}
	// The people of a resample are counted as often as they were drawn.
	r := rand.New(rand.NewPCG(opts.Seed, 1))
	resamples := make([][]int, opts.Resamples)
	var thresholds []float64
	for i := range resamples {
		resamples[i] = make([]int, len(c.people))
		for range c.people {
			resamples[i][r.IntN(len(c.people))]++
		}
		if t, ok := thresholdOf(sorted, len(main), resamples[i], opts.FalseAlarms); ok {
			thresholds = append(thresholds, t)
		}
	}
	result.ThresholdInterval = interval(thresholds)
	result.Rates = ratesOf(c.tallies(main, result.Threshold), resamples)
	for k, share := range []float64{0.0625, 0.125, 0.25, 0.5} {
		n := int(math.Round(share * float64(images)))
		if n < 1 || ctx.Err() != nil {
			continue
		}
		some := c.sized(n, opts, uint64(k+1))
		size := SearchSize{Images: n, Rates: ratesOf(c.tallies(some, result.Threshold), resamples)}
		size.Threshold, _ = thresholdOf(c.sorted(some), len(some), once, opts.FalseAlarms)
		result.Sizes = append(result.Sizes, size)
	}
	result.Sizes = append(result.Sizes, SearchSize{Images: images, Rates: result.Rates, Threshold: result.Threshold})
	result.Curve = c.curve(main, sorted)
	return result, ctx.Err()
}

// sized are the outcomes in galleries of a size: one of everybody, or random ones.
func (c *searchCounts) sized(images int, opts SearchCalibrationOptions, stream uint64) [][]outcome {
	if images >= c.images {
		return [][]outcome{c.in(nil)}
	}
	r := rand.New(rand.NewPCG(opts.Seed, 2+stream))
	out := make([][]outcome, opts.Rounds)
	for i := range out {
		out[i] = c.in(c.gallery(r, images))
	}
	return out
}

// sorted are the nearest others of all searches, nearest first, each with the
// person of the query.
func (c *searchCounts) sorted(galleries [][]outcome) []other {
	var out []other
	for _, outcomes := range galleries {
		for person, list := range c.people {
			for _, q := range list {
				out = append(out, other{outcomes[q].nearest, int32(person)})
			}
		}
	}
	slices.SortFunc(out, func(a, b other) int { return cmp.Compare(a.distance, b.distance) })
	return out
}

// thresholdOf is that of a rate, given searches that several galleries repeat,
// and how many times each person counts. It fails where the searches are too few
// to tell.
func thresholdOf(sorted []other, galleries int, times []int, rate float64) (float64, bool) {
	searches := 0
	for _, s := range sorted {
		searches += times[s.person]
	}
	searches /= galleries // which add none by repeating them
	k := int(rate*float64(searches+1) + 1e-9)
	if k < 1 {
		return 0, false
	}
	k *= galleries
	for _, s := range sorted {
		if k -= times[s.person]; k <= 0 {
			return s.distance, !math.IsInf(s.distance, 1)
		}
	}
	return 0, false
}

// ratesOf are the rates of what was counted for each person, with intervals.
func ratesOf(people []tally, resamples [][]int) Rates {
	var r Rates
	var all tally
	for _, t := range people {
		all.add(t, 1)
	}
	r.FalseAlarms, r.Identified = all.rates()
	alarms, identified := make([]float64, len(resamples)), make([]float64, len(resamples))
	for i, times := range resamples {
		var t tally
		for person, n := range people {
			t.add(n, times[person])
		}
		alarms[i], identified[i] = t.rates()
	}
	r.FalseAlarmsInterval, r.IdentifiedInterval = interval(alarms), interval(identified)
	return r
}

// curve has the rates at the distances of some of the nearest others, ever more
// apart in their order.
func (c *searchCounts) curve(galleries [][]outcome, sorted []other) []SearchPoint {
	var out []SearchPoint
	for k := 0; k < len(sorted); k += 1 + k/8 {
		at := sorted[k].distance
		if math.IsInf(at, 1) || len(out) > 0 && out[len(out)-1].Threshold == at {
			continue
		}
		var all tally
		for _, t := range c.tallies(galleries, at) {
			all.add(t, 1)
		}
		p := SearchPoint{Threshold: at}
		p.FalseAlarms, p.Identified = all.rates()
		out = append(out, p)
	}
	return out
}

// interval holds 95 % of the values.
func interval(values []float64) [2]float64 {
	if len(values) == 0 {
		return [2]float64{}
	}
	slices.Sort(values)
	at := func(share float64) float64 { return values[int(math.Round(share*float64(len(values)-1)))] }
	return [2]float64{at(0.025), at(0.975)}
}
