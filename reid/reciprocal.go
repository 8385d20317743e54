package reid

import (
	"math"
	"slices"
)

// sparse is a vector by its entries that are not 0, by ascending index.
type sparse[T float] struct {
	index []int32
	value []T
}

// arena hands out memory for sparse vectors, many to an allocation. Each worker
// has its own.
type arena[T float] struct {
	free, last sparse[T] // what is left of the last allocation, and all of it
	doubles    bool      // each allocation, for one who resets
}

const arenaEntries = 1 << 16

func (a *arena[T]) take(n int) sparse[T] {
	if len(a.free.index) < n {
		size := max(n, arenaEntries)
		if a.doubles {
			size = max(size, 2*len(a.last.index))
		}
		a.free = sparse[T]{make([]int32, size), make([]T, size)}
		a.last = a.free
	}
	out := sparse[T]{a.free.index[:n:n], a.free.value[:n:n]}
	a.free = sparse[T]{a.free.index[n:], a.free.value[n:]}
	return out
}

// reset takes back what was handed out of the last allocation.
func (a *arena[T]) reset() { a.free = a.last }

// reciprocal encodes n images by their k-reciprocal neighbours.
type reciprocal[T float] struct {
	n, k1, k2  int
	width      int                // neighbours known of each image
	neighbours []int32            // [n x width], nearest first, itself included
	original   func(i, j int32) T // the distance over the largest of image i
	encoded    []sparse[T]        // by image
}

// neighbourhoods returns how many neighbours of n images have to be known.
func neighbourhoods(r Rerank, n int) int { return min(n, max(r.K1+1, inner(r)+1, r.K2)) }

// inner is the size of the neighbourhoods that expand others.
func inner(r Rerank) int { return int(math.RoundToEven(float64(r.K1)/2)) + 1 }

func newReciprocal[T float](r Rerank, n int, original func(i, j int32) T) *reciprocal[T] {
	width := neighbourhoods(r, n)
	return &reciprocal[T]{n: n, k1: r.K1, k2: r.K2, width: width, neighbours: make([]int32, n*width),
		original: original, encoded: make([]sparse[T], n)}
}

// nearest returns the m nearest of an image, or all that are known.
func (r *reciprocal[T]) nearest(i int32, m int) []int32 {
	return r.neighbours[int(i)*r.width:][:min(m, r.width)]
}

// appendMutual appends the images among the m nearest of image i that have i
// among their own m nearest.
func (r *reciprocal[T]) appendMutual(dst []int32, i int32, m int) []int32 {
	for _, c := range r.nearest(i, m) {
		if slices.Contains(r.nearest(c, m), i) {
			dst = append(dst, c)
		}
	}
	return dst
}

// encoder is the memory of a worker.
type encoder[T float] struct {
	core, candidate, set []int32
	weight               []T
	sum                  []T // by image, 0 between calls
	arena                arena[T]
}

func newEncoder[T float](n int) *encoder[T] { return &encoder[T]{sum: make([]T, n)} }

// encode returns the encoding of an image: Gaussian weights of its reciprocal
// neighbours, to which the neighbours of neighbours are added where two thirds
// of them are shared.
func (r *reciprocal[T]) encode(e *encoder[T], i int32) sparse[T] {
	e.core = r.appendMutual(e.core[:0], i, r.k1+1)
	e.set = append(e.set[:0], e.core...)
	small := inner(Rerank{K1: r.k1})
	for _, c := range e.core {
		e.candidate = r.appendMutual(e.candidate[:0], c, small)
		shared := 0
		for _, j := range e.candidate {
			if slices.Contains(e.core, j) {
				shared++
			}
		}
		if 3*shared > 2*len(e.candidate) {
			e.set = append(e.set, e.candidate...)
		}
	}
	slices.Sort(e.set)
	e.set = slices.Compact(e.set)
	e.weight = e.weight[:0]
	var total float64
	for _, j := range e.set {
		w := math.Exp(-float64(r.original(i, j)))
		total += w
		e.weight = append(e.weight, T(w))
	}
	out := e.arena.take(len(e.set))
	copy(out.index, e.set)
	for k, w := range e.weight {
		out.value[k] = T(float64(w) / total)
	}
	return out
}

// smooth returns the mean of the encodings of an image's k2 nearest.
func (r *reciprocal[T]) smooth(e *encoder[T], i int32) sparse[T] {
	near := r.nearest(i, r.k2)
	e.set = e.set[:0]
	for _, c := range near {
		v := r.encoded[c]
		for k, j := range v.index {
			if e.sum[j] == 0 {
				e.set = append(e.set, j)
			}
			e.sum[j] += v.value[k]
		}
	}
	slices.Sort(e.set)
	e.set = slices.Compact(e.set) // a weight so small that it is 0 is met again
	out := e.arena.take(len(e.set))
	copy(out.index, e.set)
	for k, j := range e.set {
		out.value[k] = e.sum[j] / T(len(near))
		e.sum[j] = 0
	}
	return out
}

// final joins the Jaccard distance of two encodings, given the sum of the
// smaller of their weights, with the original distance.
func (r Rerank) final(shared, original float64) float64 {
	return (1-r.Lambda)*(1-shared/(2-shared)) + r.Lambda*original
}
