package reid

import (
	"cmp"
	"slices"
)

// candidate is a row of a gallery and its similarity to a query.
type candidate struct {
	similarity float32
	row        int32
}

// candidates gathers the rows that may be among the k most similar, by
// similarities that are wrong by up to slack: all that are less than twice that
// below the k-th.
type candidates struct {
	k     int
	slack float32
	bound float32 // what is below cannot be among the k
	limit int     // of found, before what is below the bound is dropped
	found []candidate
}

// leastLimit is how many candidates are gathered before the first are dropped.
const leastLimit = 256

func (c *candidates) reset(k int, slack, bound float32) {
	*c = candidates{k: k, slack: slack, bound: bound, limit: max(4*k, leastLimit), found: c.found[:0]}
}

// offer must be called with similarities of at least the bound.
func (c *candidates) offer(similarity float32, row int32) {
	c.found = append(c.found, candidate{similarity, row})
	if len(c.found) >= c.limit {
		c.drop()
		c.limit = max(c.limit, 2*len(c.found))
	}
}

// drop raises the bound and drops what is below.
func (c *candidates) drop() {
	if len(c.found) <= c.k {
		return
	}
	slices.SortFunc(c.found, func(a, b candidate) int { return cmp.Compare(b.similarity, a.similarity) })
	c.bound = max(c.bound, c.found[c.k-1].similarity-2*c.slack)
	n, _ := slices.BinarySearchFunc(c.found, c.bound, func(a candidate, bound float32) int {
		if a.similarity >= bound {
			return -1
		}
		return 1
	})
	c.found = c.found[:n]
}
