// Package ref implements the kernels in slow and obvious Go: every loop is the
// definition, sums run in float64, and any layout is accepted. Other backends
// are tested against it, and it computes where no native library is installed.
//
// Results do not depend on the number of threads: each value is summed by one
// goroutine in one order.
package ref

import (
	"fmt"
	"sync"
	"unsafe"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// errForwardOnly is returned by the methods that a spec promised never to call.
var errForwardOnly = fmt.Errorf("ref: %w: the spec says that this pass is never run", kernel.ErrArgument)

// New returns the backend. It is always available.
func New() kernel.Backend { return backend{} }

type backend struct{}

func (backend) Info() kernel.Info { return kernel.Info{Name: "ref"} }

// NewEngine makes an engine; it fails on invalid options only. NoWinograd has
// no effect: all convolutions are direct.
func (backend) NewEngine(opts kernel.EngineOptions) (kernel.Engine, error) {
	if opts.BFloat16 {
		return nil, fmt.Errorf("ref: bfloat16: %w", kernel.ErrUnavailable)
	}
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	return &engine{threads: max(1, opts.Threads)}, nil
}

type engine struct{ threads int }

// Layout returns NCHW, whose rows are contiguous.
func (*engine) Layout(c, h, w int) kernel.Layout { return kernel.NCHW }

// Alloc returns Go memory that the garbage collector frees.
func (*engine) Alloc(n int) ([]float32, error) {
	const lineBytes, valueBytes = 64, 4
	if err := kernel.CheckAlloc(n); err != nil {
		return nil, fmt.Errorf("ref: %w", err)
	}
	v := make([]float32, n+lineBytes/valueBytes)
	past := int(uintptr(unsafe.Pointer(unsafe.SliceData(v))) % lineBytes)
	skip := (lineBytes - past) % lineBytes / valueBytes
	return v[skip : skip+n : skip+n], nil
}

// Close has nothing to free.
func (*engine) Close() error { return nil }

// parallel calls work once for each i in [0, n), on up to e.threads goroutines.
// worker, in [0, threads), names the goroutine, so that each has its scratch.
func (e *engine) parallel(n int, work func(worker, i int)) {
	if e.threads == 1 {
		for i := range n {
			work(0, i)
		}
		return
	}
	var wg sync.WaitGroup
	for t := range min(e.threads, n) {
		wg.Go(func() {
			for i := t; i < n; i += e.threads {
				work(t, i)
			}
		})
	}
	wg.Wait()
}

// plane locates channel c of image n in the data of a tensor: pixel h*W + w
// lies at start + (h*W + w)*step, in every layout.
func plane(d kernel.Desc, n, c int) (start, step int) {
	start = d.Index(n, c, 0, 0)
	return start, d.Index(n, c, 0, 1) - start
}

// clearPadding sets the channels past C of a blocked tensor to zero.
func clearPadding(t kernel.Tensor) {
	block := t.Layout.Block()
	for n := range t.N {
		for c := t.C; c%block != 0; c++ {
			start, step := plane(t.Desc, n, c)
			for p := range t.H * t.W {
				t.Data[start+p*step] = 0
			}
		}
	}
}

// clip returns v within the bounds of act; nil means unbounded.
func clip(act *kernel.Clip, v float32) float32 {
	if act == nil {
		return v
	}
	return min(max(v, act.Lo), act.Hi)
}

// passes reports whether the gradient passes an activation whose output is y.
func passes(act *kernel.Clip, y float32) bool {
	return act == nil || act.Lo < y && y < act.Hi
}

// copyClip returns a copy of a spec's bounds, which the caller may change.
func copyClip(act *kernel.Clip) *kernel.Clip {
	if act == nil {
		return nil
	}
	c := *act
	return &c
}
