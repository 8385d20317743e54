// Package folder keeps the files of a training run:
//
//	NAME/config.yaml          the configuration, defaults written out
//	NAME/metrics.jsonl        one line an epoch
//	NAME/results.csv          one row a student, then the ensemble
//	NAME/reference.ckpt       preprocessed samples that exports are verified on
//	NAME/progress.json        how far the newest states of all students are
//	NAME/events.jsonl         what befell the run: stops, refused checkpoints
//	NAME/STUDENT/last.ckpt    the newest state
//	NAME/STUDENT/previous.ckpt  the newest before, in case the last is damaged
//	NAME/STUDENT/best.ckpt    the state of the best validation accuracy
//	NAME/STUDENT/init.json    what the student's initial weights were loaded from
//	NAME/lock                 held by the process that trains
//
// Every file but metrics.jsonl and events.jsonl, which grow line by line, is replaced
// atomically. The newest states of all students change together: they are
// written as next.ckpt, replacing progress.json commits them, and only then do
// they become last.ckpt, and what that was previous.ckpt. A process killed at any
// moment leaves a folder whose saving [Dir.Recover] finishes or takes back. It
// also passes over checkpoints that are damaged or of another run.
package folder

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/deepmutual/dml/checkpoint"
	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// ConfigFile is the name of the file by which a folder is known as that of a run.
const ConfigFile = "config.yaml"

// The two checkpoints of a student.
const (
	Best = "best"
	Last = "last"
)

const (
	MetricsFile   = "metrics.jsonl"
	resultsFile   = "results.csv"
	referenceFile = "reference.ckpt"
	referenceKind = "reference"
	progressFile  = "progress.json"
	lockFile      = "lock"
	initFile      = "init.json"
	EventsFile    = "events.jsonl"
	next          = "next"     // a newest state that is not yet committed or moved
	previous      = "previous" // the newest state before the last
)

// Errors of Create and Lock; test with errors.Is.
var (
	// ErrExists says that the folder holds a run already.
	ErrExists = errors.New("the run exists already")
	// ErrBusy says that another process trains in the folder.
	ErrBusy = errors.New("another process is training in this folder")
	// ErrReplaced says that the folder that is trained in was moved, or another put
	// in its place. What fails with it has written nothing.
	ErrReplaced = errors.New("the run's folder was moved or replaced while it was trained in")
)

// Dir is the folder of a run.
type Dir struct {
	path     string
	students []string      // by name
	locked   *files.Folder // nil for readers
}

// Open returns the folder of a run with these students, to read from. It looks
// at no file.
func Open(path string, students []string) *Dir { return &Dir{path: path, students: students} }

// Create claims the folder of a new run. The run exists once Begin has written
// its first state; what an earlier Create left behind without that is written
// over. Close gives the folder back.
func Create(path string, students []string) (*Dir, error) {
	d := Open(path, students)
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return nil, fmt.Errorf("the folder of the run cannot be made: %w", err)
	}
	if err := d.Lock(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(d.file(ConfigFile)); err == nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", d.path, ErrExists), d.Close())
	}
	for _, name := range students {
		if err := os.MkdirAll(filepath.Join(d.path, name), 0o755); err != nil {
			return nil, errors.Join(fmt.Errorf("the folder of the run cannot be made: %w", err), d.Close())
		}
	}
	return d, nil
}

// Discard removes a run that Create claimed and that shall not be, and gives
// its folder back. The lock goes last, so that nobody else can begin there
// before.
func (d *Dir) Discard() error {
	if err := d.held(); err != nil { // whatever is there now is somebody else's
		return errors.Join(err, d.Close())
	}
	entries, err := os.ReadDir(d.path)
	errs := []error{err}
	for _, e := range entries {
		if e.Name() != lockFile {
			errs = append(errs, os.RemoveAll(d.file(e.Name())))
		}
	}
	errs = append(errs, os.Remove(d.file(lockFile)), os.Remove(d.path))
	return errors.Join(append(errs, d.Close())...)
}

// Begin writes the state before the first step, and then the configuration.
func (d *Dir) Begin(states []train.State, config []byte) error {
	if err := d.removeLeftovers(); err != nil {
		return err
	}
	if err := d.Save(states); err != nil {
		return err
	}
	return d.WriteConfig(config)
}

// WriteConfig replaces the configuration.
func (d *Dir) WriteConfig(config []byte) error {
	if err := d.held(); err != nil {
		return err
	}
	return files.WriteFile(d.file(ConfigFile), config, 0o644)
}

// Lock claims the folder to train on (on Unix; other systems keep nobody out).
// Recover then brings it to a state to go on from. Close gives the folder back,
// as the end of the process does.
func (d *Dir) Lock() error {
	held, err := files.OpenFolder(d.path)
	if err != nil {
		return err
	}
	if err := held.Lock(lockFile); err != nil {
		if errors.Is(err, files.ErrHeld) {
			err = fmt.Errorf("%s: %w", d.path, ErrBusy)
		}
		return errors.Join(err, held.Close())
	}
	d.locked = held
	return nil
}

// held fails with ErrReplaced unless the folder at the path, and the lock in it,
// are those that are held: a lock binds a folder wherever it is moved, while files
// are written by path.
func (d *Dir) held() error {
	if d.locked == nil {
		return nil
	}
	err := d.locked.Check()
	if errors.Is(err, files.ErrReplaced) {
		return fmt.Errorf("%w: %w", ErrReplaced, err)
	}
	return err
}

// Path returns the folder.
func (d *Dir) Path() string { return d.path }

// Students returns the names of the students.
func (d *Dir) Students() []string { return d.students }

func (d *Dir) file(name string) string { return filepath.Join(d.path, name) }

