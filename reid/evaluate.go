package reid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// Evaluate ranks the gallery for each query by the distances of their features,
// and scores the rankings. Faults of the options wrap ErrOptions, those of the
// sets one of the package's errors, some within a *RowError. The sets are not
// changed.
func Evaluate(ctx context.Context, query, gallery Set, opts Options) (*Result, error) {
	return evaluateSets(ctx, query, gallery, opts, false)
}

// Rank is Evaluate for rankings to be looked at, see Options.Best: identities
// and cameras may be unknown, and no query needs a match. Where none has one the
// scores are 0. An image of unknown identity matches nothing; one of unknown
// camera matches every image of its person.
func Rank(ctx context.Context, query, gallery Set, opts Options) (*Result, error) {
	return evaluateSets(ctx, query, gallery, opts, true)
}

// evaluateSets checks and evaluates. With unlabelled it does without labels.
func evaluateSets(ctx context.Context, query, gallery Set, opts Options, unlabelled bool) (*Result, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	query, gallery = query.named("query"), gallery.named("gallery")
	sets := []Set{query, gallery}
	if opts.Pool != nil {
		pool := opts.Pool.named("pool")
		opts.Pool = &pool
		sets = append(sets, pool)
	}
	if err := checkSets(unlabelled, sets...); err != nil {
		return nil, err
	}
	if opts.Float64 {
		return evaluate(ctx, double(opts.Workers), query, gallery, opts, unlabelled)
	}
	return evaluate(ctx, single(opts.Multiplier), query, gallery, opts, unlabelled)
}

func evaluate[T float](ctx context.Context, a arithmetic[T], query, gallery Set, opts Options, unlabelled bool) (*Result, error) {
	p := newProtocol(query.Labels, gallery.Labels, opts.ZeroIsIdentity, true)
	r := newResult(p, opts)
	if r.ValidQueries == 0 && !unlabelled {
		return nil, p.explain(query.Name, gallery.Name)
	}
	var err error
	q := matrix[T]{a.convert(query), query.Dim}
	g := matrix[T]{a.convert(gallery), gallery.Dim}
	if opts.MultiQuery {
		q.data = pooled(a, q, query, gallery, opts)
	}
	if opts.Expand > 0 {
		if q.data, err = expanded(ctx, a, q, g, opts); err != nil {
			return nil, err
		}
	}
	src := newDirect(opts.Metric, a, q, g.between(p.lo, p.hi))
	if r.Scores, err = rankAll(ctx, src, p, opts); err != nil {
		return nil, err
	}
	if opts.Rerank == nil {
		return r, nil
	}
	parameters := opts.Rerank.withDefaults()
	r.Rerank = &Reranked{K1: parameters.K1, K2: parameters.K2, Lambda: parameters.Lambda, Top: parameters.Top}
	again, err := rerank(ctx, a, q, g, parameters, opts)
	if err != nil {
		return nil, err
	}
	// The neighbourhoods know no labels, so junk is in them.
	whole := newProtocol(query.Labels, gallery.Labels, opts.ZeroIsIdentity, false)
	if r.Rerank.Scores, err = rankAll(ctx, again, whole, opts); err != nil {
		return nil, err
	}
	return r, nil
}

// EvaluateDistances scores rankings by distances that were computed elsewhere,
// [len(query) x len(gallery)] by rows, which are not changed. Metric and
// Multiplier are not used; MultiQuery, Expand, Rerank and Float64 are faults.
// Errors are as those of Evaluate.
func EvaluateDistances(ctx context.Context, distances []float32, query, gallery []Label, opts Options) (*Result, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.MultiQuery || opts.Expand > 0 || opts.Rerank != nil || opts.Float64 {
		return nil, fmt.Errorf("%w: distances alone can be neither pooled, expanded, re-ranked nor computed in float64", ErrOptions)
	}
	opts = opts.withDefaults()
	if len(query) == 0 || len(gallery) == 0 {
		return nil, fmt.Errorf("distances: %w", ErrEmpty)
	}
	if len(distances) != len(query)*len(gallery) {
		return nil, fmt.Errorf("distances: %w: there are %d, for %d queries and a gallery of %d", ErrCount, len(distances), len(query), len(gallery))
	}
	if err := errors.Join(checkLabels("query", query, false), checkLabels("gallery", gallery, false)); err != nil {
		return nil, err
	}
	p := newProtocol(query, gallery, opts.ZeroIsIdentity, true)
	r := newResult(p, opts)
	if r.ValidQueries == 0 {
		return nil, p.explain("query", "gallery")
	}
	r.Metric = ""
	src := &given{distances: distances, columns: len(gallery), lo: p.lo, hi: p.hi, bad: -1}
	var err error
	if r.Scores, err = rankAll(ctx, src, p, opts); err != nil {
		return nil, err
	}
	if err := src.err(); err != nil {
		return nil, err
	}
	return r, nil
}

