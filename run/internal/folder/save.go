package folder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/deepmutual/dml/checkpoint"
	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/train"
)

// committed is the content of progress.json.
type committed struct {
	Epoch int `json:"epoch"` // finished epochs
	Step  int `json:"step"`  // finished steps of the epoch under way
}

func (c committed) holds(p train.Progress) bool { return c.Epoch == p.Epoch && c.Step == p.Step }

func (c committed) before(other committed) bool {
	return c.Epoch < other.Epoch || c.Epoch == other.Epoch && c.Step < other.Step
}

// Save implements train.Store.
func (d *Dir) Save(states []train.State) error {
	if err := d.held(); err != nil {
		return err
	}
	if err := d.settle(); err != nil { // of a Save before that failed half-way
		return err
	}
	before, err := d.progress()
	if err != nil {
		return err
	}
	for _, st := range states {
		if err := d.write(st, next); err != nil {
			return errors.Join(err, d.removeNext())
		}
	}
	if err := d.held(); err != nil { // what is there now is not this run's, nor to be tidied
		return err
	}
	at := committed{states[0].Progress.Epoch, states[0].Progress.Step}
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	if err := files.WriteFile(d.file(progressFile), append(text, '\n'), 0o644); err != nil {
		return errors.Join(err, d.removeNext())
	}
	for _, st := range states {
		if st.IsBest() {
			if err := d.write(st, Best); err != nil {
				return err
			}
		}
		if err := d.promote(st.Name, before != at); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dir) write(st train.State, which string) error {
	f, err := st.Checkpoint()
	if err != nil {
		return err
	}
	return checkpoint.Write(d.Checkpoint(st.Name, which), f)
}

// promote makes a committed next.ckpt the last, and the last the previous if it
// is of another moment.
func (d *Dir) promote(student string, moved bool) error {
	last := d.Checkpoint(student, Last)
	if moved {
		if err := os.Rename(last, d.Checkpoint(student, previous)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(d.Checkpoint(student, next), last)
}

func (d *Dir) removeNext() error {
	var errs []error
	for _, student := range d.Students() {
		if err := os.Remove(d.Checkpoint(student, next)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// progress reads what is committed; before the first commit, nothing is.
func (d *Dir) progress() (committed, error) {
	at := committed{Epoch: -1}
	text, err := os.ReadFile(d.file(progressFile))
	if errors.Is(err, fs.ErrNotExist) {
		return at, nil
	}
	if err != nil {
		return at, err
	}
	if err := json.Unmarshal(text, &at); err != nil {
		return at, fmt.Errorf("%s: %w: %w", d.file(progressFile), checkpoint.ErrDamaged, err)
	}
	return at, nil
}

// committedNext returns a student's next.ckpt if there is one and it was
// committed, else nil.
func (d *Dir) committedNext(student string) (*train.State, error) {
	at, err := d.progress()
	if err != nil {
		return nil, err
	}
	st, err := ReadState(d.Checkpoint(student, next))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil || !at.holds(st.Progress) {
		return nil, err
	}
	return &st, nil
}

// settle finishes a save that was committed and takes back one that was not. An
// error leaves everything to be settled another time.
func (d *Dir) settle() error {
	for _, student := range d.Students() {
		st, err := d.committedNext(student)
		if err != nil {
			return err
		}
		if st != nil {
			if st.IsBest() {
				if err := d.write(*st, Best); err != nil {
					return err
				}
			}
			if err := d.promote(student, true); err != nil {
				return err
			}
		}
	}
	return d.removeNext()
}

// removeLeftovers deletes the temporary files that killed trainers left. Other
// folders of the run, such as that of exports, are not the trainer's.
func (d *Dir) removeLeftovers() error {
	var errs []error
	for _, folder := range append(d.Students(), ".") {
		entries, err := os.ReadDir(d.file(folder))
		errs = append(errs, err)
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") && strings.HasSuffix(e.Name(), ".tmp") {
				errs = append(errs, os.Remove(filepath.Join(d.file(folder), e.Name())))
			}
		}
	}
	return errors.Join(errs...)
}

// cutMetrics drops the lines of epochs that are not part of the newest state,
// and a line that a killed process did not finish.
func (d *Dir) cutMetrics(epochs int) error {
	text, err := os.ReadFile(d.file(MetricsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept []byte
	number := 0
	for line := range bytes.Lines(text) {
		number++
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var report train.EpochReport
		if err := json.Unmarshal(line, &report); err != nil {
			return fmt.Errorf("%s, line %d is not the report of an epoch: %w; mend or remove the line to go on", d.file(MetricsFile), number, err)
		}
		if report.Epoch > epochs {
			break
		}
		kept = append(kept, line...)
	}
	if len(kept) == len(text) {
		return nil
	}
	return files.WriteFile(d.file(MetricsFile), kept, 0o644)
}
