//go:build cgo

package machine

// #cgo CFLAGS: -std=gnu11 -O3 -Wno-psabi
// #include "loops.h"
//
// static float multiply_add(const machine_loops *l, int64_t rounds, float start, float x, float y) {
//	return l->multiply_add(rounds, start, x, y);
// }
// static void triad(const machine_loops *l, int64_t n, float *a, const float *b, const float *c, float s) {
//	l->triad(n, a, b, c, s);
// }
import "C"

import (
	"fmt"
	"runtime"
	"sync"
	"time"
)

const (
	rounds      = 1 << 21 // of all chains, a repetition
	repetitions = 10      // of which the fastest counts
	// triadBytes is the size of each of the triad's three arrays, all threads
	// together: four times the largest caches that are usual, as STREAM asks.
	triadBytes = 256 << 20
)

// Measure measures one core, then all the given cores at once, which takes a few
// seconds and 768 MiB. Nothing else should run meanwhile.
func Measure(cores int) (Limits, error) {
	if cores < 1 {
		return Limits{}, fmt.Errorf("the limits of %d cores: want at least 1", cores)
	}
	all := sets()
	best := all[0]
	l := Limits{Cores: cores}
	for _, s := range all { // the widest set need not be the fastest
		if p := s.peak(1); p > l.PeakOne {
			best, l.PeakOne = s, p
		}
	}
	l.ISA = best.name()
	a, b, c := make([]float32, triadBytes/4), make([]float32, triadBytes/4), make([]float32, triadBytes/4)
	for i := range a { // touched, so that memory is really there
		a[i], b[i], c[i] = 0, 1, 2
	}
	l.TriadOne = best.bandwidth(1, a, b, c)
	l.PeakAll, l.TriadAll = l.PeakOne, l.TriadOne
	if cores > 1 {
		l.PeakAll, l.TriadAll = best.peak(cores), best.bandwidth(cores, a, b, c)
	}
	return l, nil
}

// set is the loops of one instruction set.
type set struct{ c *C.machine_loops }

// sets returns those that this processor has, the widest last.
func sets() []set {
	var all []set
	for {
		loops := C.machine_loops_at(C.int(len(all)))
		if loops == nil {
			return all
		}
		all = append(all, set{loops})
	}
}

func (s set) name() string { return C.GoString(s.c.isa) }

func (s set) lanes() int  { return int(s.c.lanes) }
func (s set) chains() int { return int(s.c.chains) }

// multiplyAdd sets every lane of chain c to start+c, then to itself times x
// plus y as often as rounds says, and returns the sum of all.
func (s set) multiplyAdd(rounds int, start, x, y float32) float32 {
	return float32(C.multiply_add(s.c, C.int64_t(rounds), C.float(start), C.float(x), C.float(y)))
}

// triad sets a to b + factor*c.
func (s set) triad(a, b, c []float32, factor float32) {
	C.triad(s.c, C.int64_t(len(a)), (*C.float)(&a[0]), (*C.float)(&b[0]), (*C.float)(&c[0]), C.float(factor))
}

func (s set) peak(threads int) float64 {
	operations := 2 * float64(rounds) * float64(s.lanes()*s.chains()) * float64(threads)
	return operations / fastest(threads, func(int) { s.multiplyAdd(rounds, 0, 0.5, 1) }) / 1e9
}

func (s set) bandwidth(threads int, a, b, c []float32) float64 {
	n := len(a) / threads
	seconds := fastest(threads, func(t int) {
		from, to := t*n, (t+1)*n
		s.triad(a[from:to], b[from:to], c[from:to], 3)
	})
	return 12 * float64(n*threads) / seconds / 1e9
}

// fastest runs f on so many OS threads at once, several times, and returns the
// shortest time from the start of the first to the end of the last.
func fastest(threads int, f func(thread int)) float64 {
	best := time.Duration(1<<63 - 1)
	for range repetitions {
		var ready, done sync.WaitGroup
		start := make(chan struct{})
		ready.Add(threads)
		for t := range threads {
			done.Go(func() {
				runtime.LockOSThread()
				defer runtime.UnlockOSThread()
				ready.Done()
				<-start
				f(t)
			})
		}
		ready.Wait()
		begin := time.Now()
		close(start)
		done.Wait()
		best = min(best, time.Since(begin))
	}
	return best.Seconds()
}
