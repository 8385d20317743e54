//go:build cgo

package infer

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/models"
)

// TestReplace replaces a model again and again under load: no call may fail, and
// each gets the answer of one model or the other.
func TestReplace(t *testing.T) {
	needRuntime(t)
	in := models.Shape{C: 1, H: 8, W: 8}
	net := exporttest.Network(t, "convnet", in, 4)
	data := [][]byte{exporttest.Student(t, net, 1, export.Options{}), exporttest.Student(t, net, 2, export.Options{})}
	batch := noise(in.Size(), 1)
	open := func(i int) *Model {
		m, err := OpenBytes(Options{Threads: 1}, data[i])
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	var want [2]Outputs
	for i := range want {
		m := open(i)
		var err error
		if want[i], err = m.Run(context.Background(), batch, 1); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	m := open(0)
	var done atomic.Bool
	var served [2]atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for !done.Load() {
				out, err := m.Run(context.Background(), batch, 1)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range want {
					if largest(out.Logits, want[i].Logits) < 1e-5 {
						served[i].Add(1)
					}
				}
			}
		})
	}
	for i := range 20 {
		before := served[i%2].Load()
		for served[i%2].Load() == before {
			time.Sleep(time.Millisecond)
			if t.Failed() {
				break
			}
		}
		if err := m.Replace(open(1 - i%2)); err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	wg.Wait()
	t.Logf("served by the first %d calls, by the second %d, over 20 replacements", served[0].Load(), served[1].Load())
	if err := errors.Join(m.Close(), m.Close()); err != nil {
		t.Error(err)
	}
	if _, err := m.Predict(context.Background(), FromImage(picture(8, 8, 1))); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	next := open(0)
	if err := m.Replace(next); !errors.Is(err, ErrClosed) {
		t.Errorf("replacing a closed model: %v", err)
	}
	if _, err := next.Run(context.Background(), batch, 1); err != nil {
		t.Errorf("a model that was not taken: %v", err)
	}
	if err := next.Close(); err != nil || ort.IsInitialized() {
		t.Errorf("closing: %v; the environment is left: %v", err, ort.IsInitialized())
	}
}

// TestChaos has 64 goroutines calling, replacing, cancelling and closing at
// random. Each call must succeed or fail by one of the errors that this
// explains, and nothing may be left behind.
func TestChaos(t *testing.T) {
	needRuntime(t)
	in := models.Shape{C: 1, H: 8, W: 8}
	data := exporttest.Student(t, exporttest.Network(t, "convnet", in, 4), 1, export.Options{})
	open := func() *Model {
		m, err := OpenBytes(Options{Threads: 1, MaxBatch: 2, Join: &Joining{MaxWait: 100 * time.Microsecond}}, data)
		if err != nil {
			t.Error(err)
		}
		return m
	}
	held := make([]atomic.Pointer[Model], 4)
	for i := range held {
		held[i].Store(open())
	}
	encoded := pngOf(t, congruential(9, 9, 1))
	var succeeded, cancels, closes atomic.Int64
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 7))
			for range 25 {
				at := &held[rng.IntN(len(held))]
				m := at.Load()
				ctx, cancel := context.WithCancel(context.Background())
				var err error
				switch rng.IntN(12) {
				case 0: // replace
					next := open()
					if err = m.Replace(next); err != nil {
						_ = next.Close()
					}
				case 1: // put another in its place, and close it under those who hold it
					if fresh := open(); !at.CompareAndSwap(m, fresh) {
						_ = fresh.Close()
					}
					err = m.Close()
				case 2, 3: // cancel while it runs
					time.AfterFunc(time.Duration(rng.IntN(300))*time.Microsecond, cancel)
					_, err = m.Run(ctx, noise(3*in.Size(), uint64(g)), 3)
				case 4: // cancelled before
					cancel()
					_, err = m.Embed(ctx, FromBytes(encoded))
				case 5, 6, 7:
					_, err = m.Predict(ctx, FromBytes(encoded), FromBytes(encoded), FromBytes(encoded))
				default:
					var out Outputs
					if out, err = m.Run(ctx, noise(in.Size(), uint64(g)), 1); err == nil && len(out.Logits) != 4 {
						t.Errorf("%d logits", len(out.Logits))
					}
				}
				cancel()
				switch {
				case err == nil:
					succeeded.Add(1)
				case errors.Is(err, ErrCancelled) && errors.Is(err, context.Canceled):
					cancels.Add(1)
				case errors.Is(err, ErrClosed):
					closes.Add(1)
				default:
					t.Errorf("goroutine %d: %v", g, err)
				}
			}
		})
	}
	wg.Wait()
	for i := range held {
		if err := held[i].Load().Close(); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d calls succeeded, %d were cancelled, %d met a closed model", succeeded.Load(), cancels.Load(), closes.Load())
	if ort.IsInitialized() {
		t.Error("the environment outlives the last model")
	}
	if succeeded.Load() == 0 || cancels.Load() == 0 {
		t.Error("the test did not do what it is for")
	}
}

func TestOpenFS(t *testing.T) {
	needRuntime(t)
	data := exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2), 1, export.Options{})
	fsys := fstest.MapFS{"models/a.onnx": {Data: data}, "models/b.onnx": {Data: data[:99]}}
	m, err := OpenFS(Options{}, fsys, "models/a.onnx")
	if err != nil {
		t.Fatal(err)
	}
	if m.Info().Path != "models/a.onnx" {
		t.Errorf("%+v", m.Info())
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := OpenFS(Options{}, fsys, "models/b.onnx"); !errors.Is(err, ErrNotONNX) {
		t.Errorf("truncated: %v", err)
	}
	if _, err := OpenFS(Options{}, fsys, "models/c.onnx"); err == nil {
		t.Error("a missing file opened")
	}
}

func TestUnavailableProvider(t *testing.T) {
	needRuntime(t)
	data := exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2), 1, export.Options{})
	for _, p := range []Provider{
		{Name: "Abacus"}, {Name: "OpenVINO"}, {Name: "QNN", Options: map[string]string{"backend_path": "none"}},
		{Name: "CPU", Options: map[string]string{"beads": "10"}}, {Name: "DirectML", Options: map[string]string{"device_id": "x"}},
	} {
		m, err := OpenBytes(Options{Provider: p}, data)
		var provider *ProviderError
		if !errors.Is(err, ErrNoProvider) || !errors.As(err, &provider) || provider.Name != p.Name || provider.Err == nil {
			t.Errorf("%v: %v, %v", p, m, err)
		}
		t.Logf("%v: %v", p, err)
	}
	if ort.IsInitialized() {
		t.Error("failed openings left the environment behind")
	}
	for _, name := range []string{"CPU", "CPUExecutionProvider"} {
		m := openBytes(t, data, Options{Provider: Provider{Name: name}})
		if _, err := m.Run(context.Background(), make([]float32, 64), 1); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
