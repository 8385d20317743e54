//go:build cgo

package infer

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/models"
)

// TestConcurrentRun has many goroutines with different batches; each must get
// the results of its own.
func TestConcurrentRun(t *testing.T) {
	in := models.Shape{C: 1, H: 12, W: 12}
	m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "convnet", in, 4), 1, export.Options{}), Options{Threads: 1})
	const inputs = 8
	batches, want := make([][]float32, inputs), make([]Outputs, inputs)
	for i := range batches {
		n := 1 + i%3
		batches[i] = noise(n*in.Size(), uint64(i))
		var err error
		if want[i], err = m.Run(context.Background(), batches[i], n); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			for k := range 10 {
				i := (g + k) % inputs
				c := context.Background()
				if k%2 == 0 {
					c = ctx
				}
				got, err := m.Run(c, batches[i], want[i].N)
				if err != nil {
					t.Error(err)
					return
				}
				for j, v := range got.Logits {
					if math.Abs(float64(v-want[i].Logits[j])) > 1e-4 {
						t.Errorf("goroutine %d: logit %d is %v, want %v", g, j, v, want[i].Logits[j])
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestCloseWhileRunning closes among running calls: each finishes or is
// refused.
func TestCloseWhileRunning(t *testing.T) {
	needRuntime(t)
	in := models.Shape{C: 3, H: 16, W: 16}
	data := exporttest.Student(t, exporttest.Network(t, "resnet8", in, 4), 1, export.Options{})
	for range 5 {
		c, err := OpenBytes(Options{Threads: 1}, data, data)
		if err != nil {
			t.Fatal(err)
		}
		var finished, refused atomic.Int32
		var wg sync.WaitGroup
		started := make(chan struct{}, 64)
		for g := range 16 {
			wg.Go(func() {
				batch := noise(2*in.Size(), uint64(g))
				for {
					out, err := c.Run(context.Background(), batch, 2)
					if errors.Is(err, ErrClosed) {
						refused.Add(1)
						return
					}
					if err != nil || len(out.Probabilities) != 8 {
						t.Errorf("%v, %d probabilities", err, len(out.Probabilities))
						return
					}
					if finished.Add(1) <= 20 {
						started <- struct{}{}
					}
				}
			})
		}
		<-started
		for range 3 {
			wg.Go(func() {
				if err := c.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if refused.Load() != 16 || finished.Load() == 0 {
			t.Errorf("%d finished, %d refused", finished.Load(), refused.Load())
		}
		if _, err := c.Predict(context.Background(), FromImage(picture(16, 16, 1))); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	}
	if ort.IsInitialized() {
		t.Error("the environment outlives the last model")
	}
}

func TestCancel(t *testing.T) {
	m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "resnet20", cifar, 10), 1, export.Options{}), Options{Threads: 1})
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	if _, err := m.Run(ctx, noise(cifar.Size(), 1), 1); !errors.Is(err, cause) {
		t.Errorf("cancelled before: %v", err)
	}
	if _, err := m.Predict(ctx, FromImage(picture(32, 32, 1))); !errors.Is(err, cause) {
		t.Errorf("cancelled before: %v", err)
	}

	// Within the network: a larger batch each time, until one is too slow to
	// finish before its deadline.
	stopped := false
	for n := 16; n <= 4096 && !stopped; n *= 2 {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
		out, err := m.Run(ctx, make([]float32, n*cifar.Size()), n)
		cancel()
		stopped = errors.Is(err, context.DeadlineExceeded)
		if !stopped && (err != nil || out.N != n) {
			t.Fatalf("%d samples: %v", n, err)
		}
		// The runner that was stopped serves again.
		if _, err := m.Run(context.Background(), make([]float32, cifar.Size()), 1); err != nil {
			t.Fatal(err)
		}
	}
	if !stopped {
		t.Error("no call was stopped by its deadline")
	}
}

// TestCancelledRunnerServesAgain stops a call of some size and repeats it.
func TestCancelledRunnerServesAgain(t *testing.T) {
	m := openBytes(t, exporttest.Student(t, exporttest.Network(t, "resnet20", cifar, 10), 1, export.Options{}), Options{Threads: 1})
	const n = 32
	batch := noise(n*cifar.Size(), 1)
	want, err := m.Run(context.Background(), batch, n)
	if err != nil {
		t.Fatal(err)
	}
	for delay := range 4 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(delay)*time.Millisecond)
		_, _ = m.Run(ctx, batch, n) // stopped or not, as it comes
		cancel()
		got, err := m.Run(context.Background(), batch, n)
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range got.Logits {
			if math.Abs(float64(v-want.Logits[i])) > 1e-4 {
				t.Fatalf("after a stopped call logit %d is %v, want %v", i, v, want.Logits[i])
			}
		}
	}
}

// TestEnvironment checks that a foreign environment is joined and kept, and
// that one's own goes with the last model and can come again.
func TestEnvironment(t *testing.T) {
	needRuntime(t)
	data := exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2), 1, export.Options{})
	use := func() {
		t.Helper()
		m, err := OpenBytes(Options{}, data)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Run(context.Background(), make([]float32, 64), 1); err != nil {
			t.Error(err)
		}
		if err := errors.Join(m.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		use()
		if ort.IsInitialized() {
			t.Fatal("our own environment was kept")
		}
	}

	lib, err := ortlib.Find("")
	if err != nil {
		t.Fatal(err)
	}
	ort.SetSharedLibraryPath(lib.Path)
	t.Setenv("ORT_DISABLE_TELEMETRY", "1")
	if err := ort.InitializeEnvironment(); err != nil {
		t.Fatal(err)
	}
	use()
	use()
	if !ort.IsInitialized() {
		t.Fatal("a foreign environment was destroyed")
	}
	if err := ort.DestroyEnvironment(); err != nil {
		t.Error(err)
	}
	use()

	m := openBytes(t, data, Options{})
	if _, err := OpenBytes(Options{Library: lib.Path + ".other"}, data); !errors.Is(err, ErrNoRuntime) {
		t.Errorf("a second library: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}

func TestNoRuntime(t *testing.T) {
	data := exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2), 1, export.Options{})
	missing := saved(t, "lib.so", nil) + ".missing"
	if _, err := OpenBytes(Options{Library: missing}, data); !errors.Is(err, ErrNoRuntime) || !errors.Is(err, ortlib.ErrNotFound) {
		t.Errorf("missing: %v", err)
	}
	t.Setenv(ortlib.EnvLibrary, missing)
	if _, err := OpenBytes(Options{}, data); !errors.Is(err, ErrNoRuntime) {
		t.Errorf("missing by environment: %v", err)
	}
}
