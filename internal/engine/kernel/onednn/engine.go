//go:build cgo && (linux || darwin)

package onednn

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

var errClosed = errors.New("the engine is closed")

// engine is the state of one student. Everything that it plans and allocates
// belongs to ptr.
type engine struct {
	backend *backend
	opts    kernel.EngineOptions
	ptr     *C.dml_engine // nil when closed
}

// minBlocked is the least number of channels that is worth padding to a block.
const minBlocked = 8

// Layout chooses by instruction set: convolutions in a layout that does not
// suit it fall back to loops that are a thousand times slower.
func (e *engine) Layout(c, _, _ int) kernel.Layout {
	switch {
	case c < minBlocked:
		return kernel.NCHW
	case e.backend.has(isaAVX512Core):
		return kernel.NChw16c
	case e.backend.has(isaAVX2):
		return kernel.NChw8c
	}
	return kernel.NHWC
}

// Alloc returns memory of the engine.
func (e *engine) Alloc(n int) ([]float32, error) {
	if e.ptr == nil {
		return nil, fmt.Errorf("onednn: Alloc: %w", errClosed)
	}
	if err := kernel.CheckAlloc(n); err != nil {
		return nil, fmt.Errorf("onednn: %w", err)
	}
	p := C.dml_alloc(e.ptr, C.int64_t(n))
	if p == nil {
		return nil, fmt.Errorf("onednn: %w for %d values", kernel.ErrMemory, n)
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(p)), n), nil
}

// Close frees all that was planned and allocated.
func (e *engine) Close() error {
	if e.ptr != nil {
		C.dml_engine_free(e.ptr)
		e.ptr = nil
	}
	return nil
}

// planning returns why nothing can be planned, or nil.
func (e *engine) planning(what string, spec error) error {
	if spec != nil {
		return spec
	}
	if e.ptr == nil {
		return fmt.Errorf("onednn: planning %s: %w", what, errClosed)
	}
	return nil
}

// planned is what all kernels have: the engine and a name for errors.
type planned struct {
	eng  *engine
	name string
}

// fail puts the name of the kernel before an error.
func (p *planned) fail(what string, err error) error {
	return fmt.Errorf("onednn: %s of %s: %w", what, p.name, err)
}

// check returns the first fault of the arguments of a run, or that the engine
// is closed.
func (p *planned) check(what string, faults ...error) error {
	if p.eng.ptr == nil {
		return p.fail(what, errClosed)
	}
	for _, err := range faults {
		if err != nil {
			return p.fail(what, err)
		}
	}
	return nil
}

// done turns the outcome of a C call into an error.
func (p *planned) done(what string, r C.dml_result) error {
	if r.status == C.DNNL_SUCCESS {
		return nil
	}
	return p.fail(what, failure(r))
}

// planDone is done for planning: what the library cannot compute is a fault of
// the spec.
func (p *planned) planDone(what string, r C.dml_result) error {
	err := p.done(what, r)
	if r.status == C.DNNL_INVALID_ARGUMENTS || r.status == C.DNNL_UNIMPLEMENTED {
		return fmt.Errorf("%w: %w", kernel.ErrSpec, err)
	}
	return err
}

// ptr returns the address of the first value, nil for an empty slice.
func ptr(v []float32) *C.float { return (*C.float)(unsafe.Pointer(unsafe.SliceData(v))) }

func cdesc(d kernel.Desc) C.dml_desc {
	return C.dml_desc{n: C.int64_t(d.N), c: C.int64_t(d.C), h: C.int64_t(d.H), w: C.int64_t(d.W), layout: C.int(d.Layout)}
}

func pair(a, b int) [2]C.int64_t { return [2]C.int64_t{C.int64_t(a), C.int64_t(b)} }

func cbool(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// clipArgs splits an activation into what the C functions take.
func clipArgs(c *kernel.Clip) (act C.int, lo, hi C.float) {
	if c == nil {
		return 0, 0, 0
	}
	return 1, C.float(c.Lo), C.float(c.Hi)
}
