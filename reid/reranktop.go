package reid

// topReranked are the distances after re-ranking the nearest images of each
// query among themselves.
type topReranked[T float] struct {
	arithmetic arithmetic[T]
	parameters Rerank
	all        matrix[T] // queries, then gallery
	queries    int
	squares    []T // of the lengths
	workers    []*topWorker[T]
}

// topWorker is the memory of a worker. Image 0 is the query, image k its k-th
// nearest.
type topWorker[T float] struct {
	candidates *nearest[T]
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
	s := &topReranked[T]{arithmetic: a, parameters: r, all: all, queries: queries, squares: squaredLengths(all)}
	top := min(r.Top, all.rows()-queries)
	n := top + 1
	for range workers {
		w := &topWorker[T]{candidates: newNearest[T](top), features: matrix[T]{make([]T, n*all.dim), all.dim},
			squares: make([]T, n), distances: make([]T, n*n), row: newNearest[T](neighbourhoods(r, n)),
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
	found := w.candidates.of(row)
	largest := T(0)
	for _, d := range row {
		largest = max(largest, d)
	}
	if largest == 0 {
		largest = 1
	}
	for j, d := range row {
		row[j] = 1 + d/largest
	}
	s.compare(w, query, found)
	s.encode(w)
	for k, c := range found {
		row[c.column] = T(s.parameters.final(float64(w.shared[k+1]), float64(w.distances[k+1])))
	}
}

// compare sets the distances and neighbours of the query and its nearest.
func (s *topReranked[T]) compare(w *topWorker[T], query int, found []neighbour[T]) {
	n := w.graph.n
	take := func(at, image int) {
		copy(w.features.row(at), s.all.row(image))
		w.squares[at] = s.squares[image]
	}
	take(0, query)
	for k, c := range found {
		take(k+1, s.queries+int(c.column))
	}
	s.arithmetic.small(w.distances, w.features.data, w.features.data, n, n, s.all.dim)
	for i := range n {
		row := w.distances[i*n : (i+1)*n]
		fromProducts(row, w.squares[i], w.squares)
		row[i] = 0
		largest := T(0)
		for _, d := range row {
			largest = max(largest, d)
		}
		if largest > 0 {
			for j := range row {
				row[j] /= largest
			}
		}
		for k, neighbour := range w.row.of(row) {
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

func (s *topReranked[T]) reported(d T) float64 { return float64(d) }
