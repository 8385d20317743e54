package reid

import (
	"cmp"
	"context"
	"math"
)

// rerank prepares distances after re-ranking, by columns of the whole gallery.
func rerank[T float](ctx context.Context, a arithmetic[T], query, gallery matrix[T], r Rerank, opts Options) (source[T], error) {
	all := joined(query, gallery, opts.Metric)
	if r.Top > 0 {
		return newTopReranked(a, all, query.rows(), r, opts.Workers), nil
	}
	return newReranked(ctx, a, all, query.rows(), r, opts.Workers)
}

// joined returns the queries followed by the gallery, under Cosine scaled to
// length 1.
func joined[T float](query, gallery matrix[T], metric Metric) matrix[T] {
	all := matrix[T]{make([]T, 0, len(query.data)+len(gallery.data)), query.dim}
	all.data = append(append(all.data, query.data...), gallery.data...)
	if metric != Cosine {
		return all
	}
	for i := range all.rows() {
		row := all.row(i)
		scale := inverseLength(row)
		for k, v := range row {
			row[k] = T(scale * float64(v))
		}
	}
	return all
}

// reranked are the distances after re-ranking all queries and the whole
// gallery. Memory grows with the images times the few that each is encoded by.
type reranked[T float] struct {
	arithmetic arithmetic[T]
	parameters Rerank
	all        matrix[T]
	queries    int
	squares    []T       // of the lengths
	longest    float64   // of all
	largest    []float64 // squared distance of each image
	graph      *reciprocal[T]
	entries    inverted[T]
	shared     [][]T // by worker, by column
}

func newReranked[T float](ctx context.Context, a arithmetic[T], all matrix[T], queries int, r Rerank, workers int) (*reranked[T], error) {
	n := all.rows()
	s := &reranked[T]{arithmetic: a, parameters: r, all: all, queries: queries, squares: squaredLengths(all), longest: longestOf(all), largest: make([]float64, n)}
	s.graph = newReciprocal(r, n, s.original)
	if err := s.findNeighbours(ctx, workers); err != nil {
		return nil, err
	}
	encoders := make([]*encoder[T], workers)
	for w := range encoders {
		encoders[w] = newEncoder[T](n)
	}
	each := func(f func(w, i int)) {
		parallel(workers, n, func(w, i int) {
			if ctx.Err() == nil {
				f(w, i)
			}
		})
	}
	each(func(w, i int) { s.graph.encoded[i] = s.graph.encode(encoders[w], int32(i)) })
	if r.K2 != 1 {
		smooth := make([]sparse[T], n)
		each(func(w, i int) { smooth[i] = s.graph.smooth(encoders[w], int32(i)) })
		s.graph.encoded = smooth
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.entries = invert(s.graph.encoded[queries:], n)
	clear(s.graph.encoded[queries:]) // entries has them
	s.shared = make([][]T, workers)
	for w := range s.shared {
		s.shared[w] = make([]T, n-queries)
	}
	return s, nil
}

// findNeighbours finds each image's nearest and farthest among all.
func (s *reranked[T]) findNeighbours(ctx context.Context, workers int) error {
	n := s.all.rows()
	selections := make([]*nearest[T], workers)
	for w := range selections {
		selections[w] = newNearest[T](s.graph.width)
	}
	pairs := allPairs[T]{s}
	return forEachBlock(ctx, pairs, n, n, workers, func(row []T, i, w int) {
		row[i] = 0 // rounding must not part an image from itself
		at := rulerOf[T](pairs, i, w)
		near := selections[w]
		near.reset(at.slack)
		far := T(0) // only what is farther can be the farthest
		for j, d := range row {
			if d < near.bound {
				near.offer(d, int32(j))
			}
			if d >= far {
				far = d
			}
		}
		for j, d := range row {
			if d >= far-2*at.slack {
				s.largest[i] = max(s.largest[i], at.exact(int32(j)).distance)
			}
		}
		near.keep()
		to := s.graph.neighbours[i*s.graph.width:]
		for k, neighbour := range near.decided(at) {
			to[k] = neighbour.column
		}
	})
}

// allPairs are the squared distances of all images.
type allPairs[T float] struct{ *reranked[T] }

func (p allPairs[T]) rows(dst []T, from, n int) error {
	return p.arithmetic.multiply(dst, p.all.between(from, from+n).data, p.all.data, n, p.all.rows(), p.all.dim)
}

func (p allPairs[T]) finish(row []T, i, _ int) { fromProducts(row, p.squares[i], p.squares) }

func (p allPairs[T]) exact(i int, j int32, _ int) float64 {
	return apart(p.all.row(i), p.all.row(int(j)))
}

func (p allPairs[T]) slack(i, _ int) T {
	return slackOfSquares[T](p.all.dim, math.Sqrt(squares(p.all.row(i))), p.longest)
}

// original is the distance of two images as re-ranking takes it.
func (s *reranked[T]) original(i, j int32) T {
	return T(apart(s.all.row(int(i)), s.all.row(int(j))) / s.farthest(int(i)))
}

// farthest is the squared distance of an image to that farthest from it.
func (s *reranked[T]) farthest(i int) float64 { return cmp.Or(s.largest[i], 1) }

func (s *reranked[T]) rows(dst []T, from, n int) error {
	gallery := s.all.between(s.queries, s.all.rows())
	return s.arithmetic.multiply(dst, s.all.between(from, from+n).data, gallery.data, n, gallery.rows(), gallery.dim)
}

func (s *reranked[T]) finish(row []T, query, worker int) {
	fromProducts(row, s.squares[query], s.squares[s.queries:])
	shared := s.shared[worker]
	clear(shared)
	v := s.graph.encoded[query]
	for k, i := range v.index {
		s.entries.addSmaller(shared, i, v.value[k])
	}
	largest := s.farthest(query)
	for j, d := range row {
		row[j] = T(s.parameters.final(float64(shared[j]), float64(d)/largest))
	}
}

func (s *reranked[T]) exact(query int, column int32, worker int) float64 {
	d := apart(s.all.row(query), s.all.row(s.queries+int(column)))
	return s.parameters.final(float64(s.shared[worker][column]), d/s.farthest(query))
}

func (s *reranked[T]) slack(query, _ int) T {
	return allPairs[T]{s}.slack(query, 0)*T(s.parameters.Lambda/s.farthest(query)) + T(16*roundoff[T]())
}

func (s *reranked[T]) reported(d float64) float64 { return d }

// inverted has the entries of sparse vectors by their index.
type inverted[T float] struct {
	start []int // of an index in entries
	entry []entry[T]
}

type entry[T float] struct {
	vector int32
	value  T
}

// invert takes vectors of n places.
func invert[T float](vectors []sparse[T], n int) inverted[T] {
	v := inverted[T]{start: make([]int, n+1)}
	for _, s := range vectors {
		for _, i := range s.index {
			v.start[i+1]++
		}
	}
	for i := range n {
		v.start[i+1] += v.start[i]
	}
	v.entry = make([]entry[T], v.start[n])
	next := append([]int(nil), v.start[:n]...)
	for j, s := range vectors {
		for k, i := range s.index {
			v.entry[next[i]] = entry[T]{int32(j), s.value[k]}
			next[i]++
		}
	}
	return v
}

// addSmaller adds, for each vector with an entry at index i, the smaller of it
// and value.
func (v inverted[T]) addSmaller(sums []T, i int32, value T) {
	for _, e := range v.entry[v.start[i]:v.start[i+1]] {
		sums[e.vector] += min(e.value, value)
	}
}
