package reid

import "math"

// cells is how many parts the distances between the first and the last match
// are divided into, a power of two.
const cells = 1024

// counter finds the ranks of matches without sorting: it counts, for each
// column, how many matches come before it.
type counter[T float] struct {
	edges     []T              // distances of the matches, ascending
	histogram []int32          // of columns, by how many matches come before them
	start     [cells + 1]int32 // the first match that is not before a cell
}

// newCounter allocates for so many matches.
func newCounter[T float](most int) counter[T] {
	return counter[T]{edges: make([]T, most), histogram: make([]int32, most+1)}
}

// ranks sets the ranks, from 1, of matches, given nearest first, among the
// columns of a row; those that are junk are infinitely far.
//
// A column comes before the k-th match unless k or more matches come before the
// column. So the rank of the k-th match, itself counted, is the number of
// columns that fewer than k matches come before.
func (c *counter[T]) ranks(dst []int32, row []T, matches []neighbour[T]) {
	n := len(matches)
	edges, histogram := c.edges[:n], c.histogram[:n+1]
	clear(histogram)
	for k, m := range matches {
		edges[k] = m.distance
	}
	first, last := edges[0], edges[n-1]
	scale := (cells - 1) / (last - first)
	if !(scale <= math.MaxFloat32) {
		scale = 0 // the matches are at one distance, or nearly so
	}
	c.divide(edges, scale)
	for j, d := range row {
		if d > last {
			continue
		}
		if d < first {
			histogram[0]++
			continue
		}
		// The cell grows with the distance, so matches of cells before this one
		// are nearer, those of later ones are not.
		cell := int32((d-first)*scale) & (cells - 1)
		before, end := c.start[cell], c.start[cell+1]
		for end-before > 8 { // bisect crowded cells
			if middle := (before + end) / 2; edges[middle] < d {
				before = middle + 1
			} else {
				end = middle
			}
		}
		for before < end && edges[before] < d {
			before++
		}
		for int(before) < n && edges[before] == d && int(matches[before].column) < j {
			before++ // of equals the earlier column comes first
		}
		histogram[before]++
	}
	rank := int32(0)
	for k := range n {
		rank += histogram[k]
		dst[k] = rank
	}
}

// divide sets where the matches of each cell start.
func (c *counter[T]) divide(edges []T, scale T) {
	k := 0
	for cell := range int32(cells) {
		c.start[cell] = int32(k)
		for k < len(edges) && int32((edges[k]-edges[0])*scale)&(cells-1) == cell {
			k++
		}
	}
	c.start[cells] = int32(len(edges))
}
