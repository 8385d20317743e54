package run

import (
	"context"
	"errors"
	"fmt"

	"github.com/deepmutual/dml/train"
)

var errReader = errors.New("the run was opened to read; Start and Resume give one that trains")

// Train trains a run that Start or Resume has given, to its end or until ctx is
// done or the configuration stops it, which the Summary tells; the state is
// saved, so that it can be resumed. It keeps states, metrics, results and what
// happened to the run in the folder. An error that wraps train.ErrDiverged cannot be
// mended by resuming.
func (r *Run) Train(ctx context.Context, events train.Events) (train.Summary, error) {
	if r.job == nil || r.job.session == nil {
		return train.Summary{}, fmt.Errorf("%s: %w", r.Path(), errReader)
	}
	sum, err := r.job.session.Run(ctx, r.dir, events)
	if diverged := (*train.DivergedError)(nil); errors.As(err, &diverged) {
		recorded := r.dir.Record(Event{Event: "diverged", Epoch: diverged.Epoch - 1, Step: diverged.Step, Detail: err.Error()})
		if recorded != nil {
			return sum, errors.Join(err, recorded)
		}
	}
	if err != nil {
		return sum, err
	}
	if sum.Stopped != "" {
		epoch, step, err := r.dir.Saved()
		if err != nil {
			return sum, err
		}
		if err := r.dir.Record(Event{Event: "stopped", Epoch: epoch, Step: step, Detail: string(sum.Stopped)}); err != nil {
			return sum, err
		}
	}
	if sum.Epoch == 0 { // nothing has been validated yet
		return sum, nil
	}
	return sum, r.dir.WriteResults(sum)
}

// Training returns what a run that trains does in detail: its Config has the
// values of the configuration, its Machine how it computes, its Warnings what is
// probably a mistake. It is nil for a run that is only read.
func (r *Run) Training() *train.Session {
	if r.job == nil {
		return nil
	}
	return r.job.session
}

// Backend returns what a run that trains computes with; nil for one that is only
// read.
func (r *Run) Backend() *train.Backend {
	if r.job == nil {
		return nil
	}
	return r.job.backend
}
