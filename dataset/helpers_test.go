package dataset_test

import (
	"context"
	"testing"
	"time"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
)

// gated tells which sample is being read and holds it until its gate opens.
type gated struct {
	dataset.Dataset
	entered chan int
	gates   []chan struct{}
}

func (g gated) Image(i int) (dataset.Image, error) {
	g.entered <- i
	<-g.gates[i]
	return g.Dataset.Image(i)
}

// TestLoaderLeavesTheCores counts the workers that prepare at once: all while
// the caller waits for a batch, one while it computes.
func TestLoaderLeavesTheCores(t *testing.T) {
	const workers, samples = 3, 8
	ds := gated{datatest.Random(t, samples, 5, tiny, 1), make(chan int), nil}
	for range samples {
		ds.gates = append(ds.gates, make(chan struct{}))
	}
	l := newLoader(t, ds, dataset.LoaderOptions{Batch: 1, Shape: tiny, Workers: workers})
	e := l.Epoch(context.Background(), 0, 0)
	opened := 0
	open := func(to int) {
		for ; opened < to; opened++ {
			close(ds.gates[opened])
		}
	}
	defer func() {
		open(samples)
		go func() {
			for range ds.entered {
			}
		}()
		e.Close()
		close(ds.entered)
	}()
	next := make(chan error, 1)
	wait := func() {
		go func() {
			_, err := e.Next()
			next <- err
		}()
	}
	wait()
	for range workers {
		if i := <-ds.entered; i >= workers {
			t.Errorf("sample %d is read before its turn", i)
		}
	}
	open(1)
	if err := <-next; err != nil {
		t.Fatal(err)
	}
	// The caller computes. What the helpers hold they finish, and begin nothing.
	open(workers)
	if i := <-ds.entered; i != workers {
		t.Errorf("sample %d is read after %d samples", i, workers)
	}
	select {
	case i := <-ds.entered:
		t.Fatalf("sample %d is read by a second worker while the caller computes", i)
	case <-time.After(100 * time.Millisecond):
	}
	// The caller waits again, for a batch that is held.
	for range 2 { // the batches that are ready
		wait()
		if err := <-next; err != nil {
			t.Fatal(err)
		}
	}
	wait()
	for range workers - 1 {
		<-ds.entered
	}
	open(workers + 1)
	if err := <-next; err != nil {
		t.Fatal(err)
	}
}
