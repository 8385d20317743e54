package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/run/internal/folder"
	"github.com/deepmutual/dml/train"
)

// Options of Start, Resume and Measure. The zero value is usable.
type Options struct {
	// Folder that Start makes the run's folder in; default: runs.
	Folder string
	// Data to train on, in place of those at the configuration's data.path, which
	// then is only a name; default: theirs. Whoever resumes the run must give them
	// again.
	Data *dataset.Splits
	// Backend to compute with; default: that which the configuration names.
	Backend *train.Backend
	// Teacher of mode distill, in place of that at the configuration's
	// teacher.path, which then is only a name; default: the teacher's. Whoever
	// resumes the run must give it again.
	Teacher train.Teacher
	// Change alters the configuration of a run that is resumed: what Settings
	// marks by Resume, without which it is another run. More epochs extend it, with
	// the schedule of the learning rate that it has; data may have moved.
	Change func(*Config) error
	// InitPartial lets students start from files that fit less than half of them, or
	// compute something else with them, see warmstart.Options.Partial.
	InitPartial bool
	// AllowDrift lets Resume go on with other threads, or another backend, library
	// or processor, from which the run does not come to the bits that it would
	// have come to.
	AllowDrift bool
}

// job is what a run needs to train.
type job struct {
	session *train.Session
	backend *train.Backend
	teacher ownTeacher // nil without one that the run has opened
	initial []Initial
	data    dataset.Report
}

func (j *job) close() error {
	if j == nil {
		return nil
	}
	var errs []error
	if j.session != nil {
		errs = append(errs, j.session.Close())
	}
	if j.teacher != nil {
		errs = append(errs, j.teacher.Close())
	}
	j.session, j.teacher = nil, nil
	return errors.Join(errs...)
}

// prepare opens all that a configuration names and makes its session. Of a run
// that goes on it reads no initial weights.
func prepare(ctx context.Context, cfg Config, opts Options, sources sources) (_ *job, failure error) {
	j := &job{backend: opts.Backend}
	defer func() {
		if failure != nil {
			failure = errors.Join(failure, j.close())
		}
	}()
	var data dataset.Splits
	var err error
	if opts.Data != nil {
		data = *opts.Data
	} else if data, err = cfg.OpenData(); err != nil {
		return nil, err
	}
	j.data = data.Report
	if j.backend == nil {
		if j.backend, err = train.OpenBackend(cfg.Backend); err != nil {
			return nil, err
		}
	}
	values, options, err := cfg.Training(data)
	if err != nil {
		return nil, fmt.Errorf("training on %s: %w", cfg.Data.Path, err)
	}
	options.Backend, options.AllowDrift, options.Teacher = j.backend, opts.AllowDrift, opts.Teacher
	if opts.Teacher == nil && cfg.Mode == train.ModeDistill {
		own, err := cfg.openTeacher(j.backend)
		if err != nil {
			return nil, err
		}
		options.Teacher, j.teacher = own, own
	}
	if j.initial, err = sources.match(ctx, values, data, options, opts.InitPartial); err != nil {
		return nil, err
	}
	if j.session, err = train.New(values, data, options); err != nil {
		return nil, fmt.Errorf("training on %s: %w", cfg.Data.Path, err)
	}
	return j, nil
}

// referenceSamples is how many preprocessed samples a run keeps for verifying
// its exports.
const referenceSamples = 16

// Start begins a run: it makes the folder Folder/Name, with the state before the
// first step in it, so that whatever happens next the run can be resumed. On an
// error a folder that was not there before is removed. Train trains it, Close
// gives the folder back.
func Start(ctx context.Context, cfg Config, opts Options) (*Run, error) {
	cfg, sources, err := settle(cfg, opts)
	if err != nil {
		return nil, err
	}
	j, err := prepare(ctx, cfg, opts, sources)
	if err != nil {
		return nil, err
	}
	// What the defaults of this machine were, a resume on another restores.
	cfg.Threads, cfg.Backend = j.session.Machine().Threads, j.session.Machine().Backend
	parent := opts.Folder
	if parent == "" {
		parent = "runs"
	}
	path := filepath.Join(parent, cfg.Name)
	_, statErr := os.Stat(path)
	dir, err := folder.Create(path, cfg.studentNames())
	if err != nil {
		return nil, errors.Join(err, j.close())
	}
	r := &Run{dir: dir, cfg: cfg, job: j}
	if err := r.begin(ctx); err != nil {
		if errors.Is(statErr, fs.ErrNotExist) {
			return nil, errors.Join(err, j.close(), dir.Discard())
		}
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// begin writes what a run holds before its first step.
func (r *Run) begin(ctx context.Context) error {
	states := r.job.session.States()
	inputs, n, err := r.job.session.Reference(ctx, referenceSamples)
	if err != nil {
		return err
	}
	if err := r.dir.WriteReference(inputs, n, states[0].Network.Input); err != nil {
		return err
	}
	reports := make(map[string]any)
	for _, i := range r.job.initial {
		reports[i.Student] = i.Report
	}
	if err := r.dir.WriteInit(reports); err != nil {
		return err
	}
	text, err := yaml.Marshal(r.cfg)
	if err != nil {
		return err
	}
	return r.dir.Begin(states, text)
}

// settle writes defaults out, checks, makes paths absolute, so that the run can
// be resumed and evaluated from any folder, and opens the files of initial
// weights.
func settle(cfg Config, opts Options) (Config, sources, error) {
	var paths []*string
	if opts.Data == nil {
		paths = append(paths, &cfg.Data.Path)
	} else if cfg.Data.Path == "" {
		cfg.Data.Path = opts.Data.Train.Name()
	}
	if opts.Teacher != nil && cfg.Teacher.Path == "" {
		cfg.Teacher.Path = opts.Teacher.Info().Name
	}
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return cfg, nil, err
	}
	if cfg.Teacher.Path != "" && opts.Teacher == nil {
		paths = append(paths, &cfg.Teacher.Path)
	}
	for i := range cfg.Students {
		if s := &cfg.Students[i]; models.IsFile(s.Arch) {
			paths = append(paths, &s.Arch)
			if _, err := models.Find(s.Arch); err != nil { // before the data are read
				return cfg, nil, err
			}
		}
	}
	for _, path := range paths {
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return cfg, nil, err
		}
	}
	sources, err := openInitial(&cfg)
	return cfg, sources, err
}
