package dataset

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/deepmutual/dml/dataset/internal/draws"
)

// Splits are the parts of a data set. Val and Test are nil where the data has
// no such part; nothing in training reads Test.
type Splits struct {
	Train, Val, Test Dataset
	// Report says what the data was taken for; its zero value, of data that was
	// not opened, says nothing.
	Report Report
}

// Split returns the part called "train", "val" or "test". A name that is none
// of these, or a part the data lacks, is an error that says so.
func (s Splits) Split(name string) (Dataset, error) {
	var ds Dataset
	switch name {
	case "train":
		ds = s.Train
	case "val":
		ds = s.Val
	case "test":
		ds = s.Test
	default:
		return nil, fmt.Errorf("unknown split %q: want train, val or test", name)
	}
	if ds == nil {
		return nil, fmt.Errorf("the data has no %s split", name)
	}
	return ds, nil
}

// CarveVal returns s with a stratified fraction of Train moved to Val. It
// returns s as it is where it has a Val already or fraction is 0.
func (s Splits) CarveVal(fraction float64, seed uint64) (Splits, error) {
	if s.Val != nil || fraction == 0 {
		return s, nil
	}
	rest, part, err := StratifiedSplit(s.Train, fraction, seed)
	if err != nil {
		return Splits{}, fmt.Errorf("validation split: %w", err)
	}
	s.Train, s.Val = rest, part
	return s, nil
}

// Subset returns the samples of ds at indices, in that order. Indices may
// repeat.
func Subset(ds Dataset, indices []int) (Dataset, error) {
	for _, i := range indices {
		if i < 0 || i >= ds.Len() {
			return nil, fmt.Errorf("%s: subset asks for sample %d of %d", ds.Name(), i, ds.Len())
		}
	}
	return &subset{Dataset: ds, indices: slices.Clone(indices)}, nil
}

type subset struct {
	Dataset
	indices []int
}

func (s *subset) Len() int                   { return len(s.indices) }
func (s *subset) Label(i int) int            { return s.Dataset.Label(s.indices[i]) }
func (s *subset) Image(i int) (Image, error) { return s.Dataset.Image(s.indices[i]) }

// StratifiedSplit divides ds into two, class by class: part takes fraction of
// each class's samples, rounded, chosen by seed; rest takes the others. A class
// of at least two samples keeps at least one on both sides; a class of one
// stays in rest. Both sides keep the order of ds. Fraction must lie strictly
// between 0 and 1, and both sides come out non-empty, else it is an error.
func StratifiedSplit(ds Dataset, fraction float64, seed uint64) (rest, part Dataset, err error) {
	if !(fraction > 0 && fraction < 1) {
		return nil, nil, fmt.Errorf("%s: fraction %v: want one between 0 and 1", ds.Name(), fraction)
	}
	quota := func(n int) int {
		if n < 2 {
			return 0
		}
		return min(max(int(math.Round(fraction*float64(n))), 1), n-1)
	}
	var taken, left []int
	for class, members := range byClass(ds) {
		k := quota(len(members))
		r := newRandom(seed, streamSplit, class, 0)
		draws.Shuffle(&r, members)
		taken = append(taken, members[:k]...)
		left = append(left, members[k:]...)
	}
	if len(taken) == 0 || len(left) == 0 {
		return nil, nil, fmt.Errorf("%s: %d samples in %d classes are too few to split off a fraction of %v; two of a class are needed",
			ds.Name(), ds.Len(), len(ds.Classes()), fraction)
	}
	slices.Sort(taken)
	slices.Sort(left)
	return &subset{Dataset: ds, indices: left}, &subset{Dataset: ds, indices: taken}, nil
}

// Limit returns n samples of ds chosen by seed, its classes in proportion (by
// largest remainder), in the order of ds. It returns ds itself where n is its
// length or more; n below 1 is an error.
func Limit(ds Dataset, n int, seed uint64) (Dataset, error) {
	if n < 1 {
		return nil, fmt.Errorf("%s: limit of %d samples: want at least 1", ds.Name(), n)
	}
	total := ds.Len()
	if n >= total {
		return ds, nil
	}
	classes := byClass(ds)
	quota := make([]int, len(classes))
	order := make([]int, len(classes)) // by falling remainder
	missing := n
	for class, members := range classes {
		quota[class] = n * len(members) / total
		missing -= quota[class]
		order[class] = class
	}
	slices.SortStableFunc(order, func(a, b int) int {
		return cmp.Compare(n*len(classes[b])%total, n*len(classes[a])%total)
	})
	for _, class := range order[:missing] {
		quota[class]++
	}
	indices := make([]int, 0, n)
	for class, members := range classes {
		r := newRandom(seed, streamLimit, class, 0)
		draws.Shuffle(&r, members)
		indices = append(indices, members[:quota[class]]...)
	}
	slices.Sort(indices)
	return &subset{Dataset: ds, indices: indices}, nil
}

// byClass lists the indices of each class, ascending.
func byClass(ds Dataset) [][]int {
	classes := make([][]int, len(ds.Classes()))
	for i := range ds.Len() {
		label := ds.Label(i)
		classes[label] = append(classes[label], i)
	}
	return classes
}
