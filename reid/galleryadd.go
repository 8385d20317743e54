package reid

import (
	"fmt"
	"math"

	"github.com/deepmutual/dml/reid/internal/store"
)

// Existing is what Add does about an image whose name is in the gallery.
type Existing int

const (
	// RefuseExisting adds nothing and fails with ErrDuplicate.
	RefuseExisting Existing = iota
	// SkipExisting leaves that image as it is in the gallery and adds the others.
	SkipExisting
	// ReplaceExisting adds the image and removes the one in the gallery.
	ReplaceExisting
)

// Add adds images with their features, [len(entries) x Dim], which it scales to
// length 1. All images are added or none, and they are on disk when Add returns:
// neither the end of the process nor of the power loses them. It returns how
// many were added.
//
// Features that are not numbers, or all zero, a name that comes twice, and bad
// labels are a *RowError. While another process changes the gallery it waits, or
// fails with ErrGalleryLocked (see WaitForOthers); the first change keeps others
// out until Close.
//
// An Add waits for the disk three times, however many images it adds: add many
// at once.
func (g *Gallery) Add(entries []Entry, features []float32, existing Existing) (int, error) {
	if err := g.enter(); err != nil {
		return 0, err
	}
	defer g.leave()
	if existing < RefuseExisting || existing > ReplaceExisting {
		return 0, fmt.Errorf("%w: existing images: %d", ErrOptions, existing)
	}
	c, err := g.prepare(entries, features)
	if err != nil {
		return 0, err
	}
	g.write.Lock()
	defer g.write.Unlock()
	if err := g.lock(); err != nil {
		return 0, err
	}
	if err := c.resolve(g, existing); err != nil {
		return 0, err
	}
	if len(c.rows) == 0 {
		return 0, nil
	}
	first := g.store.View().Rows()
	if first+len(c.rows) > math.MaxInt32 {
		return 0, fmt.Errorf("%s: %d images and %d more are too many for a gallery", g.path, first, len(c.rows))
	}
	if err := g.store.Append(store.Change{Removed: c.removed, Rows: c.rows, Features: c.features}); err != nil {
		return 0, fault(err)
	}
	for i, r := range c.rows {
		g.byName[r.Name] = first + i
	}
	return len(c.rows), nil
}

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
