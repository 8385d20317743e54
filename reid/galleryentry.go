package reid

import (
	"fmt"
	"math"
	"time"

	"github.com/deepmutual/dml/reid/internal/store"
)

// Entry is an image of a gallery.
type Entry struct {
	// Name of the image, or its path; no two images of a gallery have the same.
	Name string
	// Label; Unknown ones are fine.
	Label
	// Track that the image is of, or "".
	Track string
	// Time when it was taken, from 1678 to 2261. The zero time is unknown.
	Time time.Time
}

// unknownTime is the zero time on disk.
const unknownTime = math.MinInt64

// The numbers of what is unknown on disk.
const (
	unknownPID    = -2
	unknownCamera = -1
)

// idOf is an ID as a gallery stores it.
func idOf(k store.Key, unknown int32) ID {
	switch {
	case k.Text != "":
		return ID(k.Text)
	case k.Number == unknown:
		return Unknown
	}
	return Number(int(k.Number))
}

func (id ID) key(unknown int32) store.Key {
	if id == Unknown {
		return store.Key{Number: unknown}
	}
	if n, ok := id.Number(); ok {
		return store.Key{Number: int32(n)}
	}
	return store.Key{Text: string(id)}
}

func entryOf(r store.Row) Entry {
	e := Entry{Name: r.Name, Label: Label{PID: idOf(r.PID, unknownPID), Camera: idOf(r.Camera, unknownCamera)}, Track: r.Track}
	if r.Time != unknownTime {
		e.Time = time.Unix(0, r.Time).UTC()
	}
	return e
}

// nanoseconds of a time since 1970, if they can be told.
func nanoseconds(t time.Time) (int64, bool) {
	ns := t.UnixNano()
	return ns, time.Unix(0, ns).Equal(t) && ns != unknownTime
}

func (e Entry) row() (store.Row, error) {
	r := store.Row{Name: e.Name, Track: e.Track, PID: e.PID.key(unknownPID), Camera: e.Camera.key(unknownCamera), Time: unknownTime}
	switch {
	case e.Name == "" || len(e.Name) > store.LongestText:
		return r, fmt.Errorf("%w: a name of %d bytes; it must have 1 to %d", ErrLabel, len(e.Name), store.LongestText)
	case len(e.Track) > store.LongestText:
		return r, fmt.Errorf("%w: %.40q: a track of %d bytes; it may have %d", ErrLabel, e.Name, len(e.Track), store.LongestText)
	}
	if err := e.check(true); err != nil {
		return r, fmt.Errorf("%.80q: %w", e.Name, err)
	}
	if !e.Time.IsZero() {
		var ok bool
		if r.Time, ok = nanoseconds(e.Time); !ok {
			return r, fmt.Errorf("%w: %.80q: the time %v is not of the years 1678 to 2261", ErrLabel, e.Name, e.Time)
		}
	}
	return r, nil
}
