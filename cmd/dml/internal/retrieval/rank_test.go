package retrieval

import (
	"slices"
	"testing"

	"github.com/deepmutual/dml/reid"
)

// TestWithoutItself leaves out the query alone, not others of its name.
func TestWithoutItself(t *testing.T) {
	best := []reid.Match{{Gallery: 7}, {Gallery: 2, SameCamera: true}, {Gallery: 5}, {Gallery: 1}, {Gallery: 3}}
	var rows []int
	for _, m := range withoutItself(slices.Clone(best), 5, 2) {
		rows = append(rows, m.Gallery)
	}
	if !slices.Equal(rows, []int{7, 2, 1}) {
		t.Errorf("%v", rows)
	}
	if got := withoutItself(slices.Clone(best), 9, 9); !slices.Equal(got, best) {
		t.Errorf("%v", got)
	}
}
