package reid

import (
	"fmt"

	"github.com/deepmutual/dml/reid/internal/store"
)

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

// changing takes g.write and the gallery's lock, and finds the rows that a filter
// matches. On an error g.write is free.
func (g *Gallery) changing(f Filter, what string) (rows []int, err error) {
	m, err := f.compile()
	if err != nil {
		return nil, err
	}
	if m.all() {
		return nil, fmt.Errorf("%w: nothing says which images to %s", ErrOptions, what)
	}
	g.write.Lock()
	if err := g.lock(); err != nil {
		g.write.Unlock()
		return nil, err
	}
	v := g.store.View()
	m.bind(v)
	for i := range v.Rows() {
		if !v.IsRemoved(i) && m.matches(v, i) {
			rows = append(rows, i)
		}
	}
	return rows, nil
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

// SetNote keeps a note of up to 1 MiB in the gallery, durably.
func (g *Gallery) SetNote(note []byte) error {
	if err := g.enter(); err != nil {
		return err
	}
	defer g.leave()
	if len(note) > store.LongestNote {
		return fmt.Errorf("%w: a note of %d bytes; it may have %d", ErrOptions, len(note), store.LongestNote)
	}
	g.write.Lock()
	defer g.write.Unlock()
	if err := g.lock(); err != nil {
		return err
	}
	return fault(g.store.Append(store.Change{Note: append([]byte{}, note...)}))
}
