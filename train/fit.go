package train

import (
	"context"

	"github.com/deepmutual/dml/dataset"
)

// Result is what Fit comes to.
type Result struct {
	Summary
	// Best and Last are the states of every student, in the order of the
	// configuration, in its best epoch and at the end. Best is empty where no
	// epoch has been finished.
	Best, Last []State
}

// Fit trains a cohort in memory: it is [New], [Session.Run] without a store, and
// [Session.Close]. A context that ends it early is not an error: Result.Stopped
// tells. Who wants to export the students verified makes the Session, whose
// Reference gives the samples for that.
func Fit(ctx context.Context, cfg Config, data dataset.Splits, opts Options, events Events) (Result, error) {
	s, err := New(cfg, data, opts)
	if err != nil {
		return Result{}, err
	}
	sum, err := s.Run(ctx, nil, events)
	if err != nil {
		s.Close()
		return Result{}, err
	}
	return Result{sum, s.Best(), s.States()}, s.Close()
}
