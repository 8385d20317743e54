package reid

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
)

// ErrRate is wrapped by Calibrate's error where there are too few pairs of two
// people to tell a false positive rate.
var ErrRate = errors.New("too few pairs for this false positive rate")

// CalibrateOptions of Calibrate.
type CalibrateOptions struct {
	// FPR is the false positive rate that is wanted: the largest fraction of pairs
	// of two people to take for one, above 0 and below 1. Default: 0.001.
	FPR float64
	// Metric. Default: Cosine.
	Metric Metric
	// Bins of the histogram. Default: 100.
	Bins int
	// ZeroIsIdentity, Workers and Multiplier are those of Options.
	ZeroIsIdentity bool
	Workers        int
	Multiplier     Multiplier
}

// maxBins bounds CalibrateOptions.Bins.
const maxBins = 1 << 16

// Validate reports all faults of the options, joined.
func (o CalibrateOptions) Validate() error {
	faults := []error{o.options().Validate()}
	if o.FPR != 0 && !(o.FPR > 0 && o.FPR < 1) {
		faults = append(faults, fmt.Errorf("%w: the false positive rate %v is not between 0 and 1", ErrOptions, o.FPR))
	}
	if o.Bins < 0 || o.Bins > maxBins {
		faults = append(faults, fmt.Errorf("%w: %d bins are not between 1 and %d", ErrOptions, o.Bins, maxBins))
	}
	return errors.Join(faults...)
}

// options are those that Evaluate shares.
func (o CalibrateOptions) options() Options {
	return Options{Metric: o.Metric, ZeroIsIdentity: o.ZeroIsIdentity, Workers: o.Workers, Multiplier: o.Multiplier}
}

// Calibration is the distance from which on two images show two people. Its pairs are those of the ROC, see ROCPoint.
type Calibration struct {
	Metric Metric
	// Threshold is the distance below which a pair is taken for one person: that
	// of the nearest pair of two people that must not be accepted.
	Threshold float64
	// FPR is the fraction of pairs of two people that are nearer than Threshold:
	// at most the rate that was asked for, less where distances are equal.
	FPR float64
	// TPR is the fraction of pairs of one person that are nearer than Threshold.
	TPR float64
	// AUC, the area under the ROC curve, is the probability that a pair of one
	// person is nearer than a pair of two. Distances that differ by less than one
	// part in 2,048 count as equal, by half.
	AUC float64
	// EER is the equal error rate: where as many pairs of one person are refused
	// as pairs of two are accepted, in fractions of each.
	EER float64
	// Same and Different count the pairs of one person and of two. Of those of two
	// Allowed may be nearer than Threshold by the rate that was asked for, and
	// Accepted are.
	Same, Different, Allowed, Accepted int64
	Histogram                          Histogram
}

// Histogram counts pairs by distance, in equal bins from Low to High.
type Histogram struct {
	Low, High       float64 // the smallest and the largest distance
	Same, Different []int64 // pairs of one person and of two
}

// Calibrate finds the distance that tells one person from two at a false
// positive rate, from the pairs of queries with the gallery. The threshold is
// exact for distances in float32. Memory does not grow with the pairs: it
// computes all distances twice, counts them coarsely first and then, finely,
// where the threshold lies. Errors are those of Evaluate, and ErrRate.
func Calibrate(ctx context.Context, query, gallery Set, opts CalibrateOptions) (*Calibration, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.FPR == 0 {
		opts.FPR = 1e-3
	}
	if opts.Bins == 0 {
		opts.Bins = 100
	}
	shared := opts.options().withDefaults()
	query, gallery = query.named("query"), gallery.named("gallery")
	if err := checkSets(false, query, gallery); err != nil {
		return nil, err
	}
	p := newProtocol(query.Labels, gallery.Labels, opts.ZeroIsIdentity, true)
	c := &Calibration{Metric: shared.Metric}
	for q := range query.Labels {
		good, wrong := p.pairs(q)
		c.Same += int64(good)
		c.Different += int64(wrong)
	}
	if c.Same == 0 {
		return nil, p.explain(query.Name, gallery.Name)
	}
	c.Allowed = mostWithin(opts.FPR, c.Different)
	if c.Allowed == 0 {
		return nil, tooFew(opts.FPR, c.Different)
	}
	a := single(shared.Multiplier)
	src := newDirect(shared.Metric, a, matrix[float32]{a.convert(query), query.Dim}, matrix[float32]{a.convert(gallery), gallery.Dim}.between(p.lo, p.hi))
	coarse := newPairCounts(coarseBits, shared.Workers, func(key uint32) (uint32, bool) { return key >> fineBits, true })
	if err := coarse.countAll(ctx, src, p, shared.Workers); err != nil {
		return nil, err
	}
	cell, before := coarse.cellOf(c.Allowed)
	fine := newPairCounts(fineBits, shared.Workers, func(key uint32) (uint32, bool) {
		return key & (1<<fineBits - 1), key>>fineBits == uint32(cell)
	})
	if err := fine.countAll(ctx, src, p, shared.Workers); err != nil {
		return nil, err
	}
	within, beforeWithin := fine.cellOf(c.Allowed - before)
	c.Threshold = src.reported(float64(distanceOf(uint32(cell)<<fineBits | uint32(within))))
	c.Accepted = before + beforeWithin
	c.FPR = float64(c.Accepted) / float64(c.Different)
	c.TPR = float64(sum(coarse.same[:cell])+sum(fine.same[:within])) / float64(c.Same)
	c.AUC, c.EER = coarse.auc(), coarse.eer()
	c.Histogram = coarse.histogram(opts.Bins, src.reported)
	return c, nil
}

