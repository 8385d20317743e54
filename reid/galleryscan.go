package reid

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"math/bits"
	"runtime"
	"slices"

	"gonum.org/v1/gonum/blas/gonum"

	"github.com/deepmutual/dml/reid/internal/store"
)

// ManyQueries is from how many on a search uses the Multiplier: for fewer,
// reading the gallery takes longer than multiplying.
const ManyQueries = 16

// mostQueries is how many are compared at a time, which bounds the memory.
const mostQueries = 256

// scratch is the memory of a search, which the next one uses again.
type scratch struct {
	v            *store.View
	dim          int
	k            int
	limit        float64 // distances are below
	workers      int
	multiplier   Multiplier
	queries      []float32 // of length 1
	chosen       []uint64  // rows to search, by bits
	tops         []candidates
	rows         []float32 // of a segment
	numbers      []int32   // of those rows
	similarities []float32
}

func (s *scratch) begin(v *store.View, dim int, opts SearchOptions) {
	s.v, s.dim = v, dim
	s.k = min(opts.Top, v.Live)
	s.limit = cmp.Or(opts.MaxDistance, math.Inf(1))
	s.workers = cmp.Or(opts.Workers, runtime.GOMAXPROCS(0))
	s.multiplier = opts.Multiplier
	if s.multiplier == nil {
		s.multiplier = Gonum{Workers: s.workers}
	}
}

// resized returns n elements, with the memory of v if that suffices.
func resized[T any](v []T, n int) []T {
	if cap(v) < n {
		return make([]T, n)
	}
	return v[:n]
}

// scale sets the queries.
func (s *scratch) scale(queries []float32) error {
	s.queries = resized(s.queries, len(queries))
	for i := range len(queries) / s.dim {
		if err := scaleToOne(s.queries[i*s.dim:(i+1)*s.dim], queries[i*s.dim:(i+1)*s.dim]); err != nil {
			return &RowError{"queries", i, err}
		}
	}
	return nil
}

// wordsAtOnce is how many words of s.chosen a worker decides at a time.
const wordsAtOnce = 256

// choose decides which rows to search.
func (s *scratch) choose(m *matcher) {
	s.chosen = resized(s.chosen, len(s.v.Removed))
	parallel(s.workers, (len(s.chosen)+wordsAtOnce-1)/wordsAtOnce, func(_, part int) {
		for i := part * wordsAtOnce; i < min((part+1)*wordsAtOnce, len(s.chosen)); i++ {
			s.chosen[i] = m.word(s.v, i)
		}
	})
}

// slack is how wrong a product of two vectors of length 1 can be in float32, in
// whatever order the products of features are added up: at most n u / (1 - n u)
// times the sum of their magnitudes, which is at most 1 (Higham, "Accuracy and
// Stability of Numerical Algorithms", section 3.1), with room for the rounding
// of the vectors themselves.
func slack(dim int) float32 { return 1.01 * float32(dim+1) / (1 << 24) }

// search finds the images of up to mostQueries queries.
func (s *scratch) search(ctx context.Context, queries []float32, out [][]Hit) error {
	many := len(out) >= ManyQueries
	lists := len(out) // of candidates: one for each query, by each worker
	if !many {
		lists *= s.workers
	}
	s.tops = slices.Grow(s.tops[:0], lists)[:lists]
	bound := float32(-2)
	if s.limit <= 2 { // of a similarity, which can be wrong by slack, and rounded itself
		bound = float32(1-s.limit) - 2*slack(s.dim)
	}
	for i := range s.tops {
		s.tops[i].reset(s.k, slack(s.dim), bound)
	}
	if s.k > 0 {
		scan := s.scan
		if many {
			scan = s.scanMany
		}
		if err := scan(ctx, queries, len(out)); err != nil {
			return err
		}
	}
	return s.rank(ctx, queries, out)
}

// scan offers the similarities of all chosen rows, block by block.
func (s *scratch) scan(ctx context.Context, queries []float32, n int) error {
	return eachBlock(ctx, s.workers, s.blocks(), s.v, func(worker, block int) error {
		lo, hi, chosen := s.block(block)
		if chosen == 0 {
			return nil
		}
		rows, err := s.v.Features(lo, hi)
		if err != nil {
			return err
		}
		tops := s.tops[worker*n : (worker+1)*n]
		s.each(lo, hi, func(i int) {
			row := rows[(i-lo)*s.dim : (i-lo+1)*s.dim]
			for q := range tops {
				similarity := gonum.Implementation{}.Sdot(s.dim, queries[q*s.dim:(q+1)*s.dim], 1, row, 1)
				if similarity >= tops[q].bound {
					tops[q].offer(similarity, int32(i))
				}
			}
		})
		return nil
	})
}

