// Package kerneltest is the conformance suite of kernel backends. A backend's
// test calls [Run]; every value is compared with package ref, every gradient
// also with finite differences of the backend's own forward pass, and a few
// results with numbers worked out by hand.
package kerneltest

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
)

// Options adapts the suite to a backend. The zero value is usable.
type Options struct {
	// Tolerance limits the L2 norm of the difference from ref, relative to
	// the norm of ref's result; 0 means 2e-5.
	Tolerance float64
	// WinogradTolerance is that of 3x3 convolutions of stride 1 on engines
	// that may use Winograd's algorithm; 0 means 1e-4.
	WinogradTolerance float64
	// AllocFree requires that no kernel allocates Go memory when it runs.
	AllocFree bool
	// Layouts are tested beside NCHW and the layout that engines prefer.
	Layouts []kernel.Layout
}

// Run tests everything that package kernel promises of a backend.
func Run(t *testing.T, backend kernel.Backend, opts Options) {
	if opts.Tolerance == 0 {
		opts.Tolerance = 2e-5
	}
	if opts.WinogradTolerance == 0 {
		opts.WinogradTolerance = 1e-4
	}
	s := &suite{Options: opts, backend: backend}
	t.Run("Engine", s.testEngine)
	t.Run("Literals", s.testLiterals)
	t.Run("Conv", s.testConv)
	t.Run("BatchNorm", s.testBatchNorm)
	t.Run("Pool", s.testPool)
	t.Run("GlobalAvgPool", s.testGlobalAvgPool)
	t.Run("Dense", s.testDense)
	t.Run("Add", s.testAdd)
	t.Run("Activation", s.testActivation)
	t.Run("Sigmoid", s.testSigmoid)
	t.Run("Multiply", s.testMultiply)
	t.Run("Subsample", s.testSubsample)
	t.Run("Concat", s.testConcat)
	t.Run("Dropout", s.testDropout)
	t.Run("Softmax", s.testSoftmax)
	t.Run("Reorder", s.testReorder)
	t.Run("BadSpecs", s.testBadSpecs)
}

type suite struct {
	Options
	backend kernel.Backend
}

// engine makes an engine that is closed when the test ends, and keeps the
// test's goroutine on its OS thread, as engines require.
func (s *suite) engine(t *testing.T, opts kernel.EngineOptions) kernel.Engine {
	t.Helper()
	return newEngine(t, s.backend, opts)
}

func newEngine(t *testing.T, backend kernel.Backend, opts kernel.EngineOptions) kernel.Engine {
	t.Helper()
	runtime.LockOSThread()
	e, err := backend.NewEngine(opts)
	if err != nil {
		runtime.UnlockOSThread()
		t.Fatalf("NewEngine(%+v): %v", opts, err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		runtime.UnlockOSThread()
	})
	return e
}

func refEngine(t *testing.T) kernel.Engine {
	t.Helper()
	return newEngine(t, ref.New(), kernel.EngineOptions{})
}

// placement puts activations of a problem in some layout.
type placement func(kernel.Desc) kernel.Desc

func inLayout(l kernel.Layout) placement {
	return func(d kernel.Desc) kernel.Desc { return d.As(l) }
}

// placements returns NCHW, the layout that the engine prefers, and those of
// the options.
func (s *suite) placements(t *testing.T) []placement {
	t.Helper()
	e := s.engine(t, kernel.EngineOptions{})
	all := []placement{
		inLayout(kernel.NCHW),
		func(d kernel.Desc) kernel.Desc { return d.As(e.Layout(d.C, d.H, d.W)) },
	}
	for _, l := range s.Layouts {
		all = append(all, inLayout(l))
	}
	return all
}

// each calls f for the problem that build makes of each placement, without
// repeating equal problems.
func (s *suite) each(t *testing.T, build func(placement) *problem, f func(*testing.T, *problem)) {
	t.Helper()
	seen := map[string]bool{}
	for _, place := range s.placements(t) {
		p := build(place)
		p.plain = build(inLayout(kernel.NCHW))
		if seen[p.name] {
			continue
		}
		seen[p.name] = true
		t.Run(strings.ReplaceAll(p.name, " ", "_"), func(t *testing.T) { f(t, p) })
	}
}

// alloc takes memory of an engine that has enough.
func alloc(t *testing.T, e kernel.Engine, n int) []float32 {
	t.Helper()
	v, err := e.Alloc(n)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func allocator(t *testing.T, e kernel.Engine) func(int) []float32 {
	return func(n int) []float32 { return alloc(t, e, n) }
}

func (s *suite) testEngine(t *testing.T) {
	if s.backend.Info().Name == "" {
		t.Error("Info().Name is empty")
	}
	if e, err := s.backend.NewEngine(kernel.EngineOptions{Threads: -1}); err == nil {
		e.Close()
		t.Error("NewEngine accepts -1 threads")
	}
	e := s.engine(t, kernel.EngineOptions{Threads: 2})
	for _, n := range []int{0, 1, 15, 16, 17, 1000} {
		v := alloc(t, e, n)
		if len(v) != n {
			t.Errorf("Alloc(%d) has %d values", n, len(v))
		}
		if n > 0 && address(v)%64 != 0 {
			t.Errorf("Alloc(%d) is at %#x, which is not a multiple of 64", n, address(v))
		}
		for i := range v {
			if v[i] != 0 {
				t.Errorf("Alloc(%d)[%d] = %g, want 0", n, i, v[i])
			}
			v[i] = 1
		}
	}
	for _, n := range []int{-1, 1 << 50, 1 << 62} {
		if _, err := e.Alloc(n); !errors.Is(err, kernel.ErrMemory) {
			t.Errorf("Alloc(%d): %v", n, err)
		}
	}
	for _, c := range []int{1, 3, 16, 17, 64} {
		if l := e.Layout(c, 8, 8); l > kernel.NChw16c {
			t.Errorf("Layout(%d, 8, 8) = %v", c, l)
		}
	}
	for i := range 2 {
		if err := e.Close(); err != nil {
			t.Errorf("Close, call %d: %v", i+1, err)
		}
	}
}

// configurations are the engines that a problem is checked on.
func configurations(winograd bool) []kernel.EngineOptions {
	all := []kernel.EngineOptions{{Threads: 1}, {Threads: 2}}
	if winograd {
		all = append(all, kernel.EngineOptions{Threads: 1, NoWinograd: true}, kernel.EngineOptions{Threads: 2, NoWinograd: true})
	}
	return all
}

func describe(o kernel.EngineOptions) string {
	switch {
	case o.BFloat16:
		return fmt.Sprintf("%d threads, bfloat16", o.Threads)
	case o.NoWinograd:
		return fmt.Sprintf("%d threads, direct", o.Threads)
	}
	return fmt.Sprintf("%d threads", o.Threads)
}
