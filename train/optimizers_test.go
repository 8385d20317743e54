package train

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/train/optim"
)

// mixedConfig gives each student an optimizer and a schedule of its own.
func mixedConfig() Config {
	cfg := tinyConfig()
	cfg.Students[0].Optimizer = optim.Adam{LearningRate: 0.01, WeightDecay: 0.01, DecayExclude: []optim.Part{optim.BatchNorm}}
	cfg.Students[1].Schedule = optim.Warmup{Epochs: 0.5, Schedule: optim.Cosine{}}
	return cfg
}

// TestEveryOptimizerResumesExactly: the state holds all that an optimizer and a
// schedule need.
func TestEveryOptimizerResumesExactly(t *testing.T) {
	adamw := tinyConfig()
	adamw.Optimizer = optim.AdamW{WeightDecay: 0.01}
	plain := tinyConfig()
	plain.Optimizer = optim.SGD{LearningRate: 0.02, WeightDecay: 5e-4}
	for name, cfg := range map[string]Config{"mixed": mixedConfig(), "adamw": adamw, "plain": plain} {
		t.Run(name, func(t *testing.T) { checkResumes(t, func() *Session { return newSession(t, cfg) }, 1, 7) })
	}
}

func TestStudentsHaveTheirOwnRates(t *testing.T) {
	store, _ := run(t, newSession(t, mixedConfig()), t.Context(), Events{})
	first, second := store.epochs[1].Students[0].LearningRate, store.epochs[1].Students[1].LearningRate
	if want := 0.01 * 0.1; math.Abs(first-want) > 1e-12 {
		t.Errorf("the first student ended at a rate of %g, want %g", first, want)
	}
	if want := (optim.Cosine{Length: 2}).Rate(0.02, 9, 5); math.Abs(second-want) > 1e-12 {
		t.Errorf("the second student ended at a rate of %g, want %g", second, want)
	}
	for i, want := range [][]string{{"m", "v"}, {"momentum"}} {
		st := store.last[i]
		if len(st.Slots) != len(want) {
			t.Errorf("student %d has the slots %v, want %v", i+1, st.Slots, want)
		}
		for _, slot := range want {
			for _, p := range must(st.Network.Params())(t) {
				if v := st.Slots[slot][p.Name]; p.Trainable() != (len(v) == p.Size()) {
					t.Errorf("student %d: %s of %s has %d values", i+1, slot, p.Name, len(v))
				}
			}
		}
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestRestoreRefusesOtherSlots(t *testing.T) {
	store, _ := run(t, newSession(t, mixedConfig()), t.Context(), Events{})
	for name, change := range map[string]func(Slots){
		"a slot is missing":      func(s Slots) { delete(s, "v") },
		"a slot is too much":     func(s Slots) { s["u"] = s["v"] },
		"a parameter is missing": func(s Slots) { delete(s["m"], "bn1.weight") },
		"a value is missing":     func(s Slots) { s["m"]["bn1.weight"] = s["m"]["bn1.weight"][1:] },
	} {
		states := append([]State(nil), store.last...)
		states[0].Slots = states[0].Slots.clone()
		change(states[0].Slots)
		if reflect.DeepEqual(states[0].Slots, store.last[0].Slots) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if err := newSession(t, mixedConfig()).Restore(states); err == nil || !strings.Contains(err.Error(), "convnet-1") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
