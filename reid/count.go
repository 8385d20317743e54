package reid

import (
	"math"
	"slices"
)

// cells is how many parts the distances between the first and the last match
// are divided into, a power of two.
const cells = 1024

// counter finds the ranks of matches without sorting: it counts, for each
// wrong column, how many matches come before it. What rounding leaves open is
// decided in float64.
type counter[T float] struct {
	edges     []T                  // distances of the matches, ascending
	exact     []neighbour[float64] // the matches, by distance in float64, once they are asked for
	histogram []int32              // of columns, by how many matches come before them

	low, scale T
	slack      T                // of a distance
	before     [cells + 1]int32 // matches in the cells before one
	marks      [cells + 1]int32 // of cells where matches begin to be close, less those where they cease to
	plain      [cells]int32     // matches before all of a cell, or undecided
}

// undecided marks cells with a distance that may be that of a match.
const undecided = -1

// newCounter allocates for so many matches.
func newCounter[T float](most int) counter[T] {
	return counter[T]{edges: make([]T, most), exact: make([]neighbour[float64], 0, most), histogram: make([]int32, most+1)}
}

// ranks sets the ranks, from 1, of matches, given nearest first, among the
// columns of a row; matches and junk are infinitely far in it. It puts the
// matches in the order of their ranks.
//
// A column comes before the k-th match unless k or more matches come before the
// column. So the rank of the k-th match is k plus the number of columns that
// fewer than k matches come before.
func (c *counter[T]) ranks(dst []int32, row []T, matches []neighbour[T], r ruler[T]) {
	n := len(matches)
	c.edges, c.exact = c.edges[:n], c.exact[:0]
	histogram := c.histogram[:n+1]
	clear(histogram)
	for k, m := range matches {
		c.edges[k] = m.distance
	}
	c.slack = r.slack
	c.divide()
	low, high, scale := c.low, c.edges[n-1]+2*c.slack, c.scale
	for j, d := range row {
		if d > high {
			continue
		}
		if d < low {
			histogram[0]++
			continue
		}
		cell := int32((d-low)*scale) & (cells - 1)
		if before := c.plain[cell]; before != undecided {
			histogram[before]++
		} else {
			histogram[c.close(d, int32(j), matches, r)]++
		}
	}
	rank := int32(0)
	for k := range n {
		rank += histogram[k]
		dst[k] = rank + int32(k) + 1
	}
}

// cell of a distance; it grows with the distance.
func (c *counter[T]) cell(d T) int32 { return int32((d-c.low)*c.scale) & (cells - 1) }

// divide lays out the cells.
func (c *counter[T]) divide() {
	n, wide := len(c.edges), 2*c.slack
	c.low = c.edges[0] - wide
	c.scale = (cells - 1) / (c.edges[n-1] + wide - c.low)
	if !(c.scale <= math.MaxFloat32) {
		c.scale = 0 // the matches are at one distance, or nearly so
	}
	clear(c.marks[:])
	clear(c.before[:])
	for _, e := range c.edges {
		c.marks[c.cell(e-wide)]++
		c.marks[c.cell(e+wide)+1]--
		c.before[c.cell(e)+1]++
	}
	close := int32(0)
	for i := range int32(cells) {
		c.before[i+1] += c.before[i]
		close += c.marks[i]
		c.plain[i] = c.before[i]
		if close > 0 {
			c.plain[i] = undecided
		}
	}
}

// close returns how many matches come before a column at a distance that may be
// that of a match.
func (c *counter[T]) close(d T, column int32, matches []neighbour[T], r ruler[T]) int {
	if len(c.exact) == 0 {
		wide := 2 * c.slack
		high := c.edges[len(c.edges)-1] + wide
		lo, hi := int(c.before[c.cell(max(c.low, d-wide))]), int(c.before[c.cell(min(high, d+wide))+1])
		lo += countBelow(c.edges[lo:hi], d-wide)
		if lo == len(c.edges) || c.edges[lo] > d+wide {
			return lo
		}
		for _, m := range matches {
			c.exact = append(c.exact, r.exact(m.column))
		}
		slices.SortFunc(c.exact, order)
		for k, m := range c.exact {
			matches[k] = neighbour[T]{T(m.distance), m.column}
		}
	}
	first, _ := slices.BinarySearchFunc(c.exact, float64(d)-float64(c.slack), closer)
	if first == len(c.exact) || c.exact[first].distance > float64(d)+float64(c.slack) {
		return first
	}
	before, _ := slices.BinarySearchFunc(c.exact, r.exact(column), order)
	return before
}

func closer(n neighbour[float64], distance float64) int {
	if n.distance < distance {
		return -1
	}
	return 1
}

// countBelow counts the ascending values that are less than v.
func countBelow[T float](values []T, v T) int {
	lo, hi := 0, len(values)
	for lo < hi {
		if middle := (lo + hi) / 2; values[middle] < v {
			lo = middle + 1
		} else {
			hi = middle
		}
	}
	return lo
}
