package infer

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// Stats is what a Model has done since it was opened; Replace does not begin anew.
type Stats struct {
	Calls  uint64 `json:"calls"`  // that have ended, of Run, RunPixels, Predict and Embed
	Failed uint64 `json:"failed"` // of these, those without an answer
	Images uint64 `json:"images"` // given to Predict and Embed, of calls with answers
	Faulty uint64 `json:"faulty"` // of these, those at fault
	// Queue is how many samples wait now to be joined with others or for their turn;
	// 0 without Options.Join.
	Queue int `json:"queue"`
	// Seconds that calls took, and samples that went to the networks together.
	Seconds Histogram `json:"seconds"`
	Batches Histogram `json:"batches"`
}

// Histogram sums up values. Its memory does not grow with their number.
type Histogram struct {
	Count   uint64   `json:"count"`
	Sum     float64  `json:"sum"`
	Buckets []Bucket `json:"buckets"` // that are not empty, in rising order
}

// Bucket counts the values that are at most Upper and above the bucket before.
type Bucket struct {
	Upper float64 `json:"upper"`
	Count uint64  `json:"count"`
}

// Quantile is the value that a part q, 0 to 1, of all values does not exceed, or up
// to a quarter more; 0 without values.
func (h Histogram) Quantile(q float64) float64 {
	rank, below := q*float64(h.Count), uint64(0)
	for _, b := range h.Buckets {
		if below += b.Count; float64(below) >= rank {
			return b.Upper
		}
	}
	return 0
}

// Stats tells what the model has done and is about to do. It may be called at any
// time; counts of calls under way are added when these end.
func (m *Model) Stats() Stats {
	s := Stats{
		Calls: m.meter.calls.Load(), Failed: m.meter.failed.Load(),
		Images: m.meter.images.Load(), Faulty: m.meter.faulty.Load(),
		Seconds: m.meter.nanoseconds.snapshot(1e-9), Batches: m.meter.batches.snapshot(1),
	}
	if j := m.current.Load().join; j != nil {
		s.Queue = int(max(0, j.waiting.Load()))
	}
	return s
}

// meter counts what a Model does, without locks or allocations.
type meter struct {
	calls, failed, images, faulty atomic.Uint64
	nanoseconds, batches          counts
}

// call counts one that has ended.
func (m *meter) call(took time.Duration, err error) {
	m.calls.Add(1)
	m.nanoseconds.add(uint64(max(0, took)))
	if err != nil && !isOfImages(err) {
		m.failed.Add(1)
	}
}

// counts has four buckets for each doubling of whole numbers: 0, 1, 2 and 3, then 4
// to 7 one by one, 8 to 15 by two, and so on.
type counts struct {
	buckets    [252]atomic.Uint64
	count, sum atomic.Uint64
}

func (c *counts) add(v uint64) {
	c.buckets[bucketOf(v)].Add(1)
	c.count.Add(1)
	c.sum.Add(v)
}

func bucketOf(v uint64) int {
	shift := max(0, bits.Len64(v)-3) // keeps three bits
	return 4*shift + int(v>>shift)
}

// upperOf is the largest value of a bucket.
func upperOf(bucket int) uint64 {
	if bucket < 8 {
		return uint64(bucket)
	}
	shift := bucket/4 - 1
	return (uint64(4+bucket%4)+1)<<shift - 1
}

// snapshot describes values that are multiples of unit.
func (c *counts) snapshot(unit float64) Histogram {
	h := Histogram{Count: c.count.Load(), Sum: unit * float64(c.sum.Load())}
	for i := range c.buckets {
		if n := c.buckets[i].Load(); n > 0 {
			h.Buckets = append(h.Buckets, Bucket{unit * float64(upperOf(i)), n})
		}
	}
	return h
}
