package reid

import (
	"cmp"
	"math"
	"slices"
)

// topReranked are the distances after re-ranking the nearest images of each
// query among themselves.
type topReranked[T float] struct {
	arithmetic arithmetic[T]
	parameters Rerank
	all        matrix[T] // queries, then gallery
	queries    int
	squares    []T     // of the lengths
	longest    float64 // of all
	workers    []*topWorker[T]
}

// topWorker is the memory of a worker. Image 0 is the query, image k its k-th
// nearest.
type topWorker[T float] struct {
	candidates *nearest[T]
	largest    float64   // squared distance of the query
	place      []int32   // by column: that of a candidate, 0 for others
	twin       []int     // by image: the first that has the same features
	features   matrix[T] // [images x dim]
	squares    []T       // of the lengths
	distances  []T       // [images x images], over the largest of the row
	row        *nearest[T]
	graph      *reciprocal[T]
	smooth     []sparse[T]
	encoder    *encoder[T]
	shared     []T
}

func newTopReranked[T float](a arithmetic[T], all matrix[T], queries int, r Rerank, workers int) *topReranked[T] {
	s := &topReranked[T]{arithmetic: a, parameters: r, all: all, queries: queries, squares: squaredLengths(all), longest: longestOf(all)}
	top := min(r.Top, all.rows()-queries)
	n := top + 1
	for range workers {
		w := &topWorker[T]{candidates: newNearest[T](top), features: matrix[T]{make([]T, n*all.dim), all.dim},
			squares: make([]T, n), place: make([]int32, all.rows()-queries), twin: make([]int, n), distances: make([]T, n*n), row: newNearest[T](neighbourhoods(r, n)),
			smooth: make([]sparse[T], n), encoder: newEncoder[T](n), shared: make([]T, n)}
		w.encoder.arena.doubles = true
		w.graph = newReciprocal(r, n, func(i, j int32) T { return w.distances[int(i)*n+int(j)] })
		s.workers = append(s.workers, w)
	}
	return s
}

func (s *topReranked[T]) rows(dst []T, from, n int) error {
	gallery := s.all.between(s.queries, s.all.rows())
	return s.arithmetic.multiply(dst, s.all.between(from, from+n).data, gallery.data, n, gallery.rows(), gallery.dim)
}

func (s *topReranked[T]) finish(row []T, query, worker int) {
	fromProducts(row, s.squares[query], s.squares[s.queries:])
	w := s.workers[worker]
	for _, c := range w.candidates.found { // of the query before
		w.place[c.column] = 0
	}
	at := rulerOf[T](squaresTo[T]{s}, query, worker)
	found := w.candidates.of(row, at)
	largest := T(0)
	for _, d := range row {
		largest = max(largest, d)
	}
	w.largest = 0
	for j, d := range row {
		if d >= largest-2*at.slack {
			w.largest = max(w.largest, at.exact(int32(j)).distance)
		}
	}
	w.largest = cmp.Or(w.largest, 1)
	for j, d := range row {
		row[j] = T(1 + float64(d)/w.largest)
	}
	s.compare(w, query, found)
	s.encode(w)
	w.candidates.found = found
	for k, c := range found {
		w.place[c.column] = int32(k + 1)
		row[c.column] = T(w.final(s.parameters, k+1))
	}
}

func (w *topWorker[T]) final(r Rerank, image int) float64 {
	return r.final(float64(w.shared[image]), float64(w.distances[image]))
}

func (s *topReranked[T]) exact(query int, column int32, worker int) float64 {
	w := s.workers[worker]
	if at := w.place[column]; at > 0 {
		return w.final(s.parameters, int(at))
	}
	return 1 + squaresTo[T]{s}.exact(query, column, worker)/w.largest
}

func (s *topReranked[T]) slack(query, worker int) T {
	return squaresTo[T]{s}.slack(query, worker)/T(s.workers[worker].largest) + T(16*roundoff[T]())
}

// squaresTo are the squared distances that the nearest are chosen by.
type squaresTo[T float] struct{ *topReranked[T] }

func (s squaresTo[T]) exact(query int, column int32, _ int) float64 {
	return apart(s.all.row(query), s.all.row(s.queries+int(column)))
}

func (s squaresTo[T]) slack(query, _ int) T {
	return slackOfSquares[T](s.all.dim, math.Sqrt(squares(s.all.row(query))), s.longest)
}

// compare sets the distances and neighbours of the query and its nearest.
func (s *topReranked[T]) compare(w *topWorker[T], query int, found []neighbour[T]) {
	n := w.graph.n
	take := func(at, image int) {
		copy(w.features.row(at), s.all.row(image))
		w.squares[at] = s.squares[image]
		w.twin[at] = at
		// The same features are equally near, so they are next to each other but for
		// others at that distance.
		for k := at - 1; k > 0 && at > 0 && found[k-1].distance == found[at-1].distance; k-- {
			if slices.Equal(w.features.row(k), w.features.row(at)) {
				w.twin[at] = w.twin[k]
				break
			}
		}
	}
	take(0, query)
	for k, c := range found {
		take(k+1, s.queries+int(c.column))
	}
	s.arithmetic.small(w.distances, w.features.data, w.features.data, n, n, s.all.dim)
	for i := range n {
		row := w.distances[i*n : (i+1)*n]
		if w.twin[i] != i { // rounding must not part what is the same
			copy(row, w.distances[w.twin[i]*n:])
			continue
		}
		fromProducts(row, w.squares[i], w.squares)
		row[i] = 0
		for j, twin := range w.twin {
			row[j] = row[twin]
		}
		largest := T(0)
		for _, d := range row {
			largest = max(largest, d)
		}
		if largest > 0 {
			for j := range row {
				row[j] /= largest
			}
		}
	}
	for i := range n {
		row := w.distances[i*n : (i+1)*n]
		for k, neighbour := range w.row.of(row, ruler[T]{}) {
			w.graph.neighbours[i*w.graph.width+k] = neighbour.column
		}
	}
}

// encode sets what the query's encoding shares with those of its nearest.
func (s *topReranked[T]) encode(w *topWorker[T]) {
	w.encoder.arena.reset()
	for i := range w.graph.n {
		w.graph.encoded[i] = w.graph.encode(w.encoder, int32(i))
	}
	vectors := w.graph.encoded
	if s.parameters.K2 != 1 {
		for i := range w.graph.n {
			w.smooth[i] = w.graph.smooth(w.encoder, int32(i))
		}
		vectors = w.smooth
	}
	query := vectors[0]
	for i, v := range vectors {
		w.shared[i] = overlap(query, v)
	}
}

// overlap is the sum of the smaller of two vectors' entries.
func overlap[T float](a, b sparse[T]) T {
	var sum T
	for i, j := 0, 0; i < len(a.index) && j < len(b.index); {
		switch {
		case a.index[i] < b.index[j]:
			i++
		case a.index[i] > b.index[j]:
			j++
		default:
			sum += min(a.value[i], b.value[j])
			i++
			j++
		}
	}
	return sum
}

func (s *topReranked[T]) reported(d float64) float64 { return d }
