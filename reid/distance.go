package reid

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"unsafe"
)

// source gives the distances of queries to images of the gallery.
type source[T float] interface {
	// rows fills dst, [n x columns], for n queries from that one on, with what
	// finish turns into distances. It is called by one goroutine at a time.
	rows(dst []T, from, n int) error
	// finish turns the row of a query into distances. Workers, numbered from 0,
	// call it side by side.
	finish(row []T, query, worker int)
	// exact is a distance in float64, of a query whose row the worker has
	// finished: the same for equal features, wherever they lie.
	exact(query int, column int32, worker int) float64
	// slack is how far the distances that finish leaves can be from exact ones,
	// of a query whose row the worker has finished.
	slack(query, worker int) T
	// reported is the distance to report of an exact one.
	reported(d float64) float64
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
	squares        [2][]T       // of the lengths of queries and gallery, for Euclidean
	inverse        [2][]T       // of the lengths, for Cosine
	precise        [2][]float64 // likewise
	longest        float64      // of the gallery
	least          float64      // the largest of precise, of the gallery
}

func newDirect[T float](metric Metric, a arithmetic[T], query, gallery matrix[T]) *direct[T] {
	d := &direct[T]{metric: metric, multiply: a.multiply, query: query, gallery: gallery}
	for side, m := range [2]matrix[T]{query, gallery} {
		switch metric {
		case Euclidean:
			d.squares[side] = squaredLengths(m)
		case Cosine:
			d.precise[side] = inverseLengths(m)
			d.inverse[side] = make([]T, m.rows())
			for i, v := range d.precise[side] {
				d.inverse[side][i] = T(v)
			}
		case Dot:
		default:
			panic("reid: no distances by the metric " + metric)
		}
	}
	if metric == Cosine {
		d.least = slices.Max(append(d.precise[1], 0))
	} else {
		d.longest = longestOf(gallery)
	}
	return d
}

// longestOf is the length of the longest row.
func longestOf[T float](m matrix[T]) float64 {
	most := 0.0
	for i := range m.rows() {
		most = max(most, squares(m.row(i)))
	}
	return math.Sqrt(most)
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

func inverseLengths[T float](m matrix[T]) []float64 {
	out := make([]float64, m.rows(), m.rows()+1)
	for i := range out {
		out[i] = inverseLength(m.row(i))
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
	default: // Dot
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

// exact leaves squares of Euclidean distances, too.
func (d *direct[T]) exact(query int, column int32, _ int) float64 {
	q, g := d.query.row(query), d.gallery.row(int(column))
	switch d.metric {
	case Euclidean:
		return apart(q, g)
	case Cosine:
		return 1 - product(q, g)*d.precise[0][query]*d.precise[1][column]
	}
	return 1 - product(q, g)
}

func (d *direct[T]) slack(query, _ int) T {
	q := d.query.row(query)
	length := math.Sqrt(squares(q))
	switch d.metric {
	case Euclidean:
		return slackOfSquares[T](len(q), length, d.longest)
	case Cosine:
		// Of very short vectors products can vanish.
		return slackOf[T](len(q), 1, 1) + T(float64(len(q))*vanishing*d.precise[0][query]*d.least)
	}
	return slackOf[T](len(q), length*d.longest, 1)
}

// slackOf is how wrong 1 - q.g, or what is made of it, can be: the sum of n
// products in whatever order by n u / (1 - n u) times their magnitudes, which
// add up to |q||g| at most (Higham, "Accuracy and Stability of Numerical
// Algorithms", section 3.1), and what follows by some more roundings.
func slackOf[T float](n int, lengths, more float64) T {
	u := roundoff[T]()
	return T((u*float64(n)/(1-min(u*float64(n), 0.5)) + 16*u) * (lengths + more))
}

// slackOfSquares is likewise of |q|² + |g|² - 2 q.g.
func slackOfSquares[T float](n int, q, g float64) T {
	return 2*slackOf[T](n, q*g, 0) + T(16*roundoff[T]())*T(q*q+g*g)
}

// vanishing is the smallest number that a float32 holds in full precision.
const vanishing = 0x1p-126

// roundoff is the unit roundoff of a type.
func roundoff[T float]() float64 {
	var v T
	if unsafe.Sizeof(v) == 4 {
		return 1. / (1 << 24)
	}
	return 1. / (1 << 53)
}

// product adds up in four sums, so in an order of its own that does not depend
// on where the vectors lie.
func product[T float](a, b []T) float64 {
	b = b[:len(a)]
	var s, t, u, v float64
	for ; len(a) >= 4 && len(b) >= 4; a, b = a[4:], b[4:] {
		s += float64(a[0]) * float64(b[0])
		t += float64(a[1]) * float64(b[1])
		u += float64(a[2]) * float64(b[2])
		v += float64(a[3]) * float64(b[3])
	}
	for k, x := range a {
		s += float64(x) * float64(b[k])
	}
	return (s + t) + (u + v)
}

// apart is the square of the Euclidean distance.
func apart[T float](a, b []T) float64 {
	b = b[:len(a)]
	var s, t, u, v float64
	for ; len(a) >= 4 && len(b) >= 4; a, b = a[4:], b[4:] {
		w, x, y, z := float64(a[0])-float64(b[0]), float64(a[1])-float64(b[1]), float64(a[2])-float64(b[2]), float64(a[3])-float64(b[3])
		s, t, u, v = s+w*w, t+x*x, u+y*y, v+z*z
	}
	for k, x := range a {
		d := float64(x) - float64(b[k])
		s += d * d
	}
	return (s + t) + (u + v)
}

func (d *direct[T]) reported(v float64) float64 {
	if d.metric == Euclidean {
		return math.Sqrt(v)
	}
	return v
}

// given are distances that were computed elsewhere.
type given struct {
	distances []float32
	columns   int
	lo, hi    int // the columns that are asked for
	mu        sync.Mutex
	bad       int // the first row with a distance that is not a number; -1 for none
}

// rows leaves copying to finish, which the workers do side by side.
func (g *given) rows([]float32, int, int) error { return nil }

// finish copies distances, and notes those that are not numbers.
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

func (g *given) exact(query int, column int32, _ int) float64 {
	return float64(g.distances[query*g.columns+g.lo+int(column)])
}

func (g *given) slack(int, int) float32 { return 0 }

func (g *given) reported(d float64) float64 { return d }
