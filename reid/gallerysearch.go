package reid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
)

// SearchOptions of a gallery. The zero value is fine.
type SearchOptions struct {
	// Top is how many images to find for each query. Default: 10.
	Top int
	// Filter says which images to search. Default: all.
	Filter Filter
	// MaxDistance leaves out images that are not nearer than that, so that nobody
	// is found where nobody is near: a threshold of CalibrateSearch, say. Default
	// 0: none is left out.
	MaxDistance float64
	// Group finds the nearest image of each person or track, and Top is how many
	// of these to find. Default: GroupNone.
	Group Group
	// Workers is how many goroutines search. Default: runtime.GOMAXPROCS(0).
	Workers int
	// Multiplier of matrices, for ManyQueries and more. It must compute in float32
	// or better. Default: gonum's.
	Multiplier Multiplier
}

// Group says which hits of a search are taken together.
type Group int

const (
	// GroupNone keeps every image.
	GroupNone Group = iota
	// GroupIdentity keeps the nearest image of each person. Images of no known
	// person, Unknown, Junk and Distractor, stay alone.
	GroupIdentity
	// GroupTrack keeps the nearest image of each track. Images of none stay alone.
	GroupTrack
)

// Validate reports all faults of the options, joined.
func (o SearchOptions) Validate() error {
	var errs []error
	if !(o.MaxDistance >= 0 && o.MaxDistance <= 2) {
		errs = append(errs, fmt.Errorf("%w: the largest distance, %v, is not between 0 and 2", ErrOptions, o.MaxDistance))
	}
	if o.Group < GroupNone || o.Group > GroupTrack {
		errs = append(errs, fmt.Errorf("%w: group: %d", ErrOptions, o.Group))
	}
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
	// Row of the gallery, which stays an image's own until Compact.
	Row int
	// Distance by cosine, from 0 to 2.
	Distance float64
}

// Search finds the images nearest to each query by cosine distance, nearest
// first, equal ones in the order of the gallery. Queries are [n x Dim], and need
// not have length 1; a query's hits are at its place. It compares them with every image: the result is that of
// computing all distances in float64, and depends neither on Workers nor on the
// Multiplier.
//
// The memory it needs grows with queries and Top, not with the gallery, except
// where many images are at nearly the distance of the last one found.
//
// No queries are an ErrEmpty, numbers that are not whole queries an ErrDimension. A
// query that is not a vector of numbers, or all zero, is a *RowError, damage to the
// features of any image it has to read a *DamageError.
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
		return nil, fmt.Errorf("queries: %w: %d numbers are not rows of %d, which the gallery %s takes", ErrDimension, len(queries), dim, g.path)
	}
	opts.Top = cmp.Or(opts.Top, 10)
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
		if err := s.searchGroups(ctx, s.queries[from*dim:to*dim], out[from:to], opts); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// searchGroups finds the images of up to mostQueries queries. For groups it finds
// ever more images of the queries that lack some, until there are enough groups
// or no more images: the nearest image of a group comes first.
func (s *scratch) searchGroups(ctx context.Context, queries []float32, out [][]Hit, opts SearchOptions) error {
	if err := s.search(ctx, queries, out); err != nil || opts.Group == GroupNone {
		return err
	}
	for q := range out {
		for {
			images := len(out[q])
			groups := grouped(out[q], opts.Group)
			if len(groups) >= opts.Top || images < s.k || s.k == s.v.Live {
				out[q] = groups[:min(opts.Top, len(groups))]
				break
			}
			s.k = min(8*s.k, s.v.Live)
			if err := s.search(ctx, queries[q*s.dim:(q+1)*s.dim], out[q:q+1]); err != nil {
				return err
			}
		}
		s.k = min(opts.Top, s.v.Live)
	}
	return nil
}

// grouped keeps the first hit of each group, in place.
func grouped(hits []Hit, by Group) []Hit {
	seen := make(map[string]bool)
	return slices.DeleteFunc(hits, func(h Hit) bool {
		key := h.Track
		if by == GroupIdentity {
			if !h.PID.Person() {
				return false
			}
			key = string(h.PID)
		}
		if key == "" {
			return false
		}
		known := seen[key]
		seen[key] = true
		return known
	})
}
