package reid

import (
	"fmt"
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
