package reid

import (
	"fmt"
	"iter"
	"time"

	"github.com/deepmutual/dml/reid/internal/store"
)

// NewLabel is the label and the time that images get. What is nil stays; what is
// Unknown, or the zero time, is cleared.
type NewLabel struct {
	PID, Camera *ID
	Time        *time.Time
}

// Relabel sets identity, camera and time of the images that the filter matches, at
// once or not at all, and durably, and returns how many. A filter that matches everything,
// and a label that says nothing, are refused with ErrOptions, a bad one with
// ErrLabel. The images keep their rows and features.
func (g *Gallery) Relabel(f Filter, to NewLabel) (int, error) {
	if err := g.enter(); err != nil {
		return 0, err
	}
	defer g.leave()
	if to == (NewLabel{}) {
		return 0, fmt.Errorf("%w: nothing says what the images are to be", ErrOptions)
	}
	var fixed Entry // to check what is given
	fixed.Name = "label"
	to.apply(&fixed)
	if _, err := fixed.row(); err != nil {
		return 0, err
	}
	rows, err := g.changing(f, "label")
	if err != nil {
		return 0, err
	}
	defer g.write.Unlock()
	if len(rows) == 0 {
		return 0, nil
	}
	v := g.store.View()
	c := store.Change{Relabels: make([]store.Relabel, len(rows))}
	for k, i := range rows {
		e := entryOf(v.Row(i))
		to.apply(&e)
		r, err := e.row()
		if err != nil {
			return 0, err
		}
		c.Relabels[k] = store.Relabel{Row: i, PID: r.PID, Camera: r.Camera, Time: r.Time}
	}
	if err := g.store.Append(c); err != nil {
		return 0, fault(err)
	}
	return len(rows), nil
}

func (to NewLabel) apply(e *Entry) {
	if to.PID != nil {
		e.PID = *to.PID
	}
	if to.Camera != nil {
		e.Camera = *to.Camera
	}
	if to.Time != nil {
		e.Time = *to.Time
	}
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

// Images iterates over the rows of the images that the filter matches, and what
// is known of them, as they were when it was called, in the order in which they
// were added. The gallery may be changed meanwhile.
func (g *Gallery) Images(f Filter) (iter.Seq2[int, Entry], error) {
	if err := g.enter(); err != nil {
		return nil, err
	}
	defer g.leave()
	m, err := f.compile()
	if err != nil {
		return nil, err
	}
	v := g.store.View()
	m.bind(v)
	return func(yield func(int, Entry) bool) {
		for i := range v.Rows() {
			if !v.IsRemoved(i) && m.matches(v, i) && !yield(i, entryOf(v.Row(i))) {
				return
			}
		}
	}, nil
}

// Note is what SetNote kept last, or nil. It is the caller's; dml keeps there
// which files make the features.
func (g *Gallery) Note() []byte { return append([]byte(nil), g.store.View().Note...) }

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
