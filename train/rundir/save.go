package rundir

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/checkpoint"
	"github.com/deepmutual/dml/internal/atomicfile"
	"github.com/deepmutual/dml/train"
)

// committed is the content of progress.json.
type committed struct {
	Epoch int `json:"epoch"` // finished epochs
	Step  int `json:"step"`  // finished steps of the epoch under way
}

func (c committed) holds(p train.Progress) bool { return c.Epoch == p.Epoch && c.Step == p.Step }

// SaveLast implements train.Store.
func (d *Dir) SaveLast(states []train.State) error {
	for _, st := range states {
		if err := d.write(st, next); err != nil {
			return errors.Join(err, d.removeNext())
		}
	}
	at := committed{states[0].Progress.Epoch, states[0].Progress.Step}
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	if err := atomicfile.WriteFile(d.file(progressFile), append(text, '\n'), 0o644); err != nil {
		return errors.Join(err, d.removeNext())
	}
	return d.promote()
}

// SaveBest implements train.Store.
func (d *Dir) SaveBest(st train.State) error { return d.write(st, Best) }

func (d *Dir) write(st train.State, which string) error {
	f, err := st.Checkpoint()
	if err != nil {
		return err
	}
	return checkpoint.Write(d.checkpointPath(st.Name, which), f)
}

// promote makes every committed next.ckpt the last.
func (d *Dir) promote() error {
	for _, student := range d.Students() {
		err := os.Rename(d.checkpointPath(student, next), d.checkpointPath(student, Last))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (d *Dir) removeNext() error {
	var errs []error
	for _, student := range d.Students() {
		if err := os.Remove(d.checkpointPath(student, next)); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// progress reads what is committed.
func (d *Dir) progress() (committed, error) {
	var at committed
	text, err := os.ReadFile(d.file(progressFile))
	if err != nil {
		return at, err
	}
	if err := json.Unmarshal(text, &at); err != nil {
		return at, fmt.Errorf("%s: %w: %w", d.file(progressFile), checkpoint.ErrDamaged, err)
	}
	return at, nil
}

// committedNext returns a student's next.ckpt if it was committed but not
// moved.
func (d *Dir) committedNext(student string) (train.State, bool) {
	at, err := d.progress()
	if err != nil {
		return train.State{}, false
	}
	st, err := train.ReadState(d.checkpointPath(student, next))
	return st, err == nil && at.holds(st.Progress)
}

// recover finishes a save that was committed, takes back one that was not, and
// cuts the metrics to the finished epochs.
func (d *Dir) recover() error {
	for _, student := range d.Students() {
		if _, ok := d.committedNext(student); ok {
			if err := os.Rename(d.checkpointPath(student, next), d.checkpointPath(student, Last)); err != nil {
				return err
			}
		}
	}
	if err := d.removeNext(); err != nil {
		return err
	}
	if err := d.removeLeftovers(); err != nil {
		return err
	}
	at, err := d.progress()
	if err != nil {
		return err
	}
	return d.cutMetrics(at.Epoch)
}

// removeLeftovers deletes the temporary files of killed processes.
func (d *Dir) removeLeftovers() error {
	var errs []error
	for _, pattern := range []string{".*.tmp", filepath.Join("*", ".*.tmp")} {
		matches, err := filepath.Glob(filepath.Join(escapeGlob(d.path), pattern))
		errs = append(errs, err)
		for _, path := range matches {
			errs = append(errs, os.Remove(path))
		}
	}
	return errors.Join(errs...)
}

// escapeGlob makes a path match only itself.
func escapeGlob(path string) string {
	var out bytes.Buffer
	for _, r := range []byte(path) {
		if bytes.IndexByte([]byte(`*?[\`), r) >= 0 && filepath.Separator != '\\' {
			out.WriteByte('\\')
		}
		out.WriteByte(r)
	}
	return out.String()
}

// cutMetrics drops the lines of epochs that are not part of the newest state,
// and a line that a killed process did not finish.
func (d *Dir) cutMetrics(epochs int) error {
	text, err := os.ReadFile(d.file(metricsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var kept []byte
	for line := range bytes.Lines(text) {
		var report train.EpochReport
		if !bytes.HasSuffix(line, []byte("\n")) || json.Unmarshal(line, &report) != nil || report.Epoch > epochs {
			break
		}
		kept = append(kept, line...)
	}
	if len(kept) == len(text) {
		return nil
	}
	return atomicfile.WriteFile(d.file(metricsFile), kept, 0o644)
}
