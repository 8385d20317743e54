package pages

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/deepmutual/dml/reid"
)

// Order is how queries are ordered on a page.
type Order string

const (
	// Worst has the lowest AP first.
	Worst Order = "worst"
	// Best has the highest AP first.
	Best Order = "best"
	// ByName sorts by the names of the queries.
	ByName Order = "name"
	// Given keeps the order in which the queries were given.
	Given Order = "given"
)

// Orders lists the orders.
func Orders() []Order { return []Order{Worst, Best, ByName, Given} }

// Item is an image with its label, of which identity and camera can be unknown.
type Item struct {
	Image
	reid.Label
}

// BuildOptions of Build.
type BuildOptions struct {
	Title string
	// Remarks for the page; Build adds some of its own.
	Remarks []string
	// Order of the queries. Default: Given. Queries without a match have no AP:
	// they follow the others.
	Order Order
	// Limit is how many queries to show. Default 0: all.
	Limit int
	// ZeroIsIdentity is that of the reid.Options.
	ZeroIsIdentity bool
}

// mostSameCamera bounds the images of the same camera that a query shows.
const mostSameCamera = 10

// Build makes a page of scores that reid.Evaluate or reid.Rank returned, with
// reid.Options.Best and BestSameCamera, for these queries and this gallery. It
// also returns the places of the queries that are shown, in the page's order.
func Build(scores reid.Scores, queries, gallery []Item, opts BuildOptions) (Page, []int, error) {
	if len(scores.PerQuery) != len(queries) {
		return Page{}, nil, fmt.Errorf("%w: scores of %d queries, and %d images of them", ErrPage, len(scores.PerQuery), len(queries))
	}
	if opts.Order != "" && !slices.Contains(Orders(), opts.Order) {
		return Page{}, nil, fmt.Errorf("%w: the order %q is not one of %q", ErrPage, opts.Order, Orders())
	}
	shown := order(scores, queries, opts.Order)
	if opts.Limit > 0 && len(shown) > opts.Limit {
		shown = shown[:opts.Limit]
	}
	p := Page{Title: opts.Title, Remarks: slices.Clone(opts.Remarks)}
	valid := 0
	for _, q := range scores.PerQuery {
		if q.Valid {
			valid++
		}
	}
	if valid > 0 {
		p.Scores = scoresOf(scores, valid, len(queries))
	}
	if len(shown) < len(queries) {
		p.Remarks = append(p.Remarks, fmt.Sprintf("Shown: %d of %d queries, %s.", len(shown), len(queries), described(opts.Order)))
	} else if len(queries) > 1 {
		p.Remarks = append(p.Remarks, fmt.Sprintf("%d queries, %s.", len(queries), described(opts.Order)))
	}
	for _, i := range shown {
		q, err := query(scores.PerQuery[i], queries[i], gallery, opts.ZeroIsIdentity)
		if err != nil {
			return Page{}, nil, err
		}
		p.Queries = append(p.Queries, q)
	}
	return p, shown, nil
}

// order returns the places of the queries in the page's order.
func order(scores reid.Scores, queries []Item, by Order) []int {
	places := make([]int, len(queries))
	for i := range places {
		places[i] = i
	}
	switch by {
	case ByName:
		slices.SortStableFunc(places, func(a, b int) int { return cmp.Compare(queries[a].Name, queries[b].Name) })
	case Worst, Best:
		slices.SortStableFunc(places, func(a, b int) int {
			x, y := scores.PerQuery[a], scores.PerQuery[b]
			if x.Valid != y.Valid {
				if x.Valid {
					return -1
				}
				return 1
			}
			if by == Best {
				x, y = y, x
			}
			return cmp.Compare(x.AP, y.AP)
		})
	}
	return places
}

func described(by Order) string {
	switch by {
	case Worst:
		return "those of the lowest AP first"
	case Best:
		return "those of the highest AP first"
	case ByName:
		return "by name"
	}
	return "in the order of the data"
}

// scoresOf are the scores of the page's head.
func scoresOf(s reid.Scores, valid, queries int) []Score {
	percent := func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) }
	out := []Score{{"mAP", percent(s.MAP)}}
	var ranks []int
	for k := range s.CMC {
		ranks = append(ranks, k)
	}
	slices.Sort(ranks)
	for _, k := range ranks {
		out = append(out, Score{fmt.Sprintf("rank %d", k), percent(s.CMC[k])})
	}
	return append(out, Score{"mINP", percent(s.MINP)}, Score{"queries with a match", fmt.Sprintf("%d of %d", valid, queries)})
}

// query makes the row of a query.
func query(r reid.QueryResult, item Item, gallery []Item, zeroIsIdentity bool) (Query, error) {
	q := Query{Image: item.described(zeroIsIdentity), Scored: r.Valid, AP: r.AP, Matches: r.Matches, First: r.First}
	rank, same := 0, 0
	for _, m := range r.Best {
		if m.Gallery < 0 || m.Gallery >= len(gallery) {
			return Query{}, fmt.Errorf("%w: image %d of a gallery of %d", ErrPage, m.Gallery, len(gallery))
		}
		found := gallery[m.Gallery]
		result := Result{Image: found.described(zeroIsIdentity), Distance: m.Distance}
		switch {
		case m.SameCamera:
			if same++; same > mostSameCamera {
				q.MoreSameCamera++
				continue
			}
			result.Relation = SameCamera
		default:
			rank++
			result.Rank = rank
			switch {
			case m.Good:
				result.Relation = Right
			case item.known(zeroIsIdentity) && found.PID != reid.Unknown:
				result.Relation = Wrong
			}
		}
		q.Results = append(q.Results, result)
	}
	return q, nil
}

// known reports whether the image shows a person whose identity is known.
func (i Item) known(zeroIsIdentity bool) bool {
	return i.PID.Person() || i.PID == reid.Distractor && zeroIsIdentity
}

// described is the image with a note of its label.
func (i Item) described(zeroIsIdentity bool) Image {
	m := i.Image
	switch {
	case i.known(zeroIsIdentity):
		m.Note = fmt.Sprintf("person %s", i.PID)
	case i.PID == reid.Distractor:
		m.Note = "distractor"
	case i.PID == reid.Junk:
		m.Note = "junk"
	}
	if i.Camera != reid.Unknown {
		if m.Note != "" {
			m.Note += ", "
		}
		m.Note += fmt.Sprintf("camera %s", i.Camera)
	}
	return m
}
