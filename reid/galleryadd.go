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

// lock keeps other processes out, and indexes the names.
func (g *Gallery) lock() error {
	if g.byName != nil {
		return nil
	}
	if err := g.store.Lock(g.wait); err != nil {
		return fault(err)
	}
	v := g.store.View()
	g.byName = make(map[string]int, v.Live)
	for i, name := range v.Names {
		if !v.IsRemoved(i) {
			g.byName[name] = i
		}
	}
	return nil
}

// Remove removes the images that the filter matches, and returns how many. A
// filter that matches everything is refused with ErrOptions. What was removed
// keeps its room on disk, and its features stay readable there, until Compact.
func (g *Gallery) Remove(f Filter) (int, error) {
	if err := g.enter(); err != nil {
		return 0, err
	}
	defer g.leave()
	rows, err := g.changing(f, "remove")
	if err != nil {
		return 0, err
	}
	defer g.write.Unlock()
	v := g.store.View()
	if len(rows) == 0 {
		return 0, nil
	}
	if err := g.store.Append(store.Change{Removed: rows}); err != nil {
		return 0, fault(err)
	}
	for _, i := range rows {
		delete(g.byName, v.Names[i])
	}
	return len(rows), nil
}
