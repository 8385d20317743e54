package reid

import (
	"math"
	"slices"
)

// ranker finds the ranks of a query's matches. Each worker has its own.
type ranker[T float] struct {
	p      *protocol
	src    source[T]
	best   *nearest[T]
	pairs  *pairs[T]
	wrong  []T            // distances of pairs on their way to pairs
	goods  []neighbour[T] // the matches, nearest first
	own    []neighbour[T] // images of the person by the query's camera, if they are reported
	owned  bool           // they are
	worker int
	count  counter[T]
	ranks  []int32 // of goods
	seen   []int32 // goods by camera, 0 between queries
	entry  []int32 // of those cameras in a query's list
}

func newRanker[T float](p *protocol, src source[T], opts Options, pairs *pairs[T], worker int) *ranker[T] {
	return &ranker[T]{p: p, src: src, worker: worker, best: newNearest[T](min(opts.Best, p.columns())), pairs: pairs, owned: opts.BestSameCamera,
		wrong: make([]T, 0, 2*flushAt), goods: make([]neighbour[T], 0, p.most), count: newCounter[T](p.most),
		ranks: make([]int32, p.most), seen: make([]int32, len(p.cameras)), entry: make([]int32, len(p.cameras))}
}

// rank evaluates a query given its distances, which it overwrites. It appends to
// byCamera the AP of its matches camera by camera. That has room for all, and
// out.Best for the nearest.
func (r *ranker[T]) rank(row []T, query int, out *QueryResult, byCamera *[]cameraAP) {
	infinite := T(math.Inf(1))
	for _, j := range r.p.junk {
		row[j] = infinite
	}
	r.goods, r.own = r.goods[:0], r.own[:0]
	for _, j := range r.p.same(query) {
		if r.p.good(query, j) {
			r.goods = append(r.goods, neighbour[T]{row[j], j})
		} else {
			if r.owned {
				r.own = append(r.own, neighbour[T]{row[j], j})
			}
			row[j] = infinite
		}
	}
	slices.SortFunc(r.goods, order)
	at := rulerOf(r.src, query, r.worker)
	r.report(row, at, out)
	for _, g := range r.goods {
		row[g.column] = infinite
	}
	if len(r.goods) > 0 {
		r.count.ranks(r.ranks, row, r.goods, at)
		r.score(out)
		*byCamera = r.cameras(*byCamera)
	}
	if r.p.person(r.p.query[query].PID) {
		r.pool(row, query)
	}
}

// report sets the nearest images, at their distances in float64.
func (r *ranker[T]) report(row []T, at ruler[T], out *QueryResult) {
	best := r.best.measured(row, at)
	if len(r.own) > 0 {
		r.reportOwn(row, best, at, out)
		return
	}
	for _, n := range best {
		out.Best = append(out.Best, r.match(n, at.query))
	}
}

func (r *ranker[T]) match(n neighbour[float64], query int) Match {
	label := r.p.gallery[r.p.lo+int(n.column)]
	good := label.PID == r.p.query[query].PID && r.p.person(label.PID)
	return Match{Gallery: r.p.lo + int(n.column), Distance: r.src.reported(n.distance), Good: good}
}

// reportOwn reports also the images of the query's own camera, where they would
// rank among the best; those behind all of them are left out, unless no image is.
func (r *ranker[T]) reportOwn(row []T, best []neighbour[float64], at ruler[T], out *QueryResult) {
	full, left := len(best) == r.best.k, len(best)
	all := slices.Clone(best)
	for _, n := range r.own {
		all = append(all, at.exact(n.column))
	}
	slices.SortFunc(all, order)
	out.Best = make([]Match, 0, len(all))
	for _, n := range all {
		if full && left == 0 {
			return
		}
		m := r.match(n, at.query)
		if math.IsInf(float64(row[n.column]), 1) { // as only those of the own camera are
			m.Good, m.SameCamera = false, true
		} else {
			left--
		}
		out.Best = append(out.Best, m)
	}
}

// score sets the metrics of a query from its ranks.
func (r *ranker[T]) score(out *QueryResult) {
	ranks := r.ranks[:len(r.goods)]
	n := float64(len(ranks))
	out.Valid, out.Matches, out.First = true, len(ranks), int(ranks[0])
	for i, rank := range ranks {
		found, at := float64(i+1), float64(rank)
		out.AP += found / at
		before := 1.0 // the precision one rank above the match
		if rank > 1 {
			before = (found - 1) / (at - 1)
		}
		out.APTrapezoidal += (found/at + before) / 2
	}
	out.AP /= n
	out.APTrapezoidal /= n
	out.INP = n / float64(ranks[len(ranks)-1])
}

// cameraAP is the AP of the matches that a camera took, by its number.
type cameraAP struct {
	camera int32
	ap     float64
}

// cameras appends the AP of the matches of each camera to an empty list: the
// wrong images before a match are known from its rank.
func (r *ranker[T]) cameras(list []cameraAP) []cameraAP {
	for i, g := range r.goods {
		c := r.p.cameraOf[g.column]
		if r.seen[c]++; r.seen[c] == 1 {
			r.entry[c] = int32(len(list))
			list = append(list, cameraAP{camera: c})
		}
		found := r.seen[c]
		list[r.entry[c]].ap += float64(found) / float64(r.ranks[i]-int32(i+1)+found)
	}
	for i := range list {
		c := list[i].camera
		list[i].ap /= float64(r.seen[c])
		r.seen[c] = 0
	}
	return list
}

// pool hands the distances to those of all pairs.
func (r *ranker[T]) pool(row []T, query int) {
	for i, g := range r.goods {
		r.pairs.good[r.pairs.first[query]+i] = g.distance
	}
	for len(row) > 0 {
		part := row[:min(len(row), flushAt)]
		row = row[len(part):]
		bound := r.pairs.current()
		n := len(r.wrong)
		buf := r.wrong[:n+len(part)]
		for _, d := range part { // without a branch, which would be guessed wrong
			buf[n] = d
			next := n + 1
			if d < bound {
				n = next
			}
		}
		if r.wrong = r.wrong[:n]; n >= flushAt {
			r.flush()
		}
	}
}

func (r *ranker[T]) flush() {
	r.pairs.add(r.wrong)
	r.wrong = r.wrong[:0]
}