// tooFew says which rates can be told.
func tooFew(rate float64, different int64) error {
	if different == 0 {
		return fmt.Errorf("%w: there is no pair of two people", ErrRate)
	}
	return fmt.Errorf("%w: %g of %d pairs of two people is less than one; ask for %.2g or more, or give more images",
		ErrRate, rate, different, 1/float64(different))
}

// The bits of a distance's key that are counted at first, and at last.
const (
	coarseBits = 20 // sign, exponent and 11 bits of the fraction
	fineBits   = 32 - coarseBits
)

// keyOf maps distances to integers of the same order; -0 comes before 0.
func keyOf(d float32) uint32 {
	bits := math.Float32bits(d)
	if bits>>31 == 1 {
		return ^bits
	}
	return bits | 1<<31
}

// distanceOf inverts keyOf.
func distanceOf(key uint32) float32 {
	if key>>31 == 1 {
		return math.Float32frombits(key &^ (1 << 31))
	}
	return math.Float32frombits(^key)
}

// pairCounts are the pairs of one person and of two, by a part of the keys of
// their distances.
type pairCounts struct {
	cell            func(key uint32) (cell uint32, counted bool)
	mu              sync.Mutex
	same, different []int64
	workers         [][]uint32 // of two people, on their way to different
	held            []int      // in them
}

func newPairCounts(bits, workers int, cell func(uint32) (uint32, bool)) *pairCounts {
	c := &pairCounts{cell: cell, same: make([]int64, 1<<bits), different: make([]int64, 1<<bits), held: make([]int, workers)}
	for range workers {
		c.workers = append(c.workers, make([]uint32, 1<<bits))
	}
	return c
}

// countAll counts all pairs that the protocol asks for.
func (c *pairCounts) countAll(ctx context.Context, src source[float32], p *protocol, workers int) error {
	err := forEachBlock(ctx, src, len(p.query), p.columns(), workers, func(row []float32, query, worker int) {
		if p.person(p.query[query].PID) {
			c.countRow(row, query, worker, p)
		}
	})
	for w := range c.workers {
		c.flush(w)
	}
	return err
}

// countRow counts the pairs of a query; it overwrites the row.
func (c *pairCounts) countRow(row []float32, query, worker int, p *protocol) {
	const left = math.MaxFloat32 // marks what is no pair of two people: no distance is so large
	for _, j := range p.junk {
		row[j] = left
	}
	c.mu.Lock()
	for _, j := range p.same(query) {
		if p.good(query, j) {
			if cell, counted := c.cell(keyOf(row[j])); counted {
				c.same[cell]++
			}
		}
		row[j] = left
	}
	c.mu.Unlock()
	if c.held[worker] += len(row); c.held[worker] > math.MaxUint32 {
		c.flush(worker)
		c.held[worker] = len(row)
	}
	counts := c.workers[worker]
	for _, d := range row {
		if d == left {
			continue
		}
		if cell, counted := c.cell(keyOf(d)); counted {
			counts[cell]++
		}
	}
}

// flush adds up what a worker counted.
func (c *pairCounts) flush(worker int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for cell, n := range c.workers[worker] {
		c.different[cell] += int64(n)
	}
	clear(c.workers[worker])
}

// cellOf returns the cell of the nth pair of two people, from 0, by distance,
// and how many are in the cells before it.
func (c *pairCounts) cellOf(nth int64) (cell int, before int64) {
	last := 0
	for cell, n := range c.different {
		if n == 0 {
			continue
		}
		if before+n > nth {
			return cell, before
		}
		before += n
		last = cell
	}
	return last, before - c.different[last]
}

func sum(counts []int64) int64 {
	var all int64
	for _, n := range counts {
		all += n
	}
	return all
}

// auc counts the pairs of a pair of one person and a farther pair of two; those
// of one cell by half.
func (c *pairCounts) auc() float64 {
	var nearer, same, different float64
	for cell, n := range c.different {
		nearer += float64(n) * (same + float64(c.same[cell])/2)
		same += float64(c.same[cell])
		different += float64(n)
	}
	return nearer / same / different
}

// eer walks up the distances until as many of one person are refused as of two
// are accepted, and interpolates within the cell.
func (c *pairCounts) eer() float64 {
	same, different := sum(c.same), sum(c.different)
	refused, accepted := 1.0, 0.0
	left, taken := same, int64(0)
	for cell := range c.different {
		left -= c.same[cell]
		taken += c.different[cell]
		nextRefused, nextAccepted := float64(left)/float64(same), float64(taken)/float64(different)
		if nextAccepted >= nextRefused {
			gap := refused - accepted
			at := gap / (gap + nextAccepted - nextRefused)
			return accepted + at*(nextAccepted-accepted)
		}
		refused, accepted = nextRefused, nextAccepted
	}
	return accepted
}

// histogram gathers the cells, taken at their lower edges, in equal bins.
func (c *pairCounts) histogram(bins int, reported func(float64) float64) Histogram {
	edge := func(cell int) float64 { return reported(float64(distanceOf(uint32(cell) << fineBits))) }
	first, last := -1, 0
	for cell := range c.same {
		if c.same[cell]+c.different[cell] > 0 {
			if first < 0 {
				first = cell
			}
			last = cell
		}
	}
	h := Histogram{Low: edge(first), High: edge(last + 1), Same: make([]int64, bins), Different: make([]int64, bins)}
	for cell := first; cell <= last; cell++ {
		if c.same[cell]+c.different[cell] == 0 {
			continue
		}
		middle := (edge(cell) + edge(cell+1)) / 2
		bin := min(bins-1, int(float64(bins)*(middle-h.Low)/(h.High-h.Low)))
		h.Same[bin] += c.same[cell]
		h.Different[bin] += c.different[cell]
	}
	return h
}
