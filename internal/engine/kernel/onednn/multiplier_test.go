//go:build cgo && (linux || darwin)

package onednn

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/reid"
)

var _ reid.Multiplier = (*Multiplier)(nil)

func openMultiplier(tb testing.TB, threads int) *Multiplier {
	tb.Helper()
	m, err := OpenMultiplier(threads)
	if errors.Is(err, kernel.ErrUnavailable) {
		tb.Skip(err)
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { m.Close() })
	return m
}

// TestMultiplier compares with the definition in float64 and with gonum, and
// the threads with one another.
func TestMultiplier(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 20))
	one, three := openMultiplier(t, 1), openMultiplier(t, 3)
	for _, s := range [][3]int{{1, 1, 1}, {2, 3, 5}, {1, 2500, 7}, {70, 1, 64}, {33, 2*stripColumns + 1, 130}, {300, 1100, 513}} {
		rows, columns, k := s[0], s[1], s[2]
		a, b := fill(rng, make([]float32, rows*k)), fill(rng, make([]float32, columns*k))
		product := func(m reid.Multiplier) []float32 {
			c := make([]float32, rows*columns)
			c[0] = float32(math.NaN()) // what c holds must not matter
			if err := m.MultiplyTransposed(c, a, b, rows, columns, k); err != nil {
				t.Fatal(err)
			}
			return c
		}
		got, gonum := product(one), product(reid.Gonum{})
		if !slices.Equal(got, product(three)) {
			t.Errorf("%v: results depend on the number of threads", s)
		}
		for i := range rows {
			for j := range columns {
				sum, size := 0.0, 0.0
				for l := range k {
					p := float64(a[i*k+l]) * float64(b[j*k+l])
					sum, size = sum+p, size+math.Abs(p)
				}
				tolerance := size * float64(k+1) * 0x1p-24
				at := i*columns + j
				if d := math.Abs(float64(got[at]) - sum); !(d <= tolerance) {
					t.Fatalf("%v: row %d, column %d: %v, want %v", s, i, j, got[at], sum)
				}
				if d := math.Abs(float64(got[at]) - float64(gonum[at])); !(d <= 2*tolerance) {
					t.Fatalf("%v: row %d, column %d: %v, gonum's is %v", s, i, j, got[at], gonum[at])
				}
			}
		}
	}
}

func TestMultiplierRefuses(t *testing.T) {
	m := openMultiplier(t, 2)
	v := make([]float32, 6)
	for _, err := range []error{
		m.MultiplyTransposed(v, v, v[:5], 2, 3, 2), m.MultiplyTransposed(v[:5], v[:4], v, 2, 3, 2),
		m.MultiplyTransposed(v, v[:3], v, 2, 3, 2), m.MultiplyTransposed(v[:0], v[:0], v, 0, 3, 2),
	} {
		if !errors.Is(err, kernel.ErrArgument) {
			t.Errorf("%v", err)
		}
	}
	if err := errors.Join(m.Close(), m.Close()); err != nil {
		t.Error(err)
	}
	if err := m.MultiplyTransposed(v, v[:4], v, 2, 3, 2); !errors.Is(err, errClosed) {
		t.Errorf("closed: %v", err)
	}
}

// BenchmarkMultiplier multiplies a block of queries with a gallery.
func BenchmarkMultiplier(b *testing.B) {
	rng := rand.New(rand.NewPCG(6, 21))
	const rows, columns = 842, 19732
	for _, k := range []int{512, 2048} {
		x, y, z := fill(rng, make([]float32, rows*k)), fill(rng, make([]float32, columns*k)), make([]float32, rows*columns)
		for name, m := range map[string]reid.Multiplier{"onednn": openMultiplier(b, 2), "gonum": reid.Gonum{Workers: 2}} {
			b.Run(fmt.Sprintf("%s-%d", name, k), func(b *testing.B) {
				repeat(b, 2*rows*columns*float64(k), "GFLOP/s", func() error { return m.MultiplyTransposed(z, x, y, rows, columns, k) })
			})
		}
	}
}
