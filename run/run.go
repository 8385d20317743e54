package run

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/run/internal/folder"
	"github.com/deepmutual/dml/train"
)

// The two checkpoints that every student of a run has.
const (
	Best = folder.Best // of the best validation accuracy, of equal ones of the lowest NLL
	Last = folder.Last // the newest
)

// Errors of Start, Resume and Open; test with errors.Is. See train.ErrOtherRun
// and train.ErrDrift, too.
var (
	// ErrExists says that the folder holds a run already.
	ErrExists = folder.ErrExists
	// ErrBusy says that another process trains in the folder.
	ErrBusy = folder.ErrBusy
	// ErrReplaced says that a run's folder was moved, or another put in its place,
	// while it was trained in: nothing was written there.
	ErrReplaced = folder.ErrReplaced
	// ErrNoState says that there is no moment of which every student has a state
	// that can be used.
	ErrNoState = folder.ErrNoState
	// ErrNoRun says that a folder is not that of a run.
	ErrNoRun = errors.New("not a run")
)

// Run is a training in a folder. One that Start or Resume has given trains;
// every one tells what it holds, evaluates and exports. Nothing of it may be
// used by two goroutines at once.
type Run struct {
	dir *folder.Dir
	cfg Config
	job *job // nil for a run that is only read
	// recovery is how the run was taken up, of Resume.
	recovery Recovery
}

// Open opens the run in a folder, to read, evaluate and export it. It may be
// under training.
func Open(path string) (*Run, error) {
	cfg, err := ReadConfig(filepath.Join(path, folder.ConfigFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w: there is no %s", path, ErrNoRun, folder.ConfigFile)
	}
	if err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(path, folder.ConfigFile), err)
	}
	return &Run{dir: folder.Open(path, cfg.studentNames()), cfg: cfg}, nil
}

// isRun reports whether a folder is that of a run.
func isRun(path string) bool {
	_, err := os.Stat(filepath.Join(path, folder.ConfigFile))
	return !errors.Is(err, fs.ErrNotExist)
}

func (c Config) studentNames() []string {
	var names []string
	for _, s := range c.Students {
		names = append(names, s.Name)
	}
	return names
}

// Path returns the folder.
func (r *Run) Path() string { return r.dir.Path() }

// Config returns the configuration, its defaults written out.
func (r *Run) Config() Config { return r.cfg }

// Students returns the names of the students.
func (r *Run) Students() []string { return slices.Clone(r.dir.Students()) }

// State reads the Best or Last state of a student.
func (r *Run) State(student, which string) (train.State, error) {
	if names := r.dir.Students(); !slices.Contains(names, student) {
		return train.State{}, fmt.Errorf("%s has no student %q; its students are %s", r.Path(), student, strings.Join(names, ", "))
	}
	return r.dir.Load(student, which)
}

// States reads the Best or Last state of every student.
func (r *Run) States(which string) ([]train.State, error) { return r.dir.LoadAll(which) }

// Checkpoint returns the path of a student's Best or Last state.
func (r *Run) Checkpoint(student, which string) string { return r.dir.Checkpoint(student, which) }

// Saved returns how far the newest states are: the finished epochs, and the
// finished steps of the epoch under way.
func (r *Run) Saved() (epoch, step int, err error) { return r.dir.Saved() }

// Samples are preprocessed images.
type Samples struct {
	N      int
	Shape  models.Shape
	Inputs []float32 // [N, Shape.C, Shape.H, Shape.W]
}

// Reference reads the samples of the validation part that exports are verified
// on.
func (r *Run) Reference() (Samples, error) {
	inputs, n, shape, err := r.dir.Reference()
	return Samples{n, shape, inputs}, err
}

// Metrics reads the reports of the finished epochs.
func (r *Run) Metrics() ([]train.EpochReport, error) {
	return readLines[train.EpochReport](filepath.Join(r.Path(), folder.MetricsFile))
}

// Event is something that happened to a run.
type Event struct {
	Event  string `json:"event"` // resumed, refused, drift, stopped or diverged
	Epoch  int    `json:"epoch"` // finished epochs
	Step   int    `json:"step"`  // finished steps of the epoch under way
	Detail string `json:"detail,omitempty"`
}

// Events reads what happened to the run, in order.
func (r *Run) Events() ([]Event, error) {
	return readLines[Event](filepath.Join(r.Path(), folder.EventsFile))
}

// readLines reads a file of a JSON value a line; the last may be under way.
func readLines[T any](path string) ([]T, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var out []T
	for lines := bufio.NewReader(bytes.NewReader(text)); ; {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return out, nil
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", path, len(out)+1, err)
		}
		out = append(out, v)
	}
}

// Data says what the data of a run that was started or resumed was taken for.
func (r *Run) Data() dataset.Report {
	if r.job == nil {
		return dataset.Report{}
	}
	return r.job.data
}

// Close gives the folder back, and frees what trained. A run that was only read
// need not be closed.
func (r *Run) Close() error { return errors.Join(r.job.close(), r.dir.Close()) }
