package dataset_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/internal/pixels"
)

func training(batch, workers int) dataset.LoaderOptions {
	return dataset.LoaderOptions{
		Batch: batch, Shape: dataset.Shape{Channels: 3, Height: 8, Width: 8},
		Norm:    dataset.Norm{Mean: []float32{.5, .4, .3}, Std: []float32{.2, .3, .4}},
		Augment: dataset.Augment{Flip: true, PadCrop: 2},
		Seed:    9, Shuffle: true, DropLast: true, Workers: workers,
	}
}

// collect copies all batches of an epoch.
func collect(t testing.TB, l *dataset.Loader, epoch, first int) []dataset.Batch {
	t.Helper()
	e := l.Epoch(context.Background(), epoch, first)
	defer e.Close()
	var out []dataset.Batch
	for {
		b, err := e.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, dataset.Batch{
			Images: slices.Clone(b.Images), Views: cloneAll(b.Views), Second: cloneAll(b.Second), Labels: slices.Clone(b.Labels), Indices: slices.Clone(b.Indices), N: b.N,
		})
	}
}

func cloneAll(views [][]float32) [][]float32 {
	out := make([][]float32, len(views))
	for v := range views {
		out[v] = slices.Clone(views[v])
	}
	return out
}

func newLoader(t testing.TB, ds dataset.Dataset, opts dataset.LoaderOptions) *dataset.Loader {
	t.Helper()
	l, err := dataset.NewLoader(ds, opts)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestLoaderAgainstPlainLoop(t *testing.T) {
	opts := training(4, 3)
	ds := datatest.Random(t, 30, 3, dataset.Shape{Channels: 1, Height: 12, Width: 10}, 1)
	norm, err := pixels.NewNormalizer(pixels.Norm(opts.Norm), 3)
	if err != nil {
		t.Fatal(err)
	}
	batches := collect(t, newLoader(t, ds, opts), 2, 0)
	if len(batches) != 7 {
		t.Fatalf("%d batches of 4 from 30 samples, want 7", len(batches))
	}
	seen := make(map[int]bool)
	for _, b := range batches {
		if b.N != 4 || len(b.Labels) != 4 || len(b.Indices) != 4 || len(b.Images) != 4*3*8*8 {
			t.Fatalf("batch of N %d with %d labels, %d indices, %d values", b.N, len(b.Labels), len(b.Indices), len(b.Images))
		}
		for k, i := range b.Indices {
			if seen[i] {
				t.Errorf("sample %d came twice", i)
			}
			seen[i] = true
			if int(b.Labels[k]) != ds.Label(i) {
				t.Errorf("sample %d has label %d, want %d", i, b.Labels[k], ds.Label(i))
			}
			m, _ := ds.Image(i)
			m = dataset.Image(pixels.Fit(pixels.Image(m), 3, 8, 8))
			m = opts.Augment.Apply(nil, m, dataset.SampleKey{Seed: 9, Epoch: 2, Index: i})
			want := make([]float32, 3*8*8)
			if err := norm.Apply(want, pixels.Image(m)); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(b.Images[k*len(want):(k+1)*len(want)], want) {
				t.Errorf("sample %d differs from the plain loop's", i)
			}
		}
	}
}

func TestLoaderIsDeterministic(t *testing.T) {
	ds := datatest.Random(t, 53, 5, dataset.Shape{Channels: 3, Height: 8, Width: 8}, 1)
	want := collect(t, newLoader(t, ds, training(4, 1)), 1, 0)
	for _, workers := range []int{1, 2, 3, 8, 40} {
		l := newLoader(t, ds, training(4, workers))
		for range 2 { // the second pass runs on reused buffers
			if !reflect.DeepEqual(collect(t, l, 1, 0), want) {
				t.Errorf("%d workers gave other batches than 1", workers)
			}
		}
		for first := range len(want) + 2 {
			if got := collect(t, l, 1, first); !slices.EqualFunc(got, want[min(first, len(want)):], func(a, b dataset.Batch) bool { return reflect.DeepEqual(a, b) }) {
				t.Errorf("%d workers: resuming at batch %d gave another tail", workers, first)
			}
		}
	}
	other := collect(t, newLoader(t, ds, training(4, 1)), 2, 0)
	if reflect.DeepEqual(other[0].Indices, want[0].Indices) {
		t.Error("two epochs have the same order")
	}
	opts := training(4, 1)
	opts.Seed++
	if reflect.DeepEqual(collect(t, newLoader(t, ds, opts), 1, 0)[0].Indices, want[0].Indices) {
		t.Error("two seeds give the same order")
	}
}

// TestLoaderViews: the first view is what a loader of one view gives, and the
// others are of the same samples, each with draws of its own.
func TestLoaderViews(t *testing.T) {
	opts := training(4, 3)
	ds := datatest.Random(t, 22, 3, opts.Shape, 1)
	norm, err := pixels.NewNormalizer(pixels.Norm(opts.Norm), 3)
	if err != nil {
		t.Fatal(err)
	}
	single := collect(t, newLoader(t, ds, opts), 1, 0)
	opts.Views = 3
	several := collect(t, newLoader(t, ds, opts), 1, 0)
	differ := [3]int{}
	for b := range several {
		if !slices.Equal(several[b].Images, single[b].Images) || !slices.Equal(several[b].Indices, single[b].Indices) || len(several[b].Views) != 3 {
			t.Fatalf("batch %d of 3 views differs in its first from that of one view", b)
		}
		for v, images := range several[b].Views {
			if !slices.Equal(images, several[b].Images) {
				differ[v]++
			}
			for k, i := range several[b].Indices {
				m, _ := ds.Image(i)
				m = opts.Augment.Apply(nil, m, dataset.SampleKey{Seed: 9, Epoch: 1, Index: i, View: v})
				want := make([]float32, 3*8*8)
				if err := norm.Apply(want, pixels.Image(m)); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(images[k*len(want):(k+1)*len(want)], want) {
					t.Errorf("view %d of sample %d differs from the plain loop's", v, i)
				}
			}
		}
	}
	if differ != [3]int{0, len(several), len(several)} {
		t.Errorf("of %d batches, %v differ from the first view", len(several), differ)
	}
	opts.Workers = 1
	if !reflect.DeepEqual(collect(t, newLoader(t, ds, opts), 1, 0), several) {
		t.Error("one worker gave other views than three")
	}
	if got := collect(t, newLoader(t, ds, opts), 1, 2); !reflect.DeepEqual(got, several[2:]) {
		t.Error("resuming in the middle of the epoch gave other views")
	}
}

func TestLoaderEvaluation(t *testing.T) {
	ds := datatest.Random(t, 10, 5, tiny, 1)
	l := newLoader(t, ds, dataset.LoaderOptions{Batch: 4, Shape: tiny})
	if l.Batches() != 3 {
		t.Errorf("%d batches, want 3", l.Batches())
	}
	var indices []int
	var sizes []int
	for _, b := range collect(t, l, 0, 0) {
		indices = append(indices, b.Indices...)
		sizes = append(sizes, b.N)
		if len(b.Images) != b.N*4 || len(b.Labels) != b.N {
			t.Errorf("batch of %d has %d values and %d labels", b.N, len(b.Images), len(b.Labels))
		}
	}
	if !slices.Equal(indices, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) || !slices.Equal(sizes, []int{4, 4, 2}) {
		t.Errorf("got samples %v in batches of %v", indices, sizes)
	}
}

// faulty fails on some samples.
type faulty struct {
	dataset.Dataset
	bad map[int]bool
}

func (f faulty) Image(i int) (dataset.Image, error) {
	if f.bad[i] {
		return dataset.Image{}, &dataset.DataError{File: fmt.Sprintf("cat/%d.jpg", i), Record: -1, Err: pixels.ErrCorrupt}
	}
	return f.Dataset.Image(i)
}

func TestLoaderFirstErrorWins(t *testing.T) {
	ds := faulty{datatest.Random(t, 40, 5, tiny, 1), map[int]bool{13: true, 14: true, 17: true, 30: true}}
	for _, workers := range []int{1, 2, 8} {
		l := newLoader(t, ds, dataset.LoaderOptions{Batch: 4, Shape: tiny, Workers: workers})
		for range 20 {
			e := l.Epoch(context.Background(), 0, 0)
			for range 3 {
				if _, err := e.Next(); err != nil {
					t.Fatal(err)
				}
			}
			_, err := e.Next()
			var data *dataset.DataError
			if !errors.As(err, &data) || data.File != "cat/13.jpg" || !errors.Is(err, pixels.ErrCorrupt) || !strings.Contains(err.Error(), "cat/13.jpg") {
				t.Fatalf("%d workers: error %v, want that of cat/13.jpg", workers, err)
			}
			if _, again := e.Next(); again != err {
				t.Errorf("then error %v", again)
			}
		}
	}
}

func TestLoaderCancelAndClose(t *testing.T) {
	l := newLoader(t, datatest.Random(t, 40, 5, tiny, 1), dataset.LoaderOptions{Batch: 4, Shape: tiny, Workers: 3})
	ctx, cancel := context.WithCancel(context.Background())
	e := l.Epoch(ctx, 0, 0)
	if _, err := e.Next(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := e.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancelling: %v", err)
	}
	e.Close()

	e = l.Epoch(context.Background(), 0, 0)
	e.Close()
	e.Close()
	if _, err := e.Next(); !errors.Is(err, dataset.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	for _, bad := range [][2]int{{-1, 0}, {0, -1}} {
		if _, err := l.Epoch(context.Background(), bad[0], bad[1]).Next(); err == nil || err == io.EOF {
			t.Errorf("epoch %d from batch %d: error %v", bad[0], bad[1], err)
		}
	}
}

func TestLoaderConcurrentEpochs(t *testing.T) {
	l := newLoader(t, datatest.Random(t, 60, 5, dataset.Shape{Channels: 3, Height: 8, Width: 8}, 1), training(8, 2))
	want := [][]dataset.Batch{collect(t, l, 0, 0), collect(t, l, 1, 0), collect(t, l, 2, 0)}
	var wg sync.WaitGroup
	for epoch := range want {
		wg.Go(func() {
			for range 5 {
				if !reflect.DeepEqual(collect(t, l, epoch, 0), want[epoch]) {
					t.Errorf("epoch %d differs when run beside others", epoch)
				}
			}
		})
	}
	wg.Wait()
}

func TestLoaderOptionsValidate(t *testing.T) {
	ds := datatest.Random(t, 10, 5, tiny, 1)
	opts := dataset.LoaderOptions{Shape: tiny, Workers: -1, Views: -2, Norm: dataset.Norm{Std: []float32{0}}, Augment: dataset.Augment{PadCrop: 2}}
	_, err := dataset.NewLoader(ds, opts)
	for _, want := range []string{"batch of 0", "-1 loader workers", "-2 views", "std of channel 0", "pad-crop of 2"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %q lacks %q", err, want)
		}
	}
	for name, opts := range map[string]dataset.LoaderOptions{
		"shape":         {Batch: 1},
		"unfilled":      {Batch: 11, Shape: tiny, DropLast: true},
		"norm channels": {Batch: 1, Shape: tiny, Norm: dataset.Norm{Mean: []float32{0, 0, 0}}},
	} {
		if _, err := dataset.NewLoader(ds, opts); err == nil {
			t.Errorf("bad %s passed", name)
		}
	}
	if _, err := dataset.NewLoader(labelled(t, 1), dataset.LoaderOptions{Batch: 1, Shape: tiny}); err == nil {
		t.Error("an empty dataset passed")
	}
}

// TestLoaderSteadyState measures a whole epoch against one of a tenth of the
// batches: their allocations must not grow with the batches.
func TestLoaderSteadyState(t *testing.T) {
	allocs := func(samples int) float64 {
		opts := training(10, 2)
		opts.Shuffle = false // the order of an epoch is one allocation of its own
		l := newLoader(t, datatest.Random(t, samples, 5, opts.Shape, 1), opts)
		return testing.AllocsPerRun(10, func() {
			e := l.Epoch(context.Background(), 0, 0)
			for {
				if _, err := e.Next(); err != nil {
					return
				}
			}
		})
	}
	if short, long := allocs(200), allocs(2000); long > short+5 {
		t.Errorf("%v allocations for 20 batches, %v for 200", short, long)
	}
}

// mislabelled gives one sample a label that is not a class.
type mislabelled struct{ dataset.Dataset }

func (m mislabelled) Label(i int) int {
	if i == 3 {
		return len(m.Classes())
	}
	return m.Dataset.Label(i)
}

func TestLoaderRefusesLabelsOutOfRange(t *testing.T) {
	classes := []string{"a", "b"}
	ds, err := dataset.NewMemory("m", classes, dataset.Shape{Channels: 1, Height: 2, Width: 2}, make([]uint8, 4*5), make([]int, 5))
	if err != nil {
		t.Fatal(err)
	}
	opts := dataset.LoaderOptions{Batch: 2, Shape: dataset.Shape{Channels: 1, Height: 2, Width: 2}}
	if _, err := dataset.NewLoader(ds, opts); err != nil {
		t.Fatal(err)
	}
	if _, err := dataset.NewLoader(mislabelled{ds}, opts); err == nil || !strings.Contains(err.Error(), "sample 3 has the label 2") {
		t.Errorf("got %v", err)
	}
}
