//go:build cgo && (linux || darwin)

package onednn

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// Multiplier multiplies matrices, for package reid. It has an engine of one
// thread for each core, so that the library keeps no threads that wait beside
// Go's.
type Multiplier struct {
	engines []*engine
}

// stripColumns is how many columns of a product are computed at a time: the same
// for any number of threads, so that results do not depend on it.
const stripColumns = 512

// OpenMultiplier loads oneDNN as Open does, for so many threads.
func OpenMultiplier(threads int) (*Multiplier, error) {
	b, err := Open()
	if err != nil {
		return nil, err
	}
	m := new(Multiplier)
	for range max(1, threads) {
		e, err := b.NewEngine(kernel.EngineOptions{Threads: 1})
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.engines = append(m.engines, e.(*engine))
	}
	return m, nil
}

// Close frees the engines; it is safe to call twice.
func (m *Multiplier) Close() error {
	var faults []error
	for _, e := range m.engines {
		faults = append(faults, e.Close())
	}
	m.engines = nil
	return errors.Join(faults...)
}

// MultiplyTransposed sets c, [rows x columns], to a bᵀ, with a [rows x k] and b
// [columns x k], all row after row without gaps. It serves one goroutine at a
// time. A slice of another length is an error that wraps kernel.ErrArgument.
func (m *Multiplier) MultiplyTransposed(c, a, b []float32, rows, columns, k int) error {
	const what = "onednn: multiplying matrices"
	if len(m.engines) == 0 {
		return fmt.Errorf("%s: %w", what, errClosed)
	}
	if rows < 1 || columns < 1 || k < 1 {
		return fmt.Errorf("%s: %w: %d x %d, of rows of %d", what, kernel.ErrArgument, rows, columns, k)
	}
	if err := errors.Join(kernel.CheckSlice("c", c, rows*columns), kernel.CheckSlice("a", a, rows*k), kernel.CheckSlice("b", b, columns*k)); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	var next atomic.Int64
	var all sync.WaitGroup
	faults := make([]error, len(m.engines))
	for w, e := range m.engines {
		all.Go(func() {
			for j := int(next.Add(stripColumns)) - stripColumns; j < columns && faults[w] == nil; j = int(next.Add(stripColumns)) - stripColumns {
				n := min(stripColumns, columns-j)
				faults[w] = failure(C.dml_multiply_transposed(e.ptr, C.int64_t(rows), C.int64_t(n), C.int64_t(k),
					ptr(a), ptr(b[j*k:]), ptr(c[j:]), C.int64_t(columns)))
			}
		})
	}
	all.Wait()
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
