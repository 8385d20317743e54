package train

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"
)

func TestMeasureLeavesNoTrace(t *testing.T) {
	s := newSession(t, tinyConfig())
	before := s.States()
	e, err := s.Measure(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s.States(), before) {
		t.Error("the states have changed")
	}
	if e.Steps != measureSteps || e.StepsPerEpoch != 5 || e.Step <= 0 || e.Validation <= 0 {
		t.Errorf("%+v", e)
	}
	if e.Epoch != 5*e.Step+e.Validation || e.Total != 2*e.Epoch {
		t.Errorf("the times do not add up: %+v", e)
	}
	whole, _ := run(t, newSession(t, tinyConfig()), t.Context(), Events{})
	if store, _ := run(t, s, t.Context(), Events{}); !reflect.DeepEqual(store.last, whole.last) {
		t.Error("the session trains in another way than one that measured nothing")
	}
}

func TestMeasureKnowsWhatEndsARun(t *testing.T) {
	for name, tc := range map[string]struct {
		stop Stop
		want func(Estimate) time.Duration
	}{
		"steps": {Stop{MaxSteps: 7}, func(e Estimate) time.Duration { return 7*e.Step + e.Validation }},
		"time":  {Stop{Time: time.Second}, func(Estimate) time.Duration { return time.Second }},
		"none":  {Stop{Patience: 3}, func(e Estimate) time.Duration { return 1e6 * e.Epoch }},
	} {
		cfg := tinyConfig()
		cfg.Epochs, cfg.Stop = 1e6, tc.stop
		e, err := newSession(t, cfg).Measure(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if want := tc.want(e); e.Steps != 1 || e.Total != want {
			t.Errorf("%s: %+v, want a total of %v", name, e, want)
		}
	}
}

// TestStateTellsItsRun: a checkpoint alone says what it takes to go on: network,
// optimizer, schedule and seeds of every student, and where it was.
func TestStateTellsItsRun(t *testing.T) {
	cfg := mixedConfig()
	cfg.Stop.MaxSteps = 7
	store, _ := run(t, newSession(t, cfg), t.Context(), Events{})
	for _, st := range throughFiles(t, store.last) {
		var settings map[string]string
		if err := json.Unmarshal(st.Run, &settings); err != nil {
			t.Fatal(err)
		}
		for key, want := range map[string]string{
			"seed": "3", "batch": "8", "augment.flip": "true", "optimizer.kind": "sgd", "schedule.kind": "step", "schedule.every": "1",
			"students[0].seed": "3001", "students[0].optimizer.kind": "adam", "students[1].schedule.kind": "cosine", "students[1].schedule.warmup": "0.5",
		} {
			if settings[key] != want {
				t.Errorf("%s: %s is %q, want %q", st.Name, key, settings[key], want)
			}
		}
		if st.Progress.Epoch != 1 || st.Progress.Step != 2 || st.Machine.Threads != 2 || st.Machine.Lineup == "" || st.Machine.Processor == "" || st.Network == nil {
			t.Errorf("%s: %+v on %+v", st.Name, st.Progress, st.Machine)
		}
	}
}
