//go:build cgo

package machine

import "testing"

// TestLoops compares the loops of every instruction set with plain Go.
func TestLoops(t *testing.T) {
	for _, s := range sets() {
		t.Run(s.name(), func(t *testing.T) {
			const rounds = 5
			var want float32 // all values are dyadic, so that nothing is rounded
			for chain := range s.chains() {
				v := float32(3 + chain)
				for range rounds {
					v = v*0.5 + 1
				}
				want += v * float32(s.lanes())
			}
			if got := s.multiplyAdd(rounds, 3, 0.5, 1); got != want {
				t.Errorf("multiplyAdd = %g, want %g", got, want)
			}
			for _, n := range []int{1, 3, 16, 35} {
				a, b, c := make([]float32, n+1), make([]float32, n), make([]float32, n)
				for i := range b {
					b[i], c[i] = float32(i), float32(2*i+1)
				}
				a[n] = -1
				s.triad(a[:n], b, c, 3)
				for i := range b {
					if want := b[i] + 3*c[i]; a[i] != want {
						t.Errorf("triad of %d: a[%d] = %g, want %g", n, i, a[i], want)
					}
				}
				if a[n] != -1 {
					t.Errorf("triad of %d writes past its end", n)
				}
			}
		})
	}
}

// TestFastest requires every thread's work in every repetition.
func TestFastest(t *testing.T) {
	var calls [3]int
	if seconds := fastest(len(calls), func(thread int) { calls[thread]++ }); seconds <= 0 {
		t.Errorf("fastest = %g s", seconds)
	}
	for thread, n := range calls {
		if n != repetitions {
			t.Errorf("thread %d ran %d times, want %d", thread, n, repetitions)
		}
	}
}

func TestMeasureRefusesNoCores(t *testing.T) {
	if _, err := Measure(0); err == nil {
		t.Error("Measure(0) measured something")
	}
}
