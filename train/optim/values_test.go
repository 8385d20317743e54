package optim

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestDefaults(t *testing.T) {
	for _, tc := range []struct{ given, want Optimizer }{
		{SGD{}, SGD{LearningRate: 0.1}},
		{SGD{LearningRate: 1, Momentum: 0.5, Nesterov: true}, SGD{LearningRate: 1, Momentum: 0.5, Nesterov: true}},
		{Adam{}, Adam{LearningRate: 2e-4, Beta1: 0.5, Beta2: 0.999, Epsilon: 1e-8}},
		{AdamW{Beta1: Zero}, AdamW{LearningRate: 1e-3, Beta1: Zero, Beta2: 0.999, Epsilon: 1e-8}},
		{AdamW{}, AdamW{LearningRate: 1e-3, Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}},
	} {
		got := tc.given.WithDefaults()
		if !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%#v became %#v, want %#v", tc.given, got, tc.want)
		}
		if err := got.Validate(); err != nil {
			t.Error(err)
		}
	}
}

// TestZeroIsZero: an optimizer computes with Zero to the bit as with 0.
func TestZeroIsZero(t *testing.T) {
	for _, pair := range [][2]Optimizer{
		{Adam{Beta1: Zero, Beta2: 0.9, Epsilon: 1e-8}, Adam{Beta2: 0.9, Epsilon: 1e-8}},
		{AdamW{Beta1: 0.5, Beta2: Zero, Epsilon: 1e-8}, AdamW{Beta1: 0.5, Epsilon: 1e-8}},
	} {
		var ends [2][]float32
		for i, o := range pair {
			w, state := []float32{1, -2, 3}, slots(o, 3)
			for step := range 5 {
				o.Update(w, []float32{0.5, float32(step), -1}, state, 0.1, step)
			}
			ends[i] = w
		}
		if !reflect.DeepEqual(ends[0], ends[1]) {
			t.Errorf("%#v comes to %v, %#v to %v", pair[0], ends[0], pair[1], ends[1])
		}
	}
}

func TestDecayExclusion(t *testing.T) {
	for _, tc := range []struct {
		exclude []Part
		want    [3]float64
	}{
		{nil, [3]float64{0.1, 0.1, 0.1}},
		{[]Part{Bias}, [3]float64{0.1, 0, 0.1}},
		{[]Part{BatchNorm, Bias}, [3]float64{0.1, 0, 0}},
	} {
		for i, part := range []Part{Weights, Bias, BatchNorm} {
			sgd := SGD{WeightDecay: 0.1, DecayExclude: tc.exclude}.For(part).(SGD)
			adam := Adam{WeightDecay: 0.1, DecayExclude: tc.exclude}.For(part).(Adam)
			adamw := AdamW{WeightDecay: 0.1, DecayExclude: tc.exclude}.For(part).(AdamW)
			for _, got := range []float64{sgd.WeightDecay, adam.WeightDecay, adamw.WeightDecay} {
				if got != tc.want[i] {
					t.Errorf("%v: %s decays by %g, want %g", tc.exclude, part, got, tc.want[i])
				}
			}
		}
	}
}

func TestSchedulesByEpochs(t *testing.T) {
	const epochs, steps = 12, 10
	for name, tc := range map[string]struct {
		schedule Schedule
		want     map[int]float64
	}{
		"step, default":  {Step{}, map[int]float64{0: 1, 39: 1, 40: 0.1, 80: 0.01}},
		"multistep":      {MultiStep{Milestones: []int{1, 5}, Factor: 0.5}, map[int]float64{9: 1, 10: 0.5, 50: 0.25}},
		"cosine":         {Cosine{}, map[int]float64{0: 1, 60: 0.5, 120: 0}},
		"cosine to 0.2":  {Cosine{Length: 6, EndFactor: 0.2}, map[int]float64{30: 0.6, 60: 0.2, 119: 0.2}},
		"constant":       {Constant{}, map[int]float64{0: 1, 119: 1}},
		"warm-up, half":  {Warmup{0.5, Constant{}}, map[int]float64{0: 0.2, 3: 0.8, 4: 1, 5: 1}},
		"warm-up, whole": {Warmup{Epochs: 2}, map[int]float64{0: 0.05, 19: 1, 40: 0.1}},
	} {
		s := tc.schedule.WithDefaults(epochs)
		if err := s.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for step, want := range tc.want {
			if got := s.Rate(1, step, steps); math.Abs(got-want) > 1e-12 {
				t.Errorf("%s: step %d: %g, want %g", name, step, got, want)
			}
		}
	}
}

func TestValidateNamesEveryField(t *testing.T) {
	for _, tc := range []struct {
		value  interface{ Validate() error }
		fields []string
	}{
		{SGD{LearningRate: -1, Momentum: 1, WeightDecay: -1, DecayExclude: []Part{"weights"}}, []string{"learning_rate", "momentum", "weight_decay", "decay_exclude"}},
		{SGD{LearningRate: 1, Nesterov: true}, []string{"nesterov"}},
		{Adam{LearningRate: math.Inf(1), Beta1: 1, Beta2: -1, Epsilon: -1, WeightDecay: math.NaN()}, []string{"learning_rate", "beta1", "beta2", "epsilon", "weight_decay"}},
		{AdamW{LearningRate: 1, Epsilon: 1, Beta2: 2}, []string{"beta2"}},
		{Step{Every: -1, Factor: -1}, []string{"every", "factor"}},
		{MultiStep{Factor: 1}, []string{"milestones"}},
		{MultiStep{Factor: 1, Milestones: []int{3, 3}}, []string{"milestones"}},
		{Cosine{Length: -1, EndFactor: -1}, []string{"length", "end_factor"}},
		{Warmup{math.Inf(1), Step{Every: 1, Factor: -1}}, []string{"warmup", "factor"}},
	} {
		err := tc.value.Validate()
		if field := (*FieldError)(nil); !errors.As(err, &field) {
			t.Errorf("%#v: %v", tc.value, err)
			continue
		}
		if got := strings.Split(err.Error(), "\n"); len(got) != len(tc.fields) {
			t.Errorf("%#v: %d faults, want %d:\n%v", tc.value, len(got), len(tc.fields), err)
		}
		for _, field := range tc.fields {
			if !strings.Contains(err.Error(), field+": ") {
				t.Errorf("%#v: no fault names %s:\n%v", tc.value, field, err)
			}
		}
		if strings.Contains(err.Error(), "%!") {
			t.Errorf("a message is misprinted:\n%v", err)
		}
	}
}
