package train

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestMaxStepsStopsTheRun stops before a step within an epoch, before the first
// of one, and goes on from there without the limit.
func TestMaxStepsStopsTheRun(t *testing.T) {
	whole, _ := run(t, newSession(t, tinyConfig()), t.Context(), Events{})
	for _, limit := range []int{3, 5, 7} {
		cfg := tinyConfig()
		cfg.Stop.MaxSteps = limit
		first, sum := run(t, newSession(t, cfg), t.Context(), Events{})
		if sum.Stopped != StopMaxSteps || sum.Step != limit || len(first.epochs) != limit/5 {
			t.Errorf("limit %d: %+v after %d epochs", limit, sum, len(first.epochs))
		}
		again := newSession(t, cfg)
		if err := again.Restore(throughFiles(t, first.last)); err != nil {
			t.Fatal(err)
		}
		if _, sum := run(t, again, t.Context(), Events{Step: func(StepReport) { t.Error("a step was made past the limit") }}); sum.Stopped != StopMaxSteps {
			t.Errorf("resumed with the same limit: %+v", sum)
		}
		rest := newSession(t, tinyConfig())
		if err := rest.Restore(throughFiles(t, first.last)); err != nil {
			t.Fatal(err)
		}
		if store, sum := run(t, rest, t.Context(), Events{}); sum.Stopped != "" || !reflect.DeepEqual(store.last, whole.last) {
			t.Errorf("limit %d: the run without the limit ends in other states", limit)
		}
	}
}

func TestPatienceStopsTheRun(t *testing.T) {
	cfg := tinyConfig()
	cfg.Epochs, cfg.Stop.Patience = 30, 2
	cfg.Optimizer = paper(1e-20) // which improves nothing after the first epoch
	cfg.Students = cfg.Students[:1]
	cfg.Mode = ModeIndependent
	s := newSession(t, cfg)
	store, sum := run(t, s, t.Context(), Events{})
	if sum.Stopped != StopPatience || sum.Epoch != sum.Students[0].BestEpoch+2 || store.last[0].Progress.Epoch != sum.Epoch {
		t.Errorf("%+v", sum)
	}
}

func TestTimeStopsTheRun(t *testing.T) {
	cfg := tinyConfig()
	cfg.Epochs, cfg.Stop.Time = 1000000, time.Nanosecond
	store, sum := run(t, newSession(t, cfg), t.Context(), Events{})
	if sum.Stopped != StopTime || len(store.last) != 2 {
		t.Errorf("%+v", sum)
	}
}

func TestNothingThatDivergedIsSaved(t *testing.T) {
	for name, poison := range map[string]func(*student){
		"Inf in a weight":    func(s *student) { s.net.Weights()["bn1.running_mean"][0] = float32(math.Inf(1)) },
		"NaN in a momentum":  func(s *student) { s.slots["momentum"]["bn1.weight"][2] = float32(math.NaN()) },
		"-Inf in a momentum": func(s *student) { s.slots["momentum"]["bn1.weight"][0] = float32(math.Inf(-1)) },
	} {
		s := newSession(t, tinyConfig())
		ctx, cancel := context.WithCancel(t.Context())
		store, steps := &memoryStore{}, 0
		_, err := s.Run(ctx, store, Events{Step: func(StepReport) {
			if steps++; steps == 2 {
				poison(s.cohort.students[1])
				cancel()
			}
		}})
		var diverged *DivergedError
		if !errors.As(err, &diverged) || !errors.Is(err, ErrDiverged) || store.last != nil {
			t.Fatalf("%s: %v; saved: %v", name, err, store.last != nil)
		}
		if diverged.Student != "convnet-2" || diverged.Epoch != 1 || diverged.Step != 2 || !strings.Contains(diverged.What, "bn1.") {
			t.Errorf("%s: %+v", name, diverged)
		}
	}
}

func TestDriftIsRefused(t *testing.T) {
	store, _ := run(t, newSession(t, tinyConfig()), t.Context(), Events{})
	for want, change := range map[string]func(*Machine){
		"threads: 2, was 1":                       func(m *Machine) { m.Threads = 1 },
		"students: side by side on 1 thread each": func(m *Machine) { m.Lineup = "in turn on 2 threads" },
		"was abacus":                              func(m *Machine) { m.Backend = "abacus" },
		"version of the library: ":                func(m *Machine) { m.Library = "0.1" },
		"instruction set: ":                       func(m *Machine) { m.InstructionSet = "mmx" },
		", was vax":                               func(m *Machine) { m.Processor = "vax" },
		"threads: 2, was 9; students: side by s":  func(m *Machine) { *m = Machine{Threads: 9} },
	} {
		states := append([]State(nil), store.last...)
		change(&states[1].Machine)
		err := newSession(t, tinyConfig()).Restore(states)
		if !errors.Is(err, ErrDrift) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want it to say %s", err, want)
		}
		drifting, err := New(tinyConfig(), tinyData(t), Options{AllowDrift: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := drifting.Restore(states); err != nil {
			t.Errorf("allowed to drift: %v", err)
		}
		if err := drifting.Close(); err != nil {
			t.Error(err)
		}
	}
}
