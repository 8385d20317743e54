package reid

import (
	"context"
	"errors"
	"fmt"
)

// SearchOptions of a gallery. The zero value is fine.
type SearchOptions struct {
	// Top is how many images to find for each query. Default: 10.
	Top int
	// Filter says which images to search. Default: all.
	Filter Filter
	// Workers is how many goroutines search. Default: runtime.GOMAXPROCS(0).
	Workers int
	// Multiplier of matrices, for ManyQueries and more. It must compute in float32
	// or better. Default: gonum's.
	Multiplier Multiplier
}

// Validate reports all faults of the options, joined.
func (o SearchOptions) Validate() error {
	var errs []error
	if o.Top < 0 {
		errs = append(errs, fmt.Errorf("%w: top: %d", ErrOptions, o.Top))
	}
	if o.Workers < 0 {
		errs = append(errs, fmt.Errorf("%w: workers: %d", ErrOptions, o.Workers))
	}
	return errors.Join(append(errs, o.Filter.Validate())...)
}

// Hit is an image that was found.
type Hit struct {
	Entry
	// Row of the gallery, which stays an image's own as long as it is there.
	Row int
	// Distance by cosine, from 0 to 2.
	Distance float64
}

// Search finds the images nearest to each query by cosine distance, nearest
// first, equal ones in the order of the gallery. Queries are [n x Dim], and need
// not have length 1. It compares them with every image: the result is that of
// computing all distances in float64, and depends neither on Workers nor on the
// Multiplier.
//
// The memory it needs grows with queries and Top, not with the gallery, except
// where many images are at nearly the distance of the last one found.
//
// A query that is no vector of numbers, or all zero, is a *RowError, damage to
// the features of any image it has to read a *DamageError.
func (g *Gallery) Search(ctx context.Context, queries []float32, opts SearchOptions) ([][]Hit, error) {
	if err := g.enter(); err != nil {
		return nil, err
	}
	defer g.leave()
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	m, err := opts.Filter.compile()
	if err != nil {
		return nil, err
	}
	dim := g.Dim()
	if len(queries) == 0 {
		return nil, fmt.Errorf("queries: %w", ErrEmpty)
	}
	if len(queries)%dim != 0 {
		return nil, fmt.Errorf("queries: %w: %d numbers are no rows of %d, which the gallery %s takes", ErrDimension, len(queries), dim, g.path)
	}
	s, _ := g.scratch.Get().(*scratch)
	if s == nil {
		s = new(scratch)
	}
	defer func() {
		s.v = nil // which need not be kept for the next search
		g.scratch.Put(s)
	}()
	s.begin(g.store.View(), dim, opts)
	if err := s.scale(queries); err != nil {
		return nil, err
	}
	m.bind(s.v)
	s.choose(m)
	out := make([][]Hit, len(queries)/dim)
	for from := 0; from < len(out); from += mostQueries {
		to := min(from+mostQueries, len(out))
		if err := s.search(ctx, s.queries[from*dim:to*dim], out[from:to]); err != nil {
			return nil, err
		}
	}
	return out, nil
}
