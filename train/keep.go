package train

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
