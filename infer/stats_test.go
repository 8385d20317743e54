package infer

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestBuckets: every number lies in a bucket whose bound is at most a quarter larger.
func TestBuckets(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	values := []uint64{0, 1, 7, 8, 9, 10, 1 << 20, math.MaxUint64, math.MaxUint64 / 2}
	for range 10000 {
		values = append(values, rng.Uint64()>>rng.IntN(64))
	}
	for _, v := range values {
		b := bucketOf(v)
		if up := upperOf(b); up < v || float64(up) > 1.25*float64(v) || b > 0 && upperOf(b-1) >= v {
			t.Fatalf("%d is in bucket %d, up to %d", v, b, up)
		}
	}
}

// TestHistogram compares quantiles with those of all values.
func TestHistogram(t *testing.T) {
	var m meter
	var all []float64
	rng := rand.New(rand.NewPCG(3, 4))
	for range 1000 {
		took := time.Duration(rng.ExpFloat64() * 1e7)
		m.call(took, nil)
		all = append(all, took.Seconds())
	}
	m.call(0, errors.New("no luck"))
	m.call(0, &ImagesError{Errs: []error{ErrImage}})
	slices.Sort(all)
	h := m.nanoseconds.snapshot(1e-9)
	for _, q := range []float64{.1, .5, .9, .99} {
		exact := all[int(q*1000)]
		if got := h.Quantile(q); got < exact*.97 || got > exact*1.3 {
			t.Errorf("quantile %v: %v, want %v", q, got, exact)
		}
	}
	if h.Count != 1002 || m.failed.Load() != 1 || (Histogram{}).Quantile(.5) != 0 {
		t.Errorf("%d calls, %d failed", h.Count, m.failed.Load())
	}
	if n := testing.AllocsPerRun(100, func() { m.call(time.Second, nil) }); n > 0 {
		t.Errorf("%v allocations to count a call", n)
	}
}
