package reid

import (
	"fmt"
	"math"
	"slices"
	"sync"
)

// source gives the distances of queries to images of the gallery.
type source[T float] interface {
	// rows fills dst, [n x columns], for n queries from that one on, with what
	// finish turns into distances. It is called by one goroutine at a time.
	rows(dst []T, from, n int) error
	// finish turns the row of a query into distances. Workers, numbered from 0,
	// call it side by side.
	finish(row []T, query, worker int)
	// reported is the distance to report of one that finish left.
	reported(d T) float64
}

// matrix is feature vectors, row after row.
type matrix[T float] struct {
	data []T
	dim  int
}

func (m matrix[T]) row(i int) []T { return m.data[i*m.dim : (i+1)*m.dim] }

func (m matrix[T]) rows() int { return len(m.data) / m.dim }

// between returns the rows from lo to hi.
func (m matrix[T]) between(lo, hi int) matrix[T] {
	return matrix[T]{m.data[lo*m.dim : hi*m.dim], m.dim}
}

// direct are the distances between two matrices.
type direct[T float] struct {
	metric         Metric
	multiply       func(c, a, b []T, m, n, k int) error
	query, gallery matrix[T]
	squares        [2][]T // of the lengths of queries and gallery, for Euclidean
	inverse        [2][]T // of the lengths, for Cosine
}

func newDirect[T float](metric Metric, a arithmetic[T], query, gallery matrix[T]) *direct[T] {
	d := &direct[T]{metric: metric, multiply: a.multiply, query: query, gallery: gallery}
	for side, m := range [2]matrix[T]{query, gallery} {
		switch metric {
		case Euclidean:
			d.squares[side] = squaredLengths(m)
		case Cosine:
			d.inverse[side] = inverseLengths(m)
		}
	}
	return d
}

func squaredLengths[T float](m matrix[T]) []T {
	out := make([]T, m.rows())
	for i := range out {
		out[i] = T(squares(m.row(i)))
	}
	return out
}

// shortest is the length below which a vector counts as zeros.
const shortest = 1e-30

func inverseLengths[T float](m matrix[T]) []T {
	out := make([]T, m.rows())
	for i := range out {
		out[i] = T(inverseLength(m.row(i)))
	}
	return out
}

// inverseLength returns 0 for a vector of zeros.
func inverseLength[T float](v []T) float64 {
	length := math.Sqrt(squares(v))
	if length < shortest {
		return 0
	}
	return 1 / length
}

func (d *direct[T]) rows(dst []T, from, n int) error {
	q := d.query.between(from, from+n)
	if err := d.multiply(dst, q.data, d.gallery.data, n, d.gallery.rows(), q.dim); err != nil {
		return fmt.Errorf("multiplying features: %w", err)
	}
	return nil
}

// finish leaves squares of Euclidean distances.
func (d *direct[T]) finish(row []T, query, _ int) {
	switch d.metric {
	case Euclidean:
		fromProducts(row, d.squares[0][query], d.squares[1])
	case Cosine:
		scale, inverse := d.inverse[0][query], d.inverse[1][:len(row)]
		for j, product := range row {
			row[j] = 1 - product*scale*inverse[j]
		}
	default:
		for j, product := range row {
			row[j] = 1 - product
		}
	}
}

// fromProducts turns the products of a vector with others into their squared
// distances, given the squares of the lengths.
func fromProducts[T float](row []T, square T, others []T) {
	others = others[:len(row)]
	for j, product := range row {
		row[j] = max(0, square+others[j]-2*product)
	}
}

func (d *direct[T]) reported(v T) float64 {
	if d.metric == Euclidean {
		return math.Sqrt(float64(v))
	}
	return float64(v)
}

// given are distances that were computed elsewhere.
type given struct {
	distances []float32
	columns   int
	lo, hi    int // the columns that are asked for
	mu        sync.Mutex
	bad       int // the first row with a distance that is no number; -1 for none
}

// rows leaves copying to finish, which the workers do side by side.
func (g *given) rows([]float32, int, int) error { return nil }

// finish copies distances, and notes those that are no numbers.
func (g *given) finish(row []float32, query, _ int) {
	copy(row, g.distances[query*g.columns:][g.lo:g.hi])
	for _, d := range row {
		if !finite(d) {
			g.mu.Lock()
			if g.bad < 0 || query < g.bad {
				g.bad = query
			}
			g.mu.Unlock()
			return
		}
	}
}

func finite(v float32) bool {
	const exponent = 0x7f800000
	return math.Float32bits(v)&exponent != exponent
}

// err returns an error about the row that finish noted.
func (g *given) err() error {
	if g.bad < 0 {
		return nil
	}
	row := g.distances[g.bad*g.columns:][g.lo:g.hi]
	j := slices.IndexFunc(row, func(d float32) bool { return !finite(d) })
	return &RowError{"distances", g.bad, fmt.Errorf("%w: column %d is %v", ErrNotFinite, g.lo+j, row[j])}
}

func (g *given) reported(d float32) float64 { return float64(d) }
