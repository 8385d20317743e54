package reid

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/deepmutual/dml/reid/internal/store"
)

// Filter selects images of a gallery: those that match all of its fields. The zero
// value matches all images.
type Filter struct {
	// Names, PIDs and Cameras that match. Empty: all, unknown ones too. Unknown is
	// accepted.
	Names         []string
	PIDs, Cameras []ID
	// NotPIDs and NotCameras do not match.
	NotPIDs, NotCameras []ID
	// Since and Until bound the time: at least Since, and before Until. The zero
	// time is not a bound. With a bound, images of unknown time do not match.
	Since, Until time.Time
}

// Validate reports all faults of the filter, joined.
func (f Filter) Validate() error {
	_, err := f.compile()
	return err
}

// matcher is a Filter made ready; bind readies it for a view.
type matcher struct {
	names               map[string]bool
	pids, cameras       ids
	notPIDs, notCameras ids
	since, until        int64 // nanoseconds
	timed               bool
}

// ids are some that a filter names.
type ids struct {
	keys  []store.Key
	codes []int32 // of those that the view has, ascending, without repetitions
}

func (s *ids) bind(v *store.View) {
	s.codes = v.Codes(s.keys)
	slices.Sort(s.codes)
	s.codes = slices.Compact(s.codes)
}

// bind looks up the IDs in a view.
func (m *matcher) bind(v *store.View) {
	for _, s := range [...]*ids{&m.pids, &m.cameras, &m.notPIDs, &m.notCameras} {
		s.bind(v)
	}
}

func (f Filter) compile() (*matcher, error) {
	var errs []error
	ids := func(unknown int32, values []ID, check func(ID) error) ids {
		out := ids{keys: make([]store.Key, len(values))}
		for i, v := range values {
			if err := check(v); err != nil {
				errs = append(errs, fmt.Errorf("%w: %w", ErrOptions, err))
			}
			out.keys[i] = v.key(unknown)
		}
		return out
	}
	m := &matcher{
		pids: ids(unknownPID, f.PIDs, ID.checkIdentity), notPIDs: ids(unknownPID, f.NotPIDs, ID.checkIdentity),
		cameras: ids(unknownCamera, f.Cameras, ID.checkCamera), notCameras: ids(unknownCamera, f.NotCameras, ID.checkCamera),
		since: math.MinInt64, until: math.MaxInt64,
	}
	if len(f.Names) > 0 {
		m.names = make(map[string]bool, len(f.Names))
		for _, name := range f.Names {
			m.names[name] = true
		}
	}
	for _, bound := range []struct {
		what string
		t    time.Time
		to   *int64
	}{{"since", f.Since, &m.since}, {"until", f.Until, &m.until}} {
		if bound.t.IsZero() {
			continue
		}
		m.timed = true
		var ok bool
		if *bound.to, ok = nanoseconds(bound.t); !ok {
			errs = append(errs, fmt.Errorf("%w: %s: the time %v is not of the years 1678 to 2261", ErrOptions, bound.what, bound.t))
		}
	}
	if m.timed && m.since >= m.until {
		errs = append(errs, fmt.Errorf("%w: no time is at least %v and before %v", ErrOptions, f.Since, f.Until))
	}
	return m, errors.Join(errs...)
}

// all reports whether the matcher takes every image.
func (m *matcher) all() bool {
	return m.names == nil && !m.timed && len(m.pids.keys)+len(m.cameras.keys)+len(m.notPIDs.keys)+len(m.notCameras.keys) == 0
}

func (m *matcher) matches(v *store.View, row int) bool {
	return passes(m.pids, m.notPIDs, v.PIDs[row]) && passes(m.cameras, m.notCameras, v.Cameras[row]) &&
		(!m.timed || v.Times[row] != unknownTime && v.Times[row] >= m.since && v.Times[row] < m.until) &&
		(m.names == nil || m.names[v.Names[row]])
}

// passes reports whether only, if it is not empty, has the id, and not has not.
func passes(only, not ids, id int32) bool {
	return (len(only.keys) == 0 || contains(only.codes, id)) && (len(not.keys) == 0 || !contains(not.codes, id))
}

// contains searches ascending ids.
func contains(ids []int32, id int32) bool {
	if len(ids) <= 8 {
		return slices.Contains(ids, id)
	}
	_, found := slices.BinarySearch(ids, id)
	return found
}

// word returns which of the 64 rows from 64 i on match and are not removed.
func (m *matcher) word(v *store.View, i int) uint64 {
	w := ^v.Removed[i]
	if rest := v.Rows() - 64*i; rest < 64 {
		w &= 1<<rest - 1
	}
	if m.all() {
		return w
	}
	var out uint64
	for bit := range min(64, v.Rows()-64*i) {
		if w>>bit&1 != 0 && m.matches(v, 64*i+bit) {
			out |= 1 << bit
		}
	}
	return out
}
