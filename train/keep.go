package train

import (
	"context"

	"github.com/deepmutual/dml/dataset"
)

// keeper is the store of a training without one: it keeps the best states. The
// newest are the session's.
type keeper struct{ best map[string]State }

// Save implements Store.
func (k *keeper) Save(states []State) error {
	for _, st := range states {
		if st.IsBest() {
			if k.best == nil {
				k.best = make(map[string]State)
			}
			k.best[st.Name] = st
		}
	}
	return nil
}

// Epoch implements Store.
func (*keeper) Epoch(EpochReport) error { return nil }

// Best returns the state of every student in its best epoch so far, and nil
// before the first has been finished or where Run was given a store, which has
// them.
func (s *Session) Best() []State {
	var out []State
	for _, st := range s.cohort.students {
		if best, ok := s.kept.best[st.name]; ok {
			out = append(out, best)
		}
	}
	return out
}

// Result is what Fit comes to.
type Result struct {
	Summary
	Best, Last []State // of every student, in the order of the configuration
}

// Fit trains a cohort in memory: it is New, Run without a store, and Close. A
// context that ends it early is not an error: Result.Stopped tells.
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
