package reid

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// Multiplier multiplies matrices, which is most of the work of an evaluation.
type Multiplier interface {
	// MultiplyTransposed sets c, [m x n], to a bᵀ, with a [m x k] and b [n x k],
	// all row after row without gaps; c holds anything before. It is called by
	// one goroutine at a time and may use all cores.
	MultiplyTransposed(c, a, b []float32, m, n, k int) error
}

// Gonum is the Multiplier of gonum, in Go and assembly. It uses all cores.
type Gonum struct{}

// MultiplyTransposed never fails.
func (Gonum) MultiplyTransposed(c, a, b []float32, m, n, k int) error {
	gonum.Implementation{}.Sgemm(blas.NoTrans, blas.Trans, m, n, k, 1, a, k, b, k, 0, c, n)
	return nil
}

// float is the type that distances are computed in.
type float interface{ float32 | float64 }

// arithmetic is what is computed differently in float32 and float64.
type arithmetic[T float] struct {
	multiply func(c, a, b []T, m, n, k int) error // by the Multiplier, one goroutine at a time
	small    func(c, a, b []T, m, n, k int)       // by gonum, from any goroutine
	dot      func(a, b []T) T
	convert  func(v []float32) []T // shares memory where it can
}

func single(m Multiplier) arithmetic[float32] {
	return arithmetic[float32]{
		multiply: m.MultiplyTransposed,
		small: func(c, a, b []float32, m, n, k int) {
			gonum.Implementation{}.Sgemm(blas.NoTrans, blas.Trans, m, n, k, 1, a, k, b, k, 0, c, n)
		},
		dot:     func(a, b []float32) float32 { return gonum.Implementation{}.Sdot(len(a), a, 1, b, 1) },
		convert: func(v []float32) []float32 { return v },
	}
}

func double() arithmetic[float64] {
	small := func(c, a, b []float64, m, n, k int) {
		gonum.Implementation{}.Dgemm(blas.NoTrans, blas.Trans, m, n, k, 1, a, k, b, k, 0, c, n)
	}
	return arithmetic[float64]{
		multiply: func(c, a, b []float64, m, n, k int) error {
			small(c, a, b, m, n, k)
			return nil
		},
		small: small,
		dot:   func(a, b []float64) float64 { return gonum.Implementation{}.Ddot(len(a), a, 1, b, 1) },
		convert: func(v []float32) []float64 {
			out := make([]float64, len(v))
			for i, x := range v {
				out[i] = float64(x)
			}
			return out
		},
	}
}
