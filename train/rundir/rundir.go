// Package rundir keeps a training run in a folder:
//
//	NAME/config.yaml          the configuration, defaults written out
//	NAME/metrics.jsonl        one line an epoch
//	NAME/results.csv          one row a student, then the ensemble
//	NAME/reference.ckpt       preprocessed samples that exports are verified on
//	NAME/STUDENT/last.ckpt    the newest state
//	NAME/STUDENT/best.ckpt    the state of the best validation accuracy
//
// Every file but metrics.jsonl, which grows line by line, is replaced
// atomically.
package rundir

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

	"github.com/goccy/go-yaml"

	"github.com/deepmutual/dml/checkpoint"
	"github.com/deepmutual/dml/internal/atomicfile"
	"github.com/deepmutual/dml/internal/score"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// The two checkpoints of a student.
const (
	Best = "best"
	Last = "last"
)

const (
	configFile    = "config.yaml"
	metricsFile   = "metrics.jsonl"
	resultsFile   = "results.csv"
	referenceFile = "reference.ckpt"
	referenceKind = "reference"
)

// ErrExists is wrapped by Create when the folder holds a run already.
var ErrExists = errors.New("the run exists already")

// Dir is the folder of a run.
type Dir struct {
	path string
	cfg  train.Config
}

// Create makes the folder of a new run under parent, and writes its
// configuration.
func Create(parent string, cfg train.Config) (*Dir, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	d := &Dir{filepath.Join(parent, cfg.Name), cfg}
	if _, err := os.Stat(filepath.Join(d.path, configFile)); err == nil {
		return nil, fmt.Errorf("%s: %w", d.path, ErrExists)
	}
	for _, s := range cfg.Students {
		if err := os.MkdirAll(filepath.Join(d.path, s.Name), 0o755); err != nil {
			return nil, err
		}
	}
	text, err := yaml.Marshal(cfg)
	if err != nil {
		return nil, err
	}
	return d, atomicfile.WriteFile(filepath.Join(d.path, configFile), text, 0o644)
}

// Open finds an existing run.
func Open(path string) (*Dir, error) {
	cfg, err := ReadConfig(filepath.Join(path, configFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no run: it has no %s", path, configFile)
	}
	if err != nil {
		return nil, err
	}
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(path, configFile), err)
	}
	return &Dir{path, cfg}, nil
}

// ReadConfig reads a configuration file, without applying defaults. Unknown
// and repeated keys are errors that point at the line.
func ReadConfig(path string) (train.Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return train.Config{}, err
	}
	var cfg train.Config
	if err := yaml.NewDecoder(bytes.NewReader(text), yaml.Strict()).Decode(&cfg); err != nil {
		return train.Config{}, fmt.Errorf("%s: %s", path, yaml.FormatError(err, false, true))
	}
	return cfg, nil
}

// Path returns the folder.
func (d *Dir) Path() string { return d.path }

// Config returns the run's configuration.
func (d *Dir) Config() train.Config { return d.cfg }

// Students returns the names of the students.
func (d *Dir) Students() []string {
	var names []string
	for _, s := range d.cfg.Students {
		names = append(names, s.Name)
	}
	return names
}

func (d *Dir) checkpointPath(student, which string) string {
	return filepath.Join(d.path, student, which+".ckpt")
}

// Load reads a student's Best or Last checkpoint.
func (d *Dir) Load(student, which string) (train.State, error) {
	path := d.checkpointPath(student, which)
	st, err := train.ReadState(path)
	if errors.Is(err, fs.ErrNotExist) {
		return st, fmt.Errorf("%s does not exist: student %q has no %s checkpoint yet", path, student, which)
	}
	return st, err
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

// SaveLast implements train.Store. All files are complete before the first is
// put in place.
func (d *Dir) SaveLast(states []train.State) error {
	var staged []*checkpoint.Staged
	defer func() {
		for _, s := range staged {
			s.Discard() // of those in place it does nothing
		}
	}()
	for _, st := range states {
		f, err := st.Checkpoint()
		if err != nil {
			return err
		}
		s, err := checkpoint.Stage(d.checkpointPath(st.Name, Last), f)
		if err != nil {
			return err
		}
		staged = append(staged, s)
	}
	for _, s := range staged {
		if err := s.Commit(); err != nil {
			return err
		}
	}
	return nil
}

// SaveBest implements train.Store.
func (d *Dir) SaveBest(st train.State) error {
	f, err := st.Checkpoint()
	if err != nil {
		return err
	}
	return checkpoint.Write(d.checkpointPath(st.Name, Best), f)
}

// Epoch implements train.Store: it appends a line to the metrics.
func (d *Dir) Epoch(report train.EpochReport) error {
	line, err := json.Marshal(report)
	if err != nil {
		return err
	}
	path := filepath.Join(d.path, metricsFile)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	return errors.Join(err, f.Close())
}

// WriteResults writes the table of a run's results.
func (d *Dir) WriteResults(sum train.Summary) error {
	var buf bytes.Buffer
	w := csv.NewWriter(&buf)
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }
	row := func(name, arch, parameters, epoch string, best, last score.Scores) {
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
	return atomicfile.WriteFile(filepath.Join(d.path, resultsFile), buf.Bytes(), 0o644)
}

// WriteReference keeps n preprocessed samples of an input shape.
func (d *Dir) WriteReference(inputs []float32, n int, shape models.Shape) error {
	return checkpoint.Write(filepath.Join(d.path, referenceFile), &checkpoint.File{
		Kind: referenceKind, Header: struct{}{},
		Tensors: []checkpoint.Tensor{{Name: "input", Shape: []int{n, shape.C, shape.H, shape.W}, Data: inputs}},
	})
}

// Reference reads the samples of WriteReference.
func (d *Dir) Reference() (inputs []float32, n int, shape models.Shape, err error) {
	path := filepath.Join(d.path, referenceFile)
	tensors, err := checkpoint.Read(path, referenceKind, &struct{}{})
	if err != nil {
		return nil, 0, models.Shape{}, err
	}
	if len(tensors) != 1 || len(tensors[0].Shape) != 4 {
		return nil, 0, models.Shape{}, fmt.Errorf("%s: %w: it must hold one tensor of 4 dimensions", path, checkpoint.ErrDamaged)
	}
	t := tensors[0]
	return t.Data, t.Shape[0], models.Shape{C: t.Shape[1], H: t.Shape[2], W: t.Shape[3]}, nil
}
