package train

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train/optim"
)

func TestOptimizerDefaults(t *testing.T) {
	for kind, want := range map[OptimizerKind]optim.Optimizer{
		"":             optim.SGD{Momentum: 0.9, Nesterov: true, WeightDecay: 5e-4},
		OptimizerSGD:   optim.SGD{Momentum: 0.9, Nesterov: true, WeightDecay: 5e-4},
		OptimizerAdam:  optim.Adam{Beta1: 0.5, Beta2: 0.999, Epsilon: 1e-8},
		OptimizerAdamW: optim.AdamW{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.01},
	} {
		o := OptimizerConfig{Kind: kind}.withDefaults()
		if err := errors.Join(o.validate("optimizer")...); err != nil {
			t.Error(err)
		}
		if got := o.optimizer(models.RoleWeight); got != want {
			t.Errorf("%q is %#v, want %#v", kind, got, want)
		}
	}
	plain := OptimizerConfig{Momentum: new(0.0)}.withDefaults()
	if got := plain.optimizer(models.RoleBias); got != (optim.SGD{WeightDecay: 5e-4}) || plain.validate("optimizer") != nil {
		t.Errorf("without momentum: %#v", got)
	}
}

func TestDecayExclusion(t *testing.T) {
	roles := []models.Role{models.RoleWeight, models.RoleBias, models.RoleGamma, models.RoleBeta}
	for _, tc := range []struct {
		exclude []DecayExclusion
		want    [4]float64
	}{
		{nil, [4]float64{0.1, 0.1, 0.1, 0.1}},
		{[]DecayExclusion{ExcludeBias}, [4]float64{0.1, 0, 0.1, 0.1}},
		{[]DecayExclusion{ExcludeBatchNorm, ExcludeBias}, [4]float64{0.1, 0, 0, 0}},
	} {
		o := OptimizerConfig{WeightDecay: new(0.1), DecayExclude: tc.exclude}.withDefaults()
		for i, role := range roles {
			if got := o.optimizer(role).(optim.SGD).WeightDecay; got != tc.want[i] {
				t.Errorf("%v: role %d decays by %g, want %g", tc.exclude, role, got, tc.want[i])
			}
		}
	}
}

func TestSchedulesOfAConfig(t *testing.T) {
	const steps = 10 // an epoch
	for name, tc := range map[string]struct {
		cfg  ScheduleConfig
		want map[int]float64
	}{
		"step, default":  {ScheduleConfig{}, map[int]float64{0: 1, 39: 1, 40: 0.1, 80: 0.01}},
		"multistep":      {ScheduleConfig{Kind: ScheduleMultiStep, Milestones: []int{1, 5}, Factor: 0.5}, map[int]float64{9: 1, 10: 0.5, 50: 0.25}},
		"cosine":         {ScheduleConfig{Kind: ScheduleCosine}, map[int]float64{0: 1, 60: 0.5, 120: 0}},
		"cosine to 0.2":  {ScheduleConfig{Kind: ScheduleCosine, Length: 6, EndFactor: 0.2}, map[int]float64{30: 0.6, 60: 0.2, 119: 0.2}},
		"constant":       {ScheduleConfig{Kind: ScheduleConstant}, map[int]float64{0: 1, 119: 1}},
		"warm-up, half":  {ScheduleConfig{Kind: ScheduleConstant, Warmup: 0.5}, map[int]float64{0: 0.2, 3: 0.8, 4: 1, 5: 1}},
		"warm-up, whole": {ScheduleConfig{Warmup: 2}, map[int]float64{0: 0.05, 19: 1, 40: 0.1}},
	} {
		cfg := tc.cfg.withDefaults(12)
		if err := errors.Join(cfg.validate("schedule")...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for step, want := range tc.want {
			if got := cfg.schedule(1, steps).Rate(step); math.Abs(got-want) > 1e-12 {
				t.Errorf("%s: step %d: %g, want %g", name, step, got, want)
			}
		}
	}
}

func TestOptimizerAndScheduleFaults(t *testing.T) {
	cfg := tinyConfig()
	cfg.Optimizer = OptimizerConfig{Kind: OptimizerAdam, Momentum: new(0.9), Nesterov: new(true), Beta1: new(1.0), Epsilon: -1,
		WeightDecay: new(math.NaN()), DecayExclude: []DecayExclusion{"weights"}}
	cfg.Schedule = ScheduleConfig{Kind: ScheduleCosine, Every: 3, Factor: 0.1, Milestones: []int{1}, Length: -1, EndFactor: -1, Warmup: math.Inf(1)}
	cfg.Students[0].Optimizer = &OptimizerConfig{Kind: "lion"}
	cfg.Students[1].Optimizer = &OptimizerConfig{Beta2: new(0.9), Epsilon: 1}
	cfg.Students[0].Schedule = &ScheduleConfig{Kind: ScheduleMultiStep, Milestones: []int{3, 3}}
	cfg.Students[1].Schedule = &ScheduleConfig{Kind: "triangle"}
	err := cfg.WithDefaults().Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, key := range []string{"optimizer.momentum", "optimizer.nesterov", "optimizer.beta1", "optimizer.epsilon", "optimizer.weight_decay",
		"optimizer.decay_exclude", "schedule.every", "schedule.factor", "schedule.milestones", "schedule.length", "schedule.end_factor",
		"schedule.warmup", "students[0].optimizer.kind", "students[1].optimizer.beta2", "students[1].optimizer.epsilon",
		"students[0].schedule.milestones", "students[1].schedule.kind"} {
		if !strings.Contains(err.Error(), key+":") {
			t.Errorf("no fault names %s:\n%v", key, err)
		}
	}
	if strings.Contains(err.Error(), "%!") {
		t.Errorf("a message is misprinted:\n%v", err)
	}
}

// mixedConfig gives each student an optimizer and a schedule of its own.
func mixedConfig() Config {
	cfg := tinyConfig()
	cfg.Students[0].Optimizer = &OptimizerConfig{Kind: OptimizerAdam, LearningRate: 0.01, WeightDecay: new(0.01), DecayExclude: []DecayExclusion{ExcludeBatchNorm}}
	cfg.Students[1].Schedule = &ScheduleConfig{Kind: ScheduleCosine, Warmup: 0.5}
	return cfg
}

// TestEveryOptimizerResumesExactly: the state holds all that an optimizer and a
// schedule need.
func TestEveryOptimizerResumesExactly(t *testing.T) {
	adamw := tinyConfig()
	adamw.Optimizer = OptimizerConfig{Kind: OptimizerAdamW}
	plain := tinyConfig()
	plain.Optimizer.Momentum = new(0.0)
	for name, cfg := range map[string]Config{"mixed": mixedConfig(), "adamw": adamw, "plain": plain} {
		t.Run(name, func(t *testing.T) { checkResumes(t, func() *Session { return newSession(t, cfg) }, 1, 7) })
	}
}

func TestStudentsHaveTheirOwnRates(t *testing.T) {
	store, _ := run(t, newSession(t, mixedConfig()), t.Context(), Events{})
	first, second := store.epochs[1].Students[0].LearningRate, store.epochs[1].Students[1].LearningRate
	if want := optim.Constant(0.01) * 0.1; math.Abs(first-float64(want)) > 1e-12 {
		t.Errorf("the first student ended at a rate of %g, want %g", first, want)
	}
	if want := (optim.Cosine{Base: 0.02, Steps: 10}).Rate(9); math.Abs(second-want) > 1e-12 {
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
