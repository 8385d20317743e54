package train

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// tinyTeacher trains a student for an epoch and freezes it.
func tinyTeacher(t *testing.T, seed uint64) (*FrozenTeacher, State) {
	t.Helper()
	cfg := tinyConfig()
	cfg.Mode, cfg.Epochs, cfg.Seed, cfg.Students = ModeIndependent, 1, seed, cfg.Students[:1]
	store, _ := run(t, newSession(t, cfg), t.Context(), Events{})
	teacher, err := NewFrozenTeacher(store.last[0], EvaluateOptions{Batch: 8, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := teacher.Close(); err != nil {
			t.Error(err)
		}
	})
	return teacher, store.last[0]
}

func TestFrozenTeacherGivesItsLogits(t *testing.T) {
	teacher, st := tinyTeacher(t, 5)
	images := make([]float32, 19*144) // more than two batches
	for i := range images {
		images[i] = float32(goldenValue(uint64(i)))
	}
	got := make([]float32, 19*3)
	if err := teacher.Logits(got, images); err != nil {
		t.Fatal(err)
	}
	for n := range 19 {
		want, err := Logits(st, images[n*144:(n+1)*144], 1, EvaluateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for c := range want {
			if d := got[3*n+c] - want[c]; d > 1e-5 || d < -1e-5 {
				t.Errorf("sample %d: logit %d is %g, want %g", n, c, got[3*n+c], want[c])
			}
		}
	}
	for _, size := range []int{18 * 144, 19*144 - 1} {
		if err := teacher.Logits(got, images[:size]); err == nil {
			t.Errorf("%d values for 19 samples are accepted", size)
		}
	}
	again, _ := tinyTeacher(t, 5)
	if again.Info().Fingerprint != teacher.Info().Fingerprint {
		t.Error("equal teachers have different fingerprints")
	}
}

// TestDistillation: students of a teacher learn its posteriors, resume to the
// bit, and do not go on with another teacher.
func TestDistillation(t *testing.T) {
	teacher, _ := tinyTeacher(t, 5)
	cfg := tinyConfig()
	cfg.Mode = ModeDistill
	cfg.Mimicry = Mimicry{Temperature: 3, Weight: new(0.5)}
	cfg.Views = ViewsPerStudent
	open := func(teacher Teacher) *Session {
		s, err := New(cfg, tinyData(t), Options{Teacher: teacher})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
		return s
	}
	checkResumes(t, func() *Session { return open(teacher) }, 3, 7)
	store, _ := run(t, open(teacher), t.Context(), Events{})
	for _, s := range store.epochs[1].Students {
		if s.Mimicry <= 0 || s.Loss <= s.CrossEntropy {
			t.Errorf("losses of %s: %+v", s.Name, s)
		}
	}
	other, _ := tinyTeacher(t, 6)
	if err := open(other).Restore(store.last); !errors.Is(err, ErrOtherRun) || !strings.Contains(err.Error(), "the teacher is") {
		t.Errorf("going on with another teacher: %v", err)
	}
}

// TestSequentialEnsembleResumes: so does a run with every option.
func TestSequentialEnsembleResumes(t *testing.T) {
	cfg := tinyConfig()
	cfg.Mode, cfg.Order, cfg.Views, cfg.LabelSmoothing = ModeDMLEnsemble, OrderSequential, ViewsPerStudent, 0.1
	cfg.Mimicry = Mimicry{Temperature: 2, Weight: new(1.5), WarmupSteps: 8}
	cfg.Students = append(slices.Clone(cfg.Students), Student{Arch: "resnet8"})
	checkResumes(t, func() *Session { return newSession(t, cfg) }, 4, 6)
	store, _ := run(t, newSession(t, cfg), t.Context(), Events{})
	if first, second := store.epochs[0].MimicryWeight, store.epochs[1].MimicryWeight; first != 1.5*5/8 || second != 1.5 {
		t.Errorf("the weight of the mimicry loss is %g after an epoch and %g after two", first, second)
	}
}
