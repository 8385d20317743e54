package dataset_test

import (
	"math"
	"slices"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
)

var tiny = dataset.Shape{Channels: 1, Height: 2, Width: 2}

// labelled returns a dataset with the given labels, sample i being all i.
func labelled(t *testing.T, classes int, labels ...int) dataset.Dataset {
	t.Helper()
	var pix []uint8
	for i := range labels {
		pix = append(pix, slices.Repeat([]uint8{uint8(i)}, tiny.Size())...)
	}
	ds, err := dataset.NewMemory("labelled", make([]string, classes), tiny, pix, labels)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// ids tells which samples of a labelled dataset ds holds.
func ids(t *testing.T, ds dataset.Dataset) []int {
	t.Helper()
	var out []int
	for i := range ds.Len() {
		m, err := ds.Image(i)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, int(m.Pix[0]))
	}
	return out
}

func countOf(ds dataset.Dataset) []int {
	count := make([]int, len(ds.Classes()))
	for i := range ds.Len() {
		count[ds.Label(i)]++
	}
	return count
}

func TestStratifiedSplit(t *testing.T) {
	var labels []int // 40 of class 0, 20 of class 1, 2 of class 2, 1 of class 3
	for class, n := range []int{40, 20, 2, 1} {
		labels = append(labels, slices.Repeat([]int{class}, n)...)
	}
	ds := labelled(t, 5, labels...)
	rest, part, err := dataset.StratifiedSplit(ds, 0.1, 7)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := countOf(part), []int{4, 2, 1, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("part has %v of the classes, want %v", got, want)
	}
	all := append(ids(t, rest), ids(t, part)...)
	slices.Sort(all)
	for i, id := range all {
		if id != i || len(all) != ds.Len() {
			t.Fatalf("the two parts hold %v, not every sample once", all)
		}
	}
	for _, ds := range []dataset.Dataset{rest, part} {
		if !slices.IsSorted(ids(t, ds)) {
			t.Errorf("order changed: %v", ids(t, ds))
		}
	}

	_, again, _ := dataset.StratifiedSplit(ds, 0.1, 7)
	if !slices.Equal(ids(t, again), ids(t, part)) {
		t.Error("the same seed gave another split")
	}
	_, other, _ := dataset.StratifiedSplit(ds, 0.1, 8)
	if slices.Equal(ids(t, other), ids(t, part)) {
		t.Error("another seed gave the same split")
	}
}

func TestStratifiedSplitErrors(t *testing.T) {
	ds := labelled(t, 2, 0, 0, 1, 1)
	for _, fraction := range []float64{0, 1, -1, 2, math.NaN()} {
		if _, _, err := dataset.StratifiedSplit(ds, fraction, 0); err == nil {
			t.Errorf("fraction %v passed", fraction)
		}
	}
	if _, _, err := dataset.StratifiedSplit(labelled(t, 2, 0, 1), 0.5, 0); err == nil {
		t.Error("classes of one sample were split")
	}
}

func TestLimit(t *testing.T) {
	ds := labelled(t, 3, slices.Concat(
		slices.Repeat([]int{0}, 50), slices.Repeat([]int{1}, 30), slices.Repeat([]int{2}, 20))...)
	for n, want := range map[int][]int{
		10: {5, 3, 2}, 7: {4, 2, 1}, 1: {1, 0, 0}, 99: {49, 30, 20}, 100: {50, 30, 20}, 1000: {50, 30, 20},
	} {
		got, err := dataset.Limit(ds, n, 1)
		if err != nil {
			t.Fatal(err)
		}
		if c := countOf(got); !slices.Equal(c, want) {
			t.Errorf("limit %d: %v of the classes, want %v", n, c, want)
		}
		kept := ids(t, got)
		if !slices.IsSorted(kept) || len(slices.Compact(kept)) != got.Len() {
			t.Errorf("limit %d: samples %v out of order or twice", n, kept)
		}
	}
	if _, err := dataset.Limit(ds, 0, 1); err == nil {
		t.Error("limit 0 passed")
	}
}

