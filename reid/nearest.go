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

// order is that of a ranking: by distance, equal ones by column, which is the order
// of the gallery. What selects and counts relies on it: nearest, by taking columns
// in ascending order, and counter. Gallery.Search has rankedOrder.
func order[T float](a, b neighbour[T]) int {
	return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.column, b.column))
}

// ruler tells the distances of a query in float64, to decide between columns
// whose distances in T differ by less than T's rounding.
type ruler[T float] struct {
	src           source[T]
	query, worker int
	slack         T // how wrong a distance can be
}

// rulerOf is for a query whose row the worker has finished.
func rulerOf[T float](src source[T], query, worker int) ruler[T] {
	return ruler[T]{src, query, worker, src.slack(query, worker)}
}

func (r ruler[T]) exact(column int32) neighbour[float64] {
	return neighbour[float64]{r.src.exact(r.query, column, r.worker), column}
}

// nearest selects the k nearest columns without sorting the others: it gathers
// what may be nearer than the k-th so far, and sorts when it has twice as many.
type nearest[T float] struct {
	k     int
	found []neighbour[T]
	most  int // in found before it is sorted
	slack T
	bound T                    // only what is nearer can be among the k
	exact []neighbour[float64] // to decide in
}

// newNearest allocates for k columns.
func newNearest[T float](k int) *nearest[T] {
	return &nearest[T]{k: k, found: make([]neighbour[T], 0, 2*k)}
}

// reset starts a row whose distances are wrong by up to slack.
func (s *nearest[T]) reset(slack T) {
	s.found, s.most, s.slack, s.bound = s.found[:0], 2*s.k, slack, T(math.Inf(1))
}

// offer must be called by ascending columns, with distances below bound: without
// slack, a later column at the distance of the k-th is behind it.
func (s *nearest[T]) offer(d T, column int32) {
	s.found = append(s.found, neighbour[T]{d, column})
	if len(s.found) >= s.most {
		s.keep()
		s.most = max(s.most, 2*len(s.found))
	}
}

// keep drops what cannot be among the k nearest.
func (s *nearest[T]) keep() {
	slices.SortFunc(s.found, order)
	if len(s.found) < s.k {
		return
	}
	s.bound = s.found[s.k-1].distance + 2*s.slack
	n := s.k
	for n < len(s.found) && s.found[n].distance < s.bound {
		n++
	}
	s.found = s.found[:n]
}

// gather finds the columns of a row that may be among the k nearest, without
// those that are infinitely far.
func (s *nearest[T]) gather(row []T, slack T) {
	s.reset(slack)
	if s.k == 0 {
		return
	}
	for j, d := range row {
		if d < s.bound {
			s.offer(d, int32(j))
		}
	}
	s.keep()
}

// of returns the k nearest columns of a row, nearest first. The next call
// overwrites them.
func (s *nearest[T]) of(row []T, r ruler[T]) []neighbour[T] {
	s.gather(row, r.slack)
	return s.decided(r)
}

// decided puts those that were found in order. Runs of distances that rounding
// may have mixed up are computed in float64.
func (s *nearest[T]) decided(r ruler[T]) []neighbour[T] {
	for from := 0; s.slack > 0 && from < min(s.k, len(s.found)); {
		to := from + 1
		for to < len(s.found) && s.found[to].distance-s.found[to-1].distance <= 2*s.slack {
			to++
		}
		if run := s.found[from:to]; len(run) > 1 {
			for i, n := range s.decide(run, r) {
				run[i] = neighbour[T]{T(n.distance), n.column}
			}
		}
		from = to
	}
	return s.found[:min(s.k, len(s.found))]
}

// decide returns columns in the order of their distances in float64, equal ones
// by column.
func (s *nearest[T]) decide(columns []neighbour[T], r ruler[T]) []neighbour[float64] {
	s.exact = s.exact[:0]
	for _, n := range columns {
		s.exact = append(s.exact, r.exact(n.column))
	}
	slices.SortFunc(s.exact, order)
	return s.exact
}

// measured returns the k nearest columns of a row by their distances in float64.
func (s *nearest[T]) measured(row []T, r ruler[T]) []neighbour[float64] {
	s.gather(row, r.slack)
	all := s.decide(s.found, r)
	return all[:min(s.k, len(all))]
}
