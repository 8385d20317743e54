package reid

import (
	"fmt"
	"math"

	"github.com/deepmutual/dml/reid/internal/store"
)

// change is images on their way into a gallery.
type change struct {
	rows     []store.Row
	features []float32 // of length 1
	removed  []int     // rows of the gallery
}

// prepare checks images to add.
func (g *Gallery) prepare(entries []Entry, features []float32) (*change, error) {
	const what = "images to add"
	if err := g.checkVectors(what, len(entries), features); err != nil {
		return nil, err
	}
	dim := g.Dim()
	c := &change{rows: make([]store.Row, len(entries)), features: make([]float32, len(features))}
	seen := make(map[string]bool, len(entries))
	for i, e := range entries {
		var err error
		if c.rows[i], err = e.row(); err != nil {
			return nil, &RowError{what, i, err}
		}
		if seen[e.Name] {
			return nil, &RowError{what, i, fmt.Errorf("%w: %.80q comes twice among them", ErrDuplicate, e.Name)}
		}
		seen[e.Name] = true
		if err := scaleToOne(c.features[i*dim:(i+1)*dim], features[i*dim:(i+1)*dim]); err != nil {
			return nil, &RowError{what, i, fmt.Errorf("%.80q: %w", e.Name, err)}
		}
	}
	return c, nil
}

// checkVectors checks that there are n vectors of the gallery's length.
func (g *Gallery) checkVectors(what string, n int, features []float32) error {
	dim := g.Dim()
	switch {
	case len(features) == n*dim:
		return nil
	case n > 0 && len(features)%n == 0:
		return fmt.Errorf("%s: %w: %d features an image; the gallery %s takes %d", what, ErrDimension, len(features)/n, g.path, dim)
	}
	return fmt.Errorf("%s: %w: %d numbers are not %d images of %d features", what, ErrCount, len(features), n, dim)
}

// scaleToOne sets dst to v scaled to length 1.
func scaleToOne(dst, v []float32) error {
	sum := squares(v)
	if !(sum <= longest*longest) {
		return notFinite(v)
	}
	length := math.Sqrt(sum)
	if length < shortest {
		return fmt.Errorf("%w: the features are all zero", ErrNotFinite)
	}
	for k, x := range v {
		dst[k] = float32(float64(x) / length)
	}
	return nil
}

// resolve decides about images that the gallery has.
func (c *change) resolve(g *Gallery, existing Existing) error {
	dim, kept := g.Dim(), 0
	for i, r := range c.rows {
		if old, there := g.byName[r.Name]; there {
			switch existing {
			case SkipExisting:
				continue
			case ReplaceExisting:
				c.removed = append(c.removed, old)
			default:
				return &RowError{"images to add", i, fmt.Errorf("%w: %.80q in %s", ErrDuplicate, r.Name, g.path)}
			}
		}
		c.rows[kept] = r
		copy(c.features[kept*dim:(kept+1)*dim], c.features[i*dim:(i+1)*dim])
		kept++
	}
	c.rows, c.features = c.rows[:kept], c.features[:kept*dim]
	return nil
}