func TestSubset(t *testing.T) {
	ds := labelled(t, 2, 0, 1, 0, 1)
	got, err := dataset.Subset(ds, []int{3, 0, 3})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(ids(t, got), []int{3, 0, 3}) || got.Label(0) != 1 || got.Label(1) != 0 || got.Name() != ds.Name() {
		t.Errorf("got samples %v", ids(t, got))
	}
	for _, bad := range []int{-1, 4} {
		if _, err := dataset.Subset(ds, []int{bad}); err == nil {
			t.Errorf("index %d passed", bad)
		}
	}
}

func TestSplits(t *testing.T) {
	train := labelled(t, 2, 0, 1, 0, 1, 0, 1, 0, 1)
	s, err := dataset.Splits{Train: train}.CarveVal(0.25, 3)
	if err != nil {
		t.Fatal(err)
	}
	if s.Train.Len() != 6 || s.Val.Len() != 2 {
		t.Errorf("%d training and %d validation samples, want 6 and 2", s.Train.Len(), s.Val.Len())
	}
	again, err := s.CarveVal(0.5, 3)
	if err != nil || again.Val != s.Val || again.Train != s.Train {
		t.Errorf("a second carve changed the splits (error %v)", err)
	}
	if none, err := (dataset.Splits{Train: train}).CarveVal(0, 3); err != nil || none.Val != nil {
		t.Errorf("fraction 0 gave %v, error %v", none.Val, err)
	}
	for name, want := range map[string]dataset.Dataset{"train": s.Train, "val": s.Val} {
		if got, err := s.Split(name); err != nil || got != want {
			t.Errorf("split %s: %v, error %v", name, got, err)
		}
	}
	for _, name := range []string{"test", "Train", ""} {
		if _, err := s.Split(name); err == nil {
			t.Errorf("split %q passed", name)
		}
	}
}

func TestNewMemoryErrors(t *testing.T) {
	classes := []string{"a", "b"}
	for name, bad := range map[string]struct {
		shape  dataset.Shape
		pix    []uint8
		labels []int
	}{
		"shape":  {dataset.Shape{Channels: 2, Height: 1, Width: 1}, make([]uint8, 2), make([]int, 1)},
		"length": {tiny, make([]uint8, 7), make([]int, 2)},
		"label":  {tiny, make([]uint8, 8), []int{0, 2}},
	} {
		if _, err := dataset.NewMemory(name, classes, bad.shape, bad.pix, bad.labels); err == nil {
			t.Errorf("bad %s passed", name)
		}
	}
}

func TestMeanStd(t *testing.T) {
	shape := dataset.Shape{Channels: 3, Height: 4, Width: 5}
	ds := datatest.Random(t, 30, 3, shape, 1)
	got, err := dataset.MeanStd(ds, 3, 10)
	if err != nil {
		t.Fatal(err)
	}
	for c := range 3 {
		var values []float64
		for i := 0; i < 30; i += 3 {
			m, _ := ds.Image(i)
			for p := c; p < len(m.Pix); p += 3 {
				values = append(values, float64(m.Pix[p])/255)
			}
		}
		var mean, variance float64
		for _, v := range values {
			mean += v / float64(len(values))
		}
		for _, v := range values {
			variance += (v - mean) * (v - mean) / float64(len(values))
		}
		if math.Abs(mean-float64(got.Mean[c])) > 1e-6 || math.Abs(math.Sqrt(variance)-float64(got.Std[c])) > 1e-6 {
			t.Errorf("channel %d: got %v and %v, want %v and %v", c, got.Mean[c], got.Std[c], mean, math.Sqrt(variance))
		}
	}
	if _, err := dataset.MeanStd(labelled(t, 1, 0), 1, 0); err == nil {
		t.Error("a constant channel passed")
	}
	if _, err := dataset.MeanStd(ds, 2, 0); err == nil {
		t.Error("2 channels passed")
	}
	if got, err := dataset.MeanStd(ds, 1, 0); err != nil || len(got.Mean) != 1 {
		t.Errorf("as grey: %v, error %v", got, err)
	}
}
