package run

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"

	"github.com/goccy/go-yaml"

	"github.com/deepmutual/dml/train"
)

// Recovery says how Resume took a run up.
type Recovery struct {
	// Epoch and Step are the finished epochs, and the finished steps of the epoch
	// under way.
	Epoch, Step int
	// Refused holds an error for each checkpoint that is damaged or belongs to
	// another run; the file was renamed, with ".refused" added. Where it was one
	// of the newest, the run goes on from the last good state before.
	Refused []error
	// Drift says what differs from how the run computed before, where
	// Options.AllowDrift let it go on; it wraps train.ErrDrift. Nil: nothing does.
	Drift error
}

// Resume takes up the run in a folder where it stopped, however that was. The
// error wraps train.ErrOtherRun where settings or data are no longer those of
// the run, and train.ErrDrift where it would come to other bits. Train trains
// it, Close gives the folder back.
func Resume(path string, opts Options) (*Run, error) {
	r, err := Open(path)
	if err != nil {
		return nil, err
	}
	if err := r.dir.Lock(); err != nil {
		return nil, err
	}
	if err := r.takeUp(opts); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// takeUp makes the changes that the options want, and goes back to where the run
// stopped.
func (r *Run) takeUp(opts Options) error {
	before := r.cfg
	var err error
	if opts.Change != nil {
		if err := opts.Change(&r.cfg); err != nil {
			return err
		}
		if err := r.cfg.Validate(); err != nil {
			return err
		}
		if opts.Data == nil {
			if r.cfg.Data.Path, err = filepath.Abs(r.cfg.Data.Path); err != nil {
				return err
			}
		}
	}
	if r.job, err = prepare(context.Background(), r.cfg, opts, nil); err != nil {
		return err
	}
	return r.restore(before)
}

// restore finds the newest good states, and records what was in the way. before
// is the configuration as it was.
func (r *Run) restore(before Config) error {
	session := r.job.session
	states, found, err := r.dir.Recover(session.Accepts)
	if err != nil {
		return err
	}
	r.recovery = Recovery{Epoch: found.Epoch, Step: found.Step, Refused: found.Refused}
	for _, refused := range found.Refused {
		if err := r.record("refused", refused.Error()); err != nil {
			return err
		}
	}
	if err := session.Restore(states); err != nil {
		return fmt.Errorf("%s: %w", r.Path(), errors.Join(append([]error{err}, found.Refused...)...))
	}
	if r.recovery.Drift = session.Drift(states[0]); r.recovery.Drift != nil {
		if err := r.record("drift", r.recovery.Drift.Error()); err != nil {
			return err
		}
	}
	if err := r.keepConfig(before); err != nil {
		return err
	}
	if r.Finished() {
		return nil
	}
	return r.record("resumed", "")
}

// keepConfig writes down what a resume has changed for good: more epochs, the
// place of the data and, where it drifts, the threads and the backend of this
// machine.
func (r *Run) keepConfig(before Config) error {
	kept := before
	kept.Epochs, kept.Data.Path = r.cfg.Epochs, r.cfg.Data.Path
	if machine := r.job.session.Machine(); r.recovery.Drift != nil {
		kept.Threads, kept.Backend = machine.Threads, machine.Backend
	}
	if reflect.DeepEqual(kept, before) {
		return nil
	}
	if done := r.recovery.Epoch; kept.Epochs < done {
		return &train.SettingError{Key: "epochs", Err: fmt.Errorf("%d are fewer than the %d that are finished", kept.Epochs, done)}
	}
	text, err := yaml.Marshal(kept)
	if err != nil {
		return err
	}
	return r.dir.WriteConfig(text)
}

// record appends an event at the moment at which the run was taken up.
func (r *Run) record(event, detail string) error {
	return r.dir.Record(Event{Event: event, Epoch: r.recovery.Epoch, Step: r.recovery.Step, Detail: detail})
}

// Recovery returns how Resume took the run up.
func (r *Run) Recovery() Recovery { return r.recovery }

// Finished reports whether a run that Resume took up had all its epochs.
func (r *Run) Finished() bool { return r.recovery.Epoch >= r.cfg.Epochs }
