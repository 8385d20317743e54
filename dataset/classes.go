package dataset

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// ErrClasses says that classes cannot be matched.
var ErrClasses = errors.New("other classes")

// MatchClasses returns ds with its labels as indices into classes: those of the
// same names. Where the names are others, classes are matched by position if
// those of one side are nothing but their own indices, 0, 1, 2 and so on, and
// those of the other are not numbers, which could mean others. All else is an
// error that wraps ErrClasses.
func MatchClasses(ds Dataset, classes []string) (Dataset, error) {
	own := ds.Classes()
	if slices.Equal(own, classes) {
		return ds, nil
	}
	if len(own) != len(classes) {
		return nil, fmt.Errorf("%w: %d classes are to be matched, %s has %d", ErrClasses, len(classes), ds.Name(), len(own))
	}
	if countNames(own) && !anyNumber(classes) || countNames(classes) && !anyNumber(own) {
		return ds, nil
	}
	index := make(map[string]int, len(classes))
	for i, name := range classes {
		if other, twice := index[name]; twice {
			return nil, fmt.Errorf("%w: %d and %d are both called %q", ErrClasses, other, i, name)
		}
		index[name] = i
	}
	m := &matched{Dataset: ds, classes: classes, labels: make([]int, len(own))}
	taken := make(map[int]bool, len(own))
	for label, name := range own {
		i, there := index[name]
		if !there || taken[i] {
			at := slices.IndexFunc(classes, func(c string) bool { return !slices.Contains(own, c) })
			if !there && at >= 0 {
				return nil, fmt.Errorf("%s: %w: its class %q is none of the others, which have %q: use data with the same names", ds.Name(), ErrClasses, name, classes[at])
			}
			return nil, fmt.Errorf("%s: %w: two are called %q", ds.Name(), ErrClasses, name)
		}
		m.labels[label], taken[i] = i, true
	}
	return m, nil
}

// countNames reports whether names are their own indices.
func countNames(names []string) bool {
	for i, name := range names {
		if name != strconv.Itoa(i) {
			return false
		}
	}
	return true
}

func anyNumber(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		_, err := strconv.Atoi(name)
		return err == nil
	})
}

// matched is a Dataset with other labels.
type matched struct {
	Dataset
	classes []string
	labels  []int // by those of Dataset
}

func (m *matched) Classes() []string { return m.classes }
func (m *matched) Label(i int) int   { return m.labels[m.Dataset.Label(i)] }
func (m *matched) inMemory() bool    { return inMemory(m.Dataset) }
