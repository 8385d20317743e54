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
	defer e.Close()
	next := make(chan error)
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
	close(ds.gates[0])
	if err := <-next; err != nil {
		t.Fatal(err)
	}
	// The caller computes. What the helpers hold they finish, and begin nothing.
	close(ds.gates[1])
	close(ds.gates[2])
	if i := <-ds.entered; i != workers {
		t.Errorf("sample %d is read after %d samples", i, workers)
	}
	select {
	case i := <-ds.entered:
		t.Errorf("sample %d is read by a second worker while the caller computes", i)
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
	for _, gate := range ds.gates[workers:] {
		close(gate)
	}
	go func() {
		for range ds.entered {
		}
	}()
	if err := <-next; err != nil {
		t.Fatal(err)
	}
	e.Close()
	close(ds.entered)
}
