//go:build cgo

package infer

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/models"
)

// counted counts the batches and samples that reach a backend.
type counted struct {
	Backend
	mu      sync.Mutex
	batches []int
}

func (c *counted) Run(ctx context.Context, n int, fill func(Input) error) (Outputs, error) {
	c.mu.Lock()
	c.batches = append(c.batches, n)
	c.mu.Unlock()
	return c.Backend.Run(ctx, n, fill)
}

// TestJoin joins concurrent calls; each must get the results of its own.
func TestJoin(t *testing.T) {
	in := models.Shape{C: 1, H: 12, W: 12}
	m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "convnet", in, 4), 1, export.Options{}), Options{Threads: 1})
	const calls = 30
	batches, want := make([][]float32, calls), make([]Outputs, calls)
	for i := range batches {
		n := 1 + i%3
		batches[i] = noise(n*in.Size(), uint64(i))
		var err error
		if want[i], err = m.Run(context.Background(), batches[i], n); err != nil {
			t.Fatal(err)
		}
	}
	images := []Image{FromImage(picture(12, 12, 1)), FromImage(picture(12, 12, 2))}
	predicted, err := m.Predict(context.Background(), images...)
	if err != nil {
		t.Fatal(err)
	}
	count := &counted{Backend: backendOf(m)}
	// A long wait, so that calls that come together are joined for certain.
	b, err := New(Options{MaxBatch: 8, Join: &Joining{MaxWait: 200 * time.Millisecond}}, count)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range calls {
		wg.Go(func() {
			got, err := b.Run(context.Background(), batches[i], want[i].N)
			if err != nil || got.N != want[i].N || largest(got.Logits, want[i].Logits) > 1e-4 || largest(got.Embedding, want[i].Embedding) > 1e-4 {
				t.Errorf("call %d: %+v, %v, want %+v", i, got, err, want[i])
			}
		})
	}
	wg.Go(func() { // an unreadable image fails its own call alone
		if _, err := b.Predict(context.Background(), FromBytes([]byte("hello"))); !errors.Is(err, ErrImage) {
			t.Errorf("unreadable: %v", err)
		}
	})
	wg.Go(func() {
		got, err := b.Predict(context.Background(), images...)
		if err != nil || len(got) != 2 || largest(got[1].Probabilities, predicted[1].Probabilities) > 1e-4 {
			t.Errorf("images: %+v, %v", got, err)
		}
	})
	wg.Wait()
	samples := 0
	for _, n := range count.batches {
		if samples += n; n > 8 {
			t.Errorf("a batch of %d", n)
		}
	}
	t.Logf("%d calls went as batches of %v", calls+1, count.batches)
	if samples != 2*calls+2 || len(count.batches) > calls/2 {
		t.Errorf("%d samples in %d batches", samples, len(count.batches))
	}
	// A call that is larger than a batch goes by itself.
	if got, err := b.Run(context.Background(), noise(20*in.Size(), 1), 20); err != nil || got.N != 20 {
		t.Errorf("a large call: %d, %v", got.N, err)
	}
	if s := b.Stats(); s.Queue != 0 || s.Batches.Count != uint64(len(count.batches)) || s.Batches.Sum != float64(samples+20) ||
		s.Calls != calls+3 || s.Failed != 0 || s.Images != 3 || s.Faulty != 1 || s.Seconds.Count != s.Calls {
		t.Errorf("%+v, want %d batches of %d samples", s, len(count.batches), samples+20)
	}
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	time.AfterFunc(5*time.Millisecond, func() { cancel(cause) })
	if _, err := b.Run(ctx, batches[0], 1); !errors.Is(err, ErrCancelled) || !errors.Is(err, cause) {
		t.Errorf("cancelled while it waits: %v", err)
	}
	if _, err := b.Run(context.Background(), batches[0], 2); !errors.Is(err, ErrWrongSize) {
		t.Errorf("wrong size: %v", err)
	}
	if b.Info().Classes == nil {
		t.Errorf("%+v", b.Info())
	}
	g := b.current.Load() // not Close, which would close the backend under m
	g.gate.close()
	if _, err := b.Embed(context.Background(), images...); !errors.Is(err, ErrClosed) || strings.Count(err.Error(), "infer:") != 1 {
		t.Errorf("closed: %v", err)
	}
	g.join.end()
}

func TestJoinFaults(t *testing.T) {
	err := Options{MaxBatch: -1, Join: &Joining{MaxWait: -1, Parallel: -1}}.Validate()
	if err == nil || !strings.Contains(err.Error(), "Parallel") || !strings.Contains(err.Error(), "MaxBatch") || !strings.Contains(err.Error(), "MaxWait") {
		t.Errorf("options: %v", err)
	}
}
