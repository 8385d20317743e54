package train

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
)

// ErrDrift is wrapped by Restore for states that were trained in another way of
// computing: the run would go on, but not to the bits that it would have come to.
var ErrDrift = errors.New("the run was trained in another way of computing, which rounds differently")

// Machine is what the bits of a training depend on beside its settings and its
// data: the order of additions, above all.
type Machine struct {
	Threads        int    `json:"threads"`         // of all students together
	Lineup         string `json:"lineup"`          // how the students share them
	Backend        string `json:"backend"`         // onednn or ref
	Library        string `json:"library"`         // version of oneDNN, empty for ref
	InstructionSet string `json:"instruction_set"` // that oneDNN uses, empty for ref
	Processor      string `json:"processor"`       // architecture, in Go's words
}

func (s *Session) setMachine(backend *Backend) {
	threads := s.cfg.Threads
	if threads == 0 {
		threads = runtime.GOMAXPROCS(0)
	}
	s.machine = Machine{Threads: threads, Lineup: s.cohort.lineup.String(), Backend: backend.Name,
		Library: backend.Version, InstructionSet: backend.InstructionSet, Processor: runtime.GOARCH}
}

// Machine returns how the session computes.
func (s *Session) Machine() Machine { return s.machine }

// Drift returns an error that wraps ErrDrift and names each difference if the
// state was computed in another way than the session computes, else nil.
func (s *Session) Drift(st State) error {
	var faults []string
	differ := func(what string, now, then any) {
		if now != then {
			faults = append(faults, fmt.Sprintf("%s: %v, was %v", what, now, then))
		}
	}
	now, then := s.machine, st.Machine
	differ("threads", now.Threads, then.Threads)
	differ("students", now.Lineup, then.Lineup)
	differ("backend", now.Backend, then.Backend)
	differ("version of the library", now.Library, then.Library)
	differ("instruction set", now.InstructionSet, then.InstructionSet)
	differ("processor", now.Processor, then.Processor)
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w (%s)", ErrDrift, strings.Join(faults, "; "))
}
