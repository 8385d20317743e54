package reid

import (
	"cmp"
	"math"
	"slices"
)

// neighbour is a column at a distance.
type neighbour[T float] struct {
	distance T
	column   int32
}

// order sorts by distance, equal ones by column.
func order[T float](a, b neighbour[T]) int {
	return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.column, b.column))
}

// nearest selects the k nearest columns without sorting the others: it gathers
// what is nearer than the k-th so far, and sorts when it has 2k.
type nearest[T float] struct {
	k     int
	found []neighbour[T]
	bound T // only what is nearer can be among the k
}

// newNearest allocates for k columns.
func newNearest[T float](k int) *nearest[T] {
	return &nearest[T]{k: k, found: make([]neighbour[T], 0, 2*k)}
}

func (s *nearest[T]) reset() {
	s.found, s.bound = s.found[:0], T(math.Inf(1))
}

// offer must be called by ascending columns, with distances below bound.
func (s *nearest[T]) offer(d T, column int32) {
	s.found = append(s.found, neighbour[T]{d, column})
	if len(s.found) == 2*s.k {
		s.keep()
	}
}

// limit is above all distances that, divided by scale, are below bound.
func (s *nearest[T]) limit(scale T) T { return s.bound * scale * (1 + 1e-6) }

// keep drops what is not among the k nearest.
func (s *nearest[T]) keep() {
	slices.SortFunc(s.found, order)
	if len(s.found) >= s.k {
		s.found = s.found[:s.k]
		s.bound = s.found[s.k-1].distance
	}
}

// of returns the columns of a row that are nearest, nearest first, without
// those that are infinitely far. The next call overwrites them.
func (s *nearest[T]) of(row []T) []neighbour[T] {
	s.reset()
	if s.k == 0 {
		return nil
	}
	for j, d := range row {
		if d < s.bound {
			s.offer(d, int32(j))
		}
	}
	s.keep()
	return s.found
}
