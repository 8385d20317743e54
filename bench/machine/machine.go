// Package machine measures what a processor can do at most: multiply-adds in
// registers, and the bandwidth of memory. The speed of training is compared with
// these limits.
//
// The loops are C, compiled for each instruction set, because Go's compiler
// emits no vector instructions.
package machine

import "errors"

// ErrUnavailable is returned by Measure in a build without cgo.
var ErrUnavailable = errors.New("the machine's limits are measured by C loops: build with CGO_ENABLED=1 and a C compiler")

// Limits are a processor's limits, on one core and on all that were measured.
type Limits struct {
	// ISA names the instruction set of the loops.
	ISA string
	// Cores is the number of cores (threads) that "all" means.
	Cores int
	// PeakOne and PeakAll are GFLOP/s of float32 multiply-adds on registers; one
	// multiply-add is two operations.
	PeakOne, PeakAll float64
	// TriadOne and TriadAll are GB/s of STREAM's triad a = b + s*c on float32 arrays
	// that no cache holds. As STREAM does, it counts 12 bytes an element: a store that
	// first reads its cache line moves 16.
	TriadOne, TriadAll float64
}
