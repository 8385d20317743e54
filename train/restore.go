package train

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// States returns a copy of every student's state.
func (s *Session) States() []State {
	out := make([]State, len(s.cohort.students))
	for i, st := range s.cohort.students {
		progress := s.progress
		progress.Sums = s.sums[i]
		r := s.records[i]
		out[i] = State{Name: st.name, Mode: s.cfg.Mode, Network: st.net.Description,
			Weights: st.net.Weights().Clone(), Slots: st.slots.clone(),
			Dataset: s.dataset, Classes: s.classes, Norm: s.norm, Progress: progress, Run: s.id, Machine: s.machine,
			BestEpoch: r.BestEpoch, Best: r.Best, Last: r.Last, Ensemble: s.ensemble}
	}
	return out
}

// Accepts returns an error if the state is of no student of this run: of another
// network, of other settings or data, or with another optimizer's state. Drift is
// a question of its own.
func (s *Session) Accepts(st State) error {
	i := slices.IndexFunc(s.cohort.students, func(own *student) bool { return own.name == st.Name })
	if i < 0 {
		return fmt.Errorf("%w: it has no student %q", ErrOtherRun, st.Name)
	}
	if err := sameRun(s.id, st.Run); err != nil {
		return err
	}
	own := s.cohort.students[i]
	description, err := st.Network.JSON()
	if err != nil {
		return err
	}
	ownDescription, err := own.net.Description.JSON()
	if err != nil {
		return err
	}
	if !bytes.Equal(description, ownDescription) {
		return fmt.Errorf("%w: the network is another than that of %s", ErrOtherRun, own.net.Description.Name)
	}
	return errors.Join(own.net.Description.CheckWeights(st.Weights), own.slots.matches(st.Slots))
}

// Restore continues from the states of all students, taken at one moment of a
// run of the same configuration. On an error nothing has changed. It wraps
// ErrOtherRun or ErrDrift where those are the reason.
func (s *Session) Restore(states []State) error {
	if len(states) != len(s.cohort.students) {
		return fmt.Errorf("%d states for %d students", len(states), len(s.cohort.students))
	}
	at := states[0].Progress
	for i, st := range states {
		if own := s.cohort.students[i]; st.Name != own.name {
			return fmt.Errorf("state %d is of student %q, the configuration has %q", i+1, st.Name, own.name)
		}
		if err := s.Accepts(st); err != nil {
			return fmt.Errorf("student %q: %w", st.Name, err)
		}
		if err := s.Drift(st); err != nil && !s.drifting {
			return fmt.Errorf("student %q: %w", st.Name, err)
		}
		if st.Progress.Epoch != at.Epoch || st.Progress.Step != at.Step {
			return fmt.Errorf("student %q stopped in epoch %d, step %d, student %q in epoch %d, step %d",
				states[0].Name, at.Epoch, at.Step, st.Name, st.Progress.Epoch, st.Progress.Step)
		}
	}
	for i, st := range states {
		own := s.cohort.students[i]
		if err := own.net.SetWeights(st.Weights); err != nil { // cannot fail after the checks
			return fmt.Errorf("student %q: %w", st.Name, err)
		}
		own.slots.copyFrom(st.Slots)
		s.sums[i] = st.Progress.Sums
		r := &s.records[i]
		r.BestEpoch, r.Best, r.Last = st.BestEpoch, st.Best, st.Last
	}
	s.progress, s.ensemble = Progress{Epoch: at.Epoch, Step: at.Step}, states[0].Ensemble
	return nil
}
