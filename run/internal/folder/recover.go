package folder

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/train"
)

// refusedSuffix is added to the name of a checkpoint that could not be used.
const refusedSuffix = ".refused"

// ErrNoState is wrapped by Recover where there is no moment of which every
// student has a state that can be used.
var ErrNoState = errors.New("no state to go on from")

// Recovery says where a run goes on.
type Recovery struct {
	// Epoch and Step are the finished epochs, and the finished steps of the epoch
	// under way.
	Epoch, Step int
	// Refused says of each checkpoint that is damaged or of another run why; it
	// was renamed, with ".refused" added. Where it was one of the newest, the run
	// goes on from the last good state before.
	Refused []error
}

// candidate is a checkpoint that a run could go on from.
type candidate struct {
	which string
	at    committed
	best  bool
}

// Recover returns the newest states that every student has of one moment, and
// makes them the last: it finishes or takes back what a killed process was
// saving, removes its temporary files, and cuts the metrics to the finished
// epochs. A checkpoint that is damaged, or that accept (if not nil) returns an
// error for, is not used. On an error, which gives all reasons and wraps ErrNoState,
// nothing has changed.
func (d *Dir) Recover(accept func(train.State) error) ([]train.State, Recovery, error) {
	if accept == nil {
		accept = func(train.State) error { return nil }
	}
	s := survey{dir: d, accept: accept, found: make(map[string][]candidate), refused: make(map[string]error)}
	at, ok := s.newest(next, Last)
	newest := len(s.order)
	if !ok {
		at, ok = s.newest(previous, Best)
	}
	switch err := s.look(Best); {
	case err != nil:
		return nil, Recovery{}, err
	case !ok:
		return nil, Recovery{}, fmt.Errorf("%s: %w:\n%w", d.path, ErrNoState, s.hopeless(newest))
	}
	if err := errors.Join(d.removeLeftovers(), d.cutMetrics(at.Epoch), s.restore(at)); err != nil {
		return nil, Recovery{}, err
	}
	states, err := d.LoadAll(Last)
	return states, Recovery{Epoch: at.Epoch, Step: at.Step, Refused: s.reasons()}, err
}

// survey is what Recover finds.
type survey struct {
	dir     *Dir
	accept  func(train.State) error
	looked  []string
	found   map[string][]candidate // by student
	refused map[string]error       // by path
	order   []string               // of the paths in refused
	failed  error                  // of the file system
}

// look reads a checkpoint of every student, unless it did before. It returns the
// errors of the file system so far.
func (s *survey) look(which string) error {
	if slices.Contains(s.looked, which) {
		return s.failed
	}
	s.looked = append(s.looked, which)
	for _, student := range s.dir.Students() {
		path := s.dir.Checkpoint(student, which)
		st, err := ReadState(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if pathError := (*fs.PathError)(nil); errors.As(err, &pathError) {
			s.failed = errors.Join(s.failed, err)
			continue
		}
		if err == nil && st.Name != student {
			err = fmt.Errorf("%s: it is of student %q", path, st.Name)
		}
		if err == nil {
			if err = s.accept(st); err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
		}
		if err != nil {
			s.refused[path] = err
			s.order = append(s.order, path)
			continue
		}
		s.found[student] = append(s.found[student], candidate{which, committed{st.Progress.Epoch, st.Progress.Step}, st.IsBest()})
	}
	return s.failed
}

func (s *survey) reasons() []error {
	var out []error
	for _, path := range s.order {
		out = append(out, s.refused[path])
	}
	return out
}

// hopeless says why there is no moment to go on from, given how many of the
// refused checkpoints are of the newest moment. That older ones are of another
// run, too, adds nothing.
func (s *survey) hopeless(newest int) error {
	var out []error
	refused := make(map[string]bool) // by folder
	for i, err := range s.reasons() {
		refused[filepath.Dir(s.order[i])] = true
		if i < newest || !errors.Is(err, train.ErrOtherRun) {
			out = append(out, err)
		}
	}
	for _, student := range s.dir.Students() {
		if folder := s.dir.file(student); len(s.found[student]) == 0 && !refused[folder] {
			out = append(out, fmt.Errorf("%s holds no checkpoint of student %q", folder, student))
		}
	}
	if out == nil {
		out = append(out, errors.New("no two students have checkpoints of the same moment"))
	}
	return errors.Join(out...)
}

// newest looks at more checkpoints and returns the newest moment of which every
// student has one.
func (s *survey) newest(which ...string) (committed, bool) {
	for _, w := range which {
		if s.look(w) != nil {
			return committed{}, false
		}
	}
	var best committed
	ok := false
	students := s.dir.Students()
	for _, c := range s.found[students[0]] {
		everyone := true
		for _, student := range students {
			_, has := s.of(student, c.at)
			everyone = everyone && has
		}
		if everyone && (!ok || best.before(c.at)) {
			best, ok = c.at, true
		}
	}
	return best, ok
}

// of returns a student's checkpoint of a moment.
func (s *survey) of(student string, at committed) (candidate, bool) {
	for _, c := range s.found[student] {
		if c.at == at {
			return c, true
		}
	}
	return candidate{}, false
}

// restore makes the checkpoints of a moment the last. A process killed on the
// way leaves a folder that is recovered to the same moment.
func (s *survey) restore(at committed) error {
	d := s.dir
	for _, path := range s.order {
		if err := os.Rename(path, path+refusedSuffix); err != nil {
			return err
		}
	}
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	if now, err := d.progress(); err != nil || now != at {
		if err := files.WriteFile(d.file(progressFile), append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	for _, student := range d.Students() {
		c, _ := s.of(student, at)
		_, lostBest := s.refused[d.Checkpoint(student, Best)]
		if c.which == Last && !(c.best && lostBest) {
			continue
		}
		st, err := ReadState(d.Checkpoint(student, c.which))
		if err != nil {
			return err
		}
		if c.best && (c.which == next || lostBest) {
			if err := d.write(st, Best); err != nil {
				return err
			}
		}
		switch c.which {
		case next:
			err = d.promote(student, true)
		case previous:
			err = os.Rename(d.Checkpoint(student, previous), d.Checkpoint(student, Last))
		case Best:
			err = d.write(st, Last)
		}
		if err != nil {
			return err
		}
	}
	return d.removeNext()
}
