package reid

import "context"

// pooled returns the features q of the queries for Options.MultiQuery.
func pooled[T float](a arithmetic[T], q matrix[T], query, gallery Set, opts Options) []T {
	sets := []Set{query, gallery}
	if opts.Pool != nil {
		sets = []Set{*opts.Pool}
	}
	place := make(map[Label]int) // of a label's mean
	for _, l := range query.Labels {
		if _, there := place[l]; !there && l.PID != Junk && l.PID != Unknown {
			place[l] = len(place)
		}
	}
	sums := matrix[float64]{make([]float64, len(place)*query.Dim), query.Dim}
	counts := make([]int, len(place))
	for _, s := range sets {
		m := matrix[T]{a.convert(s), s.Dim}
		for i, l := range s.Labels {
			if at, there := place[l]; there {
				accumulate(sums.row(at), m.row(i), opts.Metric)
				counts[at]++
			}
		}
	}
	out := make([]T, 0, len(q.data))
	for i, l := range query.Labels {
		at, there := place[l]
		if there && l.PID == Distractor && !opts.ZeroIsIdentity {
			there = false // distractors are no one person
		}
		if !there || counts[at] == 0 {
			out = append(out, q.row(i)...)
			continue
		}
		out = appendMean(out, sums.row(at), counts[at], opts.Metric)
	}
	return out
}

// accumulate adds a vector to a sum, under Cosine scaled to length 1.
func accumulate[T float](sum []float64, v []T, metric Metric) {
	scale := 1.0
	if metric == Cosine {
		scale = inverseLength(v)
	}
	for k, x := range v {
		sum[k] += scale * float64(x)
	}
}

// appendMean appends the mean of n vectors that were added up; except under
// Euclidean it is scaled to length 1.
func appendMean[T float](out []T, sum []float64, n int, metric Metric) []T {
	scale := 1 / float64(n)
	if metric != Euclidean {
		scale = inverseLength(sum)
	}
	for _, x := range sum {
		out = append(out, T(scale*x))
	}
	return out
}

// expanded returns the queries' features for Options.Expand.
func expanded[T float](ctx context.Context, a arithmetic[T], query, gallery matrix[T], opts Options) ([]T, error) {
	k := min(opts.Expand, gallery.rows())
	workers := make([]struct {
		nearest *nearest[T]
		sum     []float64
	}, opts.Workers)
	for w := range workers {
		workers[w].nearest, workers[w].sum = newNearest[T](k), make([]float64, query.dim)
	}
	out := make([]T, len(query.data))
	var src source[T] = newDirect(opts.Metric, a, query, gallery)
	err := forEachBlock(ctx, src, query.rows(), gallery.rows(), opts.Workers, func(row []T, q, w int) {
		sum := workers[w].sum
		clear(sum)
		accumulate(sum, query.row(q), opts.Metric)
		for _, n := range workers[w].nearest.of(row, rulerOf(src, q, w)) {
			accumulate(sum, gallery.row(int(n.column)), opts.Metric)
		}
		at := q * query.dim
		appendMean(out[at:at:at+query.dim], sum, k+1, opts.Metric)
	})
	return out, err
}