// newResult counts.
func newResult(p *protocol, opts Options) *Result {
	r := &Result{Protocol: SingleQuery, Metric: opts.Metric, Expand: opts.Expand, Queries: len(p.query), Gallery: len(p.gallery),
		Junk: p.junkCount, Distractors: p.distractors}
	if opts.MultiQuery {
		r.Protocol, r.Pooling = MultiQuery, "query and gallery"
		if opts.Pool != nil {
			r.Pooling = opts.Pool.Name
		}
	}
	for q := range p.query {
		if good, _ := p.pairs(q); good > 0 {
			r.ValidQueries++
		}
	}
	r.SkippedQueries = r.Queries - r.ValidQueries
	return r
}

// rankAll ranks the gallery for all queries.
func rankAll[T float](ctx context.Context, src source[T], p *protocol, opts Options) (Scores, error) {
	all := newPairs[T](p)
	workers := make([]*ranker[T], opts.Workers)
	for w := range workers {
		workers[w] = newRanker(p, src, opts, all, w)
	}
	results := make([]QueryResult, len(p.query))
	width := min(opts.Best, p.columns())
	best := make([]Match, width*len(results))
	for q := range results {
		results[q].Best = best[q*width : q*width : (q+1)*width]
	}
	table := newCameraTable(p)
	byCamera := p.cameraLists() // added up in the queries' order, not the workers'
	err := forEachBlock(ctx, src, len(p.query), p.columns(), opts.Workers,
		func(distances []T, q, w int) { workers[w].rank(distances, q, &results[q], &byCamera[q]) })
	if err != nil {
		return Scores{}, err
	}
	for _, w := range workers {
		w.flush()
	}
	for q := range results {
		table.add(p.query[q].Camera, byCamera[q])
	}
	s := mean(results, opts.Ranks)
	s.ROC, s.Cameras = all.roc(), table.pairs()
	return s, nil
}

// mean averages over the valid queries.
func mean(results []QueryResult, ranks []int) Scores {
	s := Scores{CMC: make(map[int]float64), PerQuery: results}
	valid := 0.0
	for _, r := range results {
		if !r.Valid {
			continue
		}
		valid++
		s.MAP += r.AP
		s.MAPTrapezoidal += r.APTrapezoidal
		s.MINP += r.INP
	}
	if valid == 0 {
		for _, k := range ranks {
			s.CMC[k] = 0
		}
		return s
	}
	s.MAP /= valid
	s.MAPTrapezoidal /= valid
	s.MINP /= valid
	for _, k := range ranks {
		found := 0
		for _, r := range results {
			if r.Valid && r.First <= k {
				found++
			}
		}
		s.CMC[k] = float64(found) / valid
	}
	return s
}

// cameraTable averages AP by the cameras of query and gallery.
type cameraTable struct {
	cameras []ID // of the gallery, ascending
	cells   map[[2]ID]*CameraPair
}

func newCameraTable(p *protocol) *cameraTable {
	t := &cameraTable{cameras: make([]ID, len(p.cameras)), cells: make(map[[2]ID]*CameraPair)}
	for camera, i := range p.cameras {
		t.cameras[i] = camera
	}
	return t
}

// add takes the APs of a query by camera of the gallery.
func (t *cameraTable) add(camera ID, list []cameraAP) {
	for _, v := range list {
		key := [2]ID{camera, t.cameras[v.camera]}
		if t.cells[key] == nil {
			t.cells[key] = &CameraPair{Query: key[0], Gallery: key[1]}
		}
		t.cells[key].Queries++
		t.cells[key].MAP += v.ap
	}
}

// pairs returns the cells by camera of the query, then of the gallery.
func (t *cameraTable) pairs() []CameraPair {
	out := make([]CameraPair, 0, len(t.cells))
	for _, c := range t.cells {
		c.MAP /= float64(c.Queries)
		out = append(out, *c)
	}
	slices.SortFunc(out, func(a, b CameraPair) int {
		return cmp.Or(a.Query.Compare(b.Query), a.Gallery.Compare(b.Gallery))
	})
	return out
}