func (s *scratch) blocks() int { return (s.v.Rows() + store.BlockRows - 1) / store.BlockRows }

// block returns the rows of a block, and how many are chosen.
func (s *scratch) block(i int) (lo, hi, chosen int) {
	lo, hi = i*store.BlockRows, min((i+1)*store.BlockRows, s.v.Rows())
	for _, w := range s.chosen[lo/64 : (hi+63)/64] {
		chosen += bits.OnesCount64(w)
	}
	return lo, hi, chosen
}

// each calls f for the chosen rows of a block.
func (s *scratch) each(lo, hi int, f func(row int)) {
	for i, w := range s.chosen[lo/64 : (hi+63)/64] {
		for ; w != 0; w &= w - 1 {
			f(lo + 64*i + bits.TrailingZeros64(w))
		}
	}
}

// scanMany does what scan does by multiplying matrices, a segment at a time. It
// copies the rows: multipliers, which may have goroutines of their own or be no
// Go at all, must not read memory that a fault can hit.
func (s *scratch) scanMany(ctx context.Context, queries []float32, n int) error {
	const blocksAtOnce = store.SegmentRows / store.BlockRows
	s.rows, s.numbers = resized(s.rows, store.SegmentRows*s.dim), resized(s.numbers, store.SegmentRows)
	s.similarities = resized(s.similarities, n*store.SegmentRows)
	var starts [blocksAtOnce + 1]int
	for first := 0; first < s.blocks(); first += blocksAtOnce {
		count := min(blocksAtOnce, s.blocks()-first)
		for b := range count {
			_, _, chosen := s.block(first + b)
			starts[b+1] = starts[b] + chosen
		}
		total := starts[count]
		if total == 0 {
			continue
		}
		err := eachBlock(ctx, s.workers, count, s.v, func(_, b int) error { return s.gather(first+b, starts[b], starts[b+1]) })
		if err != nil {
			return err
		}
		products := s.similarities[:n*total]
		if err := s.multiplier.MultiplyTransposed(products, queries, s.rows[:total*s.dim], n, total, s.dim); err != nil {
			return fmt.Errorf("multiplying features: %w", err)
		}
		parallel(s.workers, n, func(_, q int) {
			top := &s.tops[q]
			for j, similarity := range products[q*total : (q+1)*total] {
				if similarity >= top.bound {
					top.offer(similarity, s.numbers[j])
				}
			}
		})
	}
	return nil
}

// gather copies the chosen rows of a block to s.rows from at up to end.
func (s *scratch) gather(block, at, end int) error {
	if at == end {
		return nil
	}
	lo, hi, _ := s.block(block)
	rows, err := s.v.Features(lo, hi)
	if err != nil {
		return err
	}
	s.each(lo, hi, func(i int) {
		copy(s.rows[at*s.dim:(at+1)*s.dim], rows[(i-lo)*s.dim:])
		s.numbers[at] = int32(i)
		at++
	})
	return nil
}

// ranked is a row of the gallery at its distance.
type ranked struct {
	distance float64
	row      int
}

// rankedOrder is that of a search's hits: by distance, equal ones in the order of
// the gallery. The candidates hold all rows that are equally near (see drop).
func rankedOrder(a, b ranked) int {
	return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.row, b.row))
}

// rank computes the distances of the candidates in float64.
func (s *scratch) rank(ctx context.Context, queries []float32, out [][]Hit) error {
	return eachBlock(ctx, s.workers, len(out), s.v, func(_, q int) error {
		top := &s.tops[q]
		for i := q + len(out); i < len(s.tops); i += len(out) { // of other workers
			top.found = append(top.found, s.tops[i].found...)
		}
		top.drop()
		all := make([]ranked, len(top.found))
		for i, c := range top.found {
			row := int(c.row)
			features, err := s.v.Features(row, row+1)
			if err != nil {
				return err
			}
			var sum float64
			for k, x := range queries[q*s.dim : (q+1)*s.dim] {
				sum += float64(x) * float64(features[k])
			}
			all[i] = ranked{min(max(1-sum, 0), 2), row}
		}
		slices.SortFunc(all, rankedOrder)
		within, _ := slices.BinarySearchFunc(all, s.limit, func(a ranked, limit float64) int { return cmp.Compare(a.distance, limit) })
		all = all[:min(s.k, within)]
		out[q] = make([]Hit, len(all))
		for i, r := range all {
			out[q][i] = Hit{Entry: entryOf(s.v.Row(r.row)), Row: r.row, Distance: r.distance}
		}
		return nil
	})
}
