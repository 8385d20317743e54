package train

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Stop ends a training before its last epoch. Whatever ends it, the state is
// saved and it can go on.
type Stop struct {
	// Time is how long a call of Run may train; the step under way is finished. 0
	// is no limit.
	Time time.Duration
	// Patience is the number of epochs in which no student's validation scores
	// get better, by Scores.Better; 0 is no limit.
	Patience int
	// MaxSteps is the number of steps of the whole training; 0 is no limit.
	MaxSteps int
}

func (s Stop) faults(f *faults) {
	f.check(s.Time >= 0, "stop.time", "%v is negative", s.Time)
	f.check(s.Patience >= 0, "stop.patience", "%d is negative", s.Patience)
	f.check(s.MaxSteps >= 0, "stop.max_steps", "%d is negative", s.MaxSteps)
}

// StopReason says why a run stopped before its last epoch; it is empty for a
// run that did not.
type StopReason string

const (
	StopInterrupt StopReason = "interrupt" // the context ended
	StopTime      StopReason = "time"      // Stop.Time is over
	StopPatience  StopReason = "patience"  // Stop.Patience is exhausted
	StopMaxSteps  StopReason = "max_steps" // Stop.MaxSteps are made
)

// ErrDiverged is what a DivergedError is, to errors.Is.
var ErrDiverged = errors.New("training diverged")

// DivergedError says that numbers have become non-finite: NaN or infinite.
type DivergedError struct {
	Student     string
	Epoch, Step int    // of the run, from 1; the step of that epoch
	What        string // says in words which numbers
}

func (e *DivergedError) Error() string {
	return fmt.Sprintf("epoch %d, step %d: %v: student %q: %s; a lower learning rate may help", e.Epoch, e.Step, ErrDiverged, e.Student, e.What)
}

// Is reports whether target is ErrDiverged.
func (e *DivergedError) Is(target error) bool { return target == ErrDiverged }

// stopBeforeEpoch says whether an epoch that has not begun should not.
func (s *Session) stopBeforeEpoch() StopReason {
	best := 0
	for _, r := range s.records {
		best = max(best, r.BestEpoch)
	}
	if p := s.cfg.Stop.Patience; p > 0 && s.progress.Step == 0 && s.progress.Epoch-best >= p {
		return StopPatience
	}
	return s.stopBeforeStep()
}

// stopBeforeStep says whether the next step should not be made.
func (s *Session) stopBeforeStep() StopReason {
	stop := s.cfg.Stop
	switch {
	case stop.MaxSteps > 0 && s.number(s.progress.Step) >= stop.MaxSteps:
		return StopMaxSteps
	case stop.Time > 0 && time.Since(s.began) >= stop.Time:
		return StopTime
	}
	return ""
}

// save hands the states to the store, unless they are of no use.
func (s *Session) save(store Store) error {
	if err := s.checkFinite(); err != nil {
		return err
	}
	return store.Save(s.States())
}

// checkFinite looks for numbers in weights and optimizers that training cannot
// come back from.
func (s *Session) checkFinite() error {
	for _, st := range s.cohort.students {
		for _, p := range st.net.Params() {
			if !allFinite(st.net.Weights()[p.Name]) {
				return s.diverged(st.name, p.Name+" has values")
			}
			for slot, values := range st.slots {
				if !allFinite(values[p.Name]) {
					return s.diverged(st.name, fmt.Sprintf("the optimizer's %s of %s has values", slot, p.Name))
				}
			}
		}
	}
	return nil
}

func (s *Session) diverged(student, what string) error {
	return &DivergedError{Student: student, Epoch: s.progress.Epoch + 1, Step: s.progress.Step, What: what + " that are not finite"}
}

func allFinite(values []float32) bool {
	var sum float32
	for _, v := range values {
		sum += v * 0 // NaN for NaN and infinities, else 0
	}
	return !math.IsNaN(float64(sum))
}