// Load reads a student's Best or Last checkpoint.
func (d *Dir) Load(student, which string) (train.State, error) {
	path := d.Checkpoint(student, which)
	if which == Last {
		st, err := d.committedNext(student)
		if err != nil {
			return train.State{}, err
		}
		if st != nil {
			return *st, nil
		}
	}
	st, err := ReadState(path)
	if errors.Is(err, fs.ErrNotExist) {
		return st, fmt.Errorf("%s does not exist: student %q has no %s checkpoint yet", path, student, which)
	}
	return st, err
}

// ReadState reads a student's checkpoint. Errors name the file; see
// checkpoint.Decode for what they wrap.
func ReadState(path string) (train.State, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return train.State{}, err
	}
	st, err := train.ParseState(data)
	if err != nil {
		return train.State{}, fmt.Errorf("%s: %w", path, err)
	}
	return st, nil
}

// LoadAll reads the Best or Last checkpoint of every student.
func (d *Dir) LoadAll(which string) ([]train.State, error) {
	var states []train.State
	for _, name := range d.Students() {
		st, err := d.Load(name, which)
		if err != nil {
			return nil, err
		}
		states = append(states, st)
	}
	return states, nil
}

// Epoch implements train.Store: it appends a line to the metrics.
func (d *Dir) Epoch(report train.EpochReport) error { return d.appendLine(MetricsFile, report) }

// Record appends an event to the run's report.
func (d *Dir) Record(event any) error { return d.appendLine(EventsFile, event) }

// Saved returns the finished epochs, and the finished steps of the epoch under
// way, of the newest states.
func (d *Dir) Saved() (epoch, step int, err error) {
	at, err := d.progress()
	return at.Epoch, at.Step, err
}

// Checkpoint returns the path of a student's Best or Last checkpoint.
func (d *Dir) Checkpoint(student, which string) string {
	return filepath.Join(d.path, student, which+".ckpt")
}

// appendLine writes a line behind the last whole one: what a full disk, or the
// end of the process, left of a line is cut, so that no two are glued together.
func (d *Dir) appendLine(file string, content any) error {
	if err := d.held(); err != nil {
		return err
	}
	line, err := json.Marshal(content)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(d.file(file), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	end, err := wholeLines(f)
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.WriteAt(append(line, '\n'), end)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// wholeLines is where the last line of a file ends.
func wholeLines(f *os.File) (end int64, err error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	part := make([]byte, 4096)
	for end = info.Size(); end > 0; {
		from := max(0, end-int64(len(part)))
		if _, err := f.ReadAt(part[:end-from], from); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(part[:end-from], '\n'); i >= 0 {
			return from + int64(i) + 1, nil
		}
		end = from
	}
	return 0, nil
}

// WriteResults writes the table of a run's results.
func (d *Dir) WriteResults(sum train.Summary) error {
	if err := d.held(); err != nil {
		return err
	}
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	row := func(name, arch, parameters, epoch string, best, last train.Scores) {
		w.Write([]string{name, arch, parameters, epoch, number(best.Accuracy),
			number(last.Accuracy), number(last.NLL), number(last.Entropy)})
	}
	w.Write([]string{"student", "architecture", "parameters", "best_epoch", "best_validation_accuracy",
		"last_validation_accuracy", "last_validation_nll", "last_validation_entropy"})
	for _, s := range sum.Students {
		row(s.Name, s.Arch, strconv.Itoa(s.Parameters), strconv.Itoa(s.BestEpoch), s.Best, s.Last)
	}
	if len(sum.Students) > 1 {
		row("ensemble", "", "", "", sum.Ensemble, sum.Ensemble)
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return err
	}
	return files.WriteFile(d.file(resultsFile), buf.Bytes(), 0o644)
}

// WriteReference keeps n preprocessed samples of an input shape.
func (d *Dir) WriteReference(inputs []float32, n int, shape models.Shape) error {
	if err := d.held(); err != nil {
		return err
	}
	return checkpoint.Write(d.file(referenceFile), &checkpoint.File{
		Kind: referenceKind, Header: struct{}{},
		Tensors: []checkpoint.Tensor{{Name: "input", Shape: []int{n, shape.C, shape.H, shape.W}, Data: inputs}},
	})
}

// Reference reads the samples of WriteReference.
func (d *Dir) Reference() (inputs []float32, n int, shape models.Shape, err error) {
	path := d.file(referenceFile)
	tensors, err := checkpoint.Read(path, referenceKind, &struct{}{})
	if err != nil {
		return nil, 0, models.Shape{}, fmt.Errorf("the samples that exports are verified on: %w", err)
	}
	if len(tensors) != 1 || len(tensors[0].Shape) != 4 {
		return nil, 0, models.Shape{}, fmt.Errorf("%s: %w: it must hold one tensor of 4 dimensions", path, checkpoint.ErrDamaged)
	}
	t := tensors[0]
	return t.Data, t.Shape[0], models.Shape{C: t.Shape[1], H: t.Shape[2], W: t.Shape[3]}, nil
}

// WriteInit keeps, as JSON, the reports of where students' initial weights were
// loaded from, by the students' names. Students without one keep none.
func (d *Dir) WriteInit(reports map[string]any) error {
	if err := d.held(); err != nil {
		return err
	}
	for _, student := range d.Students() {
		path := filepath.Join(d.path, student, initFile)
		report, ok := reports[student]
		if !ok {
			if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			continue
		}
		text, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		if err := files.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// Close gives the folder back. A reader's Close does nothing.
func (d *Dir) Close() error {
	if d.locked == nil {
		return nil
	}
	err := d.locked.Close()
	d.locked = nil
	return err
}
