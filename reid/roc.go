package reid

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
)

// rates are the false positive rates of the ROC.
var rates = [...]float64{1e-4, 1e-3, 1e-2}

const (
	// flushAt is how many distances a worker gathers before it hands them on.
	flushAt = 4096
	// mostKept bounds the distances of wrong pairs that are kept: a rate that
	// would need more, in evaluations of more than 1.6e9 pairs, is left out.
	mostKept = 1 << 24
)

// pairs gathers the distances of all pairs of queries and gallery: all of the
// good ones, and the smallest of the wrong ones.
type pairs[T float] struct {
	good  []T
	first []int // where those of a query start in good
	total int   // wrong pairs
	rates []float64

	bound atomic.Uint64 // float64 bits: what is not nearer need not be added
	mu    sync.Mutex
	keep  int
	wrong []T // more than keep only until the next selection
}

func newPairs[T float](p *protocol) *pairs[T] {
	s := &pairs[T]{first: make([]int, len(p.query))}
	all := 0
	for q := range p.query {
		good, wrong := p.pairs(q)
		s.first[q] = all
		all += good
		s.total += wrong
	}
	s.good = make([]T, all)
	for _, rate := range rates {
		if k := s.accepted(rate) + 1; k <= mostKept {
			s.rates = append(s.rates, rate)
			s.keep = k
		}
	}
	s.wrong = make([]T, 0, min(2*s.keep, s.total)+flushAt)
	s.bound.Store(math.Float64bits(math.Inf(1)))
	if s.keep == 0 {
		s.bound.Store(math.Float64bits(math.Inf(-1)))
	}
	return s
}

// accepted is how many wrong pairs may be accepted at a rate.
func (s *pairs[T]) accepted(rate float64) int { return int(mostWithin(rate, int64(s.total))) }

// mostWithin is the largest number that is at most a rate, from 0 to 1, of all.
// The product alone can be rounded past it: 0.29 times 100 is less than 29.
func mostWithin(rate float64, all int64) int64 {
	n := int64(rate * float64(all))
	switch {
	case all > 0 && float64(n+1)/float64(all) <= rate:
		return n + 1
	case n > 0 && float64(n)/float64(all) > rate:
		return n - 1
	}
	return n
}

// current is the bound in force.
func (s *pairs[T]) current() T { return T(math.Float64frombits(s.bound.Load())) }

// add takes distances of wrong pairs.
func (s *pairs[T]) add(distances []T) {
	if len(distances) == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wrong = append(s.wrong, distances...)
	if len(s.wrong) >= 2*s.keep {
		var bound T
		s.wrong, bound = smallest(s.wrong, s.keep)
		s.bound.Store(math.Float64bits(float64(bound)))
	}
}

// smallest moves the n smallest of 2n or more values to the front, perhaps with
// more, and returns them and a bound: at least n are not above it, and all that
// are left out are not below it. It takes the bound of a sample, quicker than
// to select, which is for samples that mislead.
func smallest[T float](v []T, n int) (front []T, bound T) {
	const size = 1024
	var sample [size]T
	for i := range sample {
		sample[i] = v[i*len(v)/size]
	}
	bound = selectNth(sample[:], min(size-1, size*n/len(v)+size/20))
	below := 0
	for _, d := range v {
		next := below + 1
		if d < bound {
			below = next
		}
	}
	if below < n || below > n+n/2 {
		bound = selectNth(v, n-1)
		return v[:n], bound
	}
	k := 0
	for _, d := range v {
		v[k] = d
		next := k + 1
		if d < bound {
			k = next
		}
	}
	return v[:below], bound
}

// roc returns the points. At a rate that accepts k of the wrong pairs at most,
// a pair is accepted where it is nearer than the wrong pair k+1.
func (s *pairs[T]) roc() []ROCPoint {
	points := []ROCPoint{} // an empty list in JSON
	if len(s.good) == 0 || s.total == 0 {
		return points
	}
	front := s.wrong // of which each selection leaves less, from the highest rate on
	for _, rate := range slices.Backward(s.rates) {
		n := s.accepted(rate)
		if n >= len(front) {
			continue // given distances that are no numbers were left out; they are an error
		}
		threshold := selectNth(front, n)
		front = front[:n+1]
		accepted := 0
		for _, d := range s.good {
			if d < threshold {
				accepted++
			}
		}
		points = append(points, ROCPoint{FPR: rate, TPR: float64(accepted) / float64(len(s.good))})
	}
	slices.Reverse(points)
	return points
}

// selectNth moves the n+1 smallest values of v to its front, the largest of
// them to place n, and returns it. (Hoare's selection, median of three.)
func selectNth[T float](v []T, n int) T {
	lo, hi := 0, len(v)-1
	for lo < hi {
		a, b, c := v[lo], v[lo+(hi-lo)/2], v[hi]
		pivot := max(min(a, b), min(max(a, b), c))
		i, j := lo, hi
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for pivot < v[j] {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i++
				j--
			}
		}
		switch {
		case n <= j:
			hi = j
		case n >= i:
			lo = i
		default:
			return v[n]
		}
	}
	return v[n]
}
