package train

import (
	"context"
	"errors"
	"io"
	"time"
)

// Estimate is what a few real steps tell of a run.
type Estimate struct {
	Steps         int           // that were measured
	Step          time.Duration // mean of a step, the loading of its images included
	StepsPerEpoch int
	Validation    time.Duration // after each epoch
	Epoch         time.Duration // with validation
	// Total is the time of the whole run, from its first step to what ends it
	// for sure: its epochs, or the MaxSteps or Time of its Stop.
	Total time.Duration
}

const (
	warmupSteps  = 2  // not measured: they set things up
	measureSteps = 20 // at most
)

// Measure trains for a few steps and validates on a few mini-batches, for about
// budget, and estimates what the run takes. The session is afterwards as it was
// before.
func (s *Session) Measure(ctx context.Context, budget time.Duration) (Estimate, error) {
	before := s.States()
	estimate, err := s.measure(ctx, budget)
	return estimate, errors.Join(err, s.Restore(before))
}

func (s *Session) measure(ctx context.Context, budget time.Duration) (Estimate, error) {
	e := Estimate{StepsPerEpoch: s.loader.Batches()}
	var spent time.Duration
	for epoch := 0; ; epoch++ {
		enough, err := s.measureEpoch(ctx, epoch, &e, &spent, budget)
		if err != nil {
			return e, err
		}
		if enough {
			break
		}
	}
	e.Step = spent / time.Duration(e.Steps)
	validated, spent, err := s.measureValidation(ctx, budget/4)
	if err != nil {
		return e, err
	}
	e.Validation = spent * time.Duration(s.val.Batches()) / time.Duration(validated)
	e.Epoch = e.Step*time.Duration(e.StepsPerEpoch) + e.Validation
	e.Total = e.Epoch * time.Duration(s.cfg.Epochs)
	if limit := s.cfg.Stop.MaxSteps; limit > 0 {
		e.Total = min(e.Total, e.Step*time.Duration(limit)+e.Validation*time.Duration(limit/e.StepsPerEpoch))
	}
	if limit := s.cfg.Stop.Time; limit > 0 {
		e.Total = min(e.Total, limit)
	}
	return e, nil
}

// measureEpoch makes the steps of an epoch until enough are measured, and
// reports whether they are.
func (s *Session) measureEpoch(ctx context.Context, epoch int, e *Estimate, spent *time.Duration, budget time.Duration) (bool, error) {
	batches := s.loader.Epoch(ctx, epoch, 0)
	defer batches.Close()
	for i := range e.StepsPerEpoch {
		begin, number := time.Now(), epoch*e.StepsPerEpoch+i
		batch, err := batches.Next()
		if err != nil {
			return false, err
		}
		if err := s.cohort.step(batch, number); err != nil {
			return false, stepError(err, epoch+1, i+1)
		}
		if number < warmupSteps {
			continue
		}
		e.Steps++
		if *spent += time.Since(begin); *spent >= budget || e.Steps == measureSteps {
			return true, nil
		}
	}
	return false, nil
}

// measureValidation returns the time of some mini-batches, the first of several
// left out.
func (s *Session) measureValidation(ctx context.Context, budget time.Duration) (batches int, spent time.Duration, err error) {
	epoch := s.val.Epoch(ctx, 0, 0)
	defer epoch.Close()
	for made := 0; batches == 0 || spent < budget; made++ {
		begin := time.Now()
		batch, err := epoch.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = s.panel.infer(batch.Images)
		}
		if err != nil {
			return 0, 0, err
		}
		if made > 0 || s.val.Batches() == 1 {
			batches++
			spent += time.Since(begin)
		}
	}
	return batches, spent, nil
}
