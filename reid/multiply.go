package reid

import (
	"cmp"
	"runtime"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/gonum"
)

// Multiplier multiplies matrices, which is most of the work of an evaluation.
type Multiplier interface {
	// MultiplyTransposed sets c, [m x n], to a bᵀ, with a [m x k] and b [n x k],
	// all row after row without gaps; c may hold anything before. It is called by
	// one goroutine at a time and may use all cores.
	MultiplyTransposed(c, a, b []float32, m, n, k int) error
}

// Gonum is the Multiplier of gonum, in Go and assembly.
type Gonum struct {
	// Workers is how many goroutines multiply. Default: runtime.GOMAXPROCS(0).
	Workers int
}

// MultiplyTransposed never fails.
func (g Gonum) MultiplyTransposed(c, a, b []float32, m, n, k int) error {
	return multiplyTiles(sgemm, cmp.Or(g.Workers, runtime.GOMAXPROCS(0)), c, a, b, m, n, k)
}

// tileRows and tileColumns are the tiles of c that gonum computes at a time: so
// few that it starts no goroutines of its own, and that b's part stays in the
// cache.
const tileRows, tileColumns = 16, 64

// gemm multiplies a tile of a matrix whose rows are stride apart.
type gemm[T float] func(c, a, b []T, m, n, k, stride int)

func sgemm(c, a, b []float32, m, n, k, stride int) {
	gonum.Implementation{}.Sgemm(blas.NoTrans, blas.Trans, m, n, k, 1, a, k, b, k, 0, c, stride)
}

func dgemm(c, a, b []float64, m, n, k, stride int) {
	gonum.Implementation{}.Dgemm(blas.NoTrans, blas.Trans, m, n, k, 1, a, k, b, k, 0, c, stride)
}

// multiplyTiles does what Multiplier asks for, by strips of columns side by side.
func multiplyTiles[T float](g gemm[T], workers int, c, a, b []T, m, n, k int) error {
	parallel(workers, (n+tileColumns-1)/tileColumns, func(_, strip int) {
		multiplyStrip(g, strip*tileColumns, c, a, b, m, n, k)
	})
	return nil
}

// multiplyStrip computes the columns of c from that one on.
func multiplyStrip[T float](g gemm[T], j int, c, a, b []T, m, n, k int) {
	for i := 0; i < m; i += tileRows {
		g(c[i*n+j:], a[i*k:], b[j*k:], min(tileRows, m-i), min(tileColumns, n-j), k, n)
	}
}

// float is the type that distances are computed in.
type float interface{ float32 | float64 }

// arithmetic is what is computed differently in float32 and float64.
type arithmetic[T float] struct {
	multiply func(c, a, b []T, m, n, k int) error // by the Multiplier, one goroutine at a time
	gemm     gemm[T]
	dot      func(a, b []T) T
	convert  func(s Set) []T // its features; shares memory where it can
}

// small multiplies, from any goroutine and on it.
func (a arithmetic[T]) small(c, x, y []T, m, n, k int) {
	for j := 0; j < n; j += tileColumns {
		multiplyStrip(a.gemm, j, c, x, y, m, n, k)
	}
}

func single(m Multiplier) arithmetic[float32] {
	return arithmetic[float32]{
		multiply: m.MultiplyTransposed,
		gemm:     sgemm,
		dot:      func(a, b []float32) float32 { return gonum.Implementation{}.Sdot(len(a), a, 1, b, 1) },
		convert: func(s Set) []float32 {
			if s.Features64 == nil {
				return s.Features
			}
			return converted[float32](s.Features64)
		},
	}
}

func double(workers int) arithmetic[float64] {
	return arithmetic[float64]{
		multiply: func(c, a, b []float64, m, n, k int) error { return multiplyTiles(dgemm, workers, c, a, b, m, n, k) },
		gemm:     dgemm,
		dot:      func(a, b []float64) float64 { return gonum.Implementation{}.Ddot(len(a), a, 1, b, 1) },
		convert: func(s Set) []float64 {
			if s.Features64 != nil {
				return s.Features64
			}
			return converted[float64](s.Features)
		},
	}
}

func converted[T, U float](v []U) []T {
	out := make([]T, len(v))
	for i, x := range v {
		out[i] = T(x)
	}
	return out
}
