package train

import (
	"errors"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// goldenPair makes the golden pair with any options.
func goldenPair(t *testing.T, backend kernel.Backend, opts cohortOptions) *cohort {
	t.Helper()
	net := goldenNetwork(t)
	opts.batch = goldenBatch
	c, err := newCohort(backend, []member{{"a", net, goldenWeights(t, net, 0), goldenRule()}, {"b", net, goldenWeights(t, net, 1), goldenRule()}}, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// goldenSteppedCohort takes the golden pair a few steps.
func goldenSteppedCohort(t *testing.T, steps int, opts cohortOptions) *cohort {
	t.Helper()
	backends := goldenBackends(t)
	opts.threads = 1
	c := goldenPair(t, backends[len(backends)-1], opts)
	for step := range steps {
		if err := c.step(goldenMiniBatch(step), step); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// sameWeights compares those parameters of two students that the filter takes,
// to the bit.
func sameWeights(a, b *student, filter func(name string) bool) bool {
	for name, w := range a.net.Weights() {
		if filter(name) && !slices.Equal(w, b.net.Weights()[name]) {
			return false
		}
	}
	return true
}

func all(string) bool { return true }

// TestEnsembleOfTwoIsDML: with two students the mean of the peers' posteriors is
// the peer's, to the bit.
func TestEnsembleOfTwoIsDML(t *testing.T) {
	opts := cohortOptions{mode: ModeDML, mimicry: ramp{value: 1}}
	dml := goldenSteppedCohort(t, 2, opts)
	opts.mode = ModeDMLEnsemble
	ensemble := goldenSteppedCohort(t, 2, opts)
	for i, s := range dml.students {
		if !sameWeights(s, ensemble.students[i], all) {
			t.Errorf("student %d: dml_e leads elsewhere than dml", i)
		}
		if s.objective.mimicry[0] != ensemble.students[i].objective.mimicry[0] || s.objective.mimicry[0] <= 0 {
			t.Errorf("student %d: mimicry %g in dml, %g in dml_e", i, s.objective.mimicry[0], ensemble.students[i].objective.mimicry[0])
		}
	}
}

// TestWeightlessMimicryIsIndependent: a weight of 0 means 0.
func TestWeightlessMimicryIsIndependent(t *testing.T) {
	weightless := goldenSteppedCohort(t, 2, cohortOptions{mode: ModeDML})
	independent := goldenSteppedCohort(t, 2, cohortOptions{mode: ModeIndependent})
	for i, s := range weightless.students {
		if !sameWeights(s, independent.students[i], all) {
			t.Errorf("student %d learns otherwise than without peers", i)
		}
	}
}

// TestSequentialOrder takes one step in either order. The first student is
// updated from the same posteriors in both, the second from newer ones; and the
// running statistics, which that step's first forward pass alone moves, are the
// same: computing posteriors anew does not move them again.
func TestSequentialOrder(t *testing.T) {
	opts := cohortOptions{mode: ModeDML, mimicry: ramp{value: 1}}
	together := goldenSteppedCohort(t, 1, opts)
	opts.order = OrderSequential
	inTurn := goldenSteppedCohort(t, 1, opts)
	statistics := func(name string) bool { return strings.Contains(name, "running_") }
	for i, s := range together.students {
		if !sameWeights(s, inTurn.students[i], statistics) {
			t.Errorf("student %d: the running statistics differ between the orders", i)
		}
		if same := sameWeights(s, inTurn.students[i], func(name string) bool { return !statistics(name) }); same != (i == 0) {
			t.Errorf("student %d: same weights in either order: %v", i, same)
		}
		if a, b := s.correct(goldenMiniBatch(0).Labels), inTurn.students[i].correct(goldenMiniBatch(0).Labels); a != b {
			t.Errorf("student %d: %d right before the update, %d in sequence", i, a, b)
		}
	}
	if slices.Equal(together.students[0].posterior.Data, inTurn.students[0].posterior.Data) {
		t.Error("the first student's posteriors were not computed anew")
	}
}

// TestOwnViews: every student sees its own view, and the teacher each of them.
func TestOwnViews(t *testing.T) {
	teacher := &fixedTeacher{classes: linearClasses}
	c := linearCohort(t, cohortOptions{mode: ModeDistill, teacher: teacher, mimicry: ramp{value: 1}, ownViews: true})
	batch := linearMiniBatch()
	if err := c.step(batch, 0); err != nil {
		t.Fatal(err)
	}
	if teacher.calls != 3 {
		t.Errorf("the teacher was asked %d times for three views", teacher.calls)
	}
	for i, s := range c.students {
		if !slices.Equal(s.net.Input(), batch.Views[i]) {
			t.Errorf("student %d does not see view %d", i, i)
		}
		logits := make([]float32, linearBatch*linearClasses)
		if err := teacher.Logits(logits, batch.Second[i]); err != nil {
			t.Fatal(err)
		}
		for n := range linearBatch {
			row := slowSoftmax(widened(logits[n*linearClasses:(n+1)*linearClasses]), 1)
			for j, want := range row {
				if got := float64(s.objective.targets[0][n*linearClasses+j]); math.Abs(got-want) > 1e-6 {
					t.Errorf("student %d, sample %d: the teacher's posterior %d is %g, want %g of its view", i, n, j, got, want)
				}
			}
		}
	}
	batch.Views, batch.Second = batch.Views[:2], batch.Second[:2]
	if err := c.step(batch, 1); err == nil {
		t.Error("a mini-batch with a view too few is accepted")
	}
}

func TestMimicryRamp(t *testing.T) {
	for _, tc := range []struct {
		cfg  Mimicry
		want []float64
	}{
		{Mimicry{Weight: new(2.0)}, []float64{2, 2, 2}},
		{Mimicry{Weight: new(2.0), WarmupSteps: 4}, []float64{.5, 1, 1.5, 2, 2}},
		{Mimicry{Weight: new(1.0), Warmup: 0.5}, []float64{.2, .4, .6, .8, 1, 1}}, // of 10 steps an epoch
		{Mimicry{Weight: new(0.0), WarmupSteps: 3}, []float64{0, 0, 0, 0}},
		{Mimicry{}, []float64{0}}, // of mode independent
	} {
		r := tc.cfg.ramp(10)
		for step, want := range tc.want {
			if got := r.at(step); math.Abs(got-want) > 1e-12 {
				t.Errorf("%+v, step %d: %g, want %g", tc.cfg, step, got, want)
			}
		}
	}
}

// TestIndependentRefusesMimicry: no setting of the mimicry loss is ignored in
// silence, a new one included.
func TestIndependentRefusesMimicry(t *testing.T) {
	for i := range reflect.TypeFor[Mimicry]().NumField() {
		cfg := tinyConfig()
		cfg.Mode = ModeIndependent
		v := reflect.ValueOf(&cfg.Mimicry).Elem().Field(i)
		switch v.Kind() {
		case reflect.Pointer:
			v.Set(reflect.ValueOf(new(2.0)))
		case reflect.Int:
			v.SetInt(2)
		default:
			v.SetFloat(2)
		}
		field := reflect.TypeFor[Mimicry]().Field(i).Name
		if err := cfg.WithDefaults().Validate(); err == nil || !strings.Contains(err.Error(), "mimicry."+key(field)+": ") {
			t.Errorf("%s: %v", field, err)
		}
	}
}

func TestModeFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Config)
		want   []string
	}{
		"all wrong": {func(c *Config) {
			c.Mode, c.Order, c.Views, c.LabelSmoothing = "teach", "random", "none", 1
			c.Mimicry = Mimicry{Weight: new(-1.0), Warmup: -1, WarmupSteps: -1, Temperature: -2}
		}, []string{"mode: ", "order: ", "views: ", "label_smoothing: ", "mimicry.weight: ", "mimicry.warmup: ", "mimicry.warmup_steps: ", "mimicry.temperature: "}},
		"two warm-ups":       {func(c *Config) { c.Mimicry.Warmup, c.Mimicry.WarmupSteps = 1, 1 }, []string{"mimicry.warmup_steps: "}},
		"mimicry of nobody":  {func(c *Config) { c.Mode, c.Mimicry.Weight, c.Mimicry.Temperature = ModeIndependent, new(0.5), 2 }, []string{"mimicry.weight: ", "mimicry.temperature: "}},
		"sequence of nobody": {func(c *Config) { c.Mode, c.Order = ModeIndependent, OrderSequential }, []string{"order: "}},
		"alone":              {func(c *Config) { c.Mode, c.Students = ModeDMLEnsemble, c.Students[:1] }, []string{"students: mutual learning needs at least two"}},
	} {
		cfg := tinyConfig()
		tc.change(&cfg)
		err := cfg.WithDefaults().Validate()
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: no fault says %s\n%v", name, want, err)
			}
		}
	}
	for _, mode := range Modes() {
		cfg := tinyConfig()
		cfg.Mode = mode
		if mode == ModeDistill {
			cfg.Students = cfg.Students[:1]
		}
		cfg = cfg.WithDefaults()
		if err := cfg.Validate(); err != nil {
			t.Errorf("%s: %v", mode, err)
		}
		cfg.Mode = ModeIndependent
		if err := cfg.WithDefaults().Validate(); err != nil {
			t.Errorf("%s, written out and made independent: %v", mode, err)
		}
	}
}

// stubTeacher is a teacher of random images that can be made to misbehave.
type stubTeacher struct {
	info  TeacherInfo
	value float32
	err   error
}

func (s *stubTeacher) Info() TeacherInfo { return s.info }

func (s *stubTeacher) Logits(dst, images []float32) error {
	for i := range dst {
		dst[i] = s.value * float32(i%3)
	}
	return s.err
}

func TestUnfitTeachers(t *testing.T) {
	data := tinyData(t)
	fit := TeacherInfo{Name: "fixed", Fingerprint: "1", Classes: 3, ClassNames: data.Train.Classes()}
	fit.Input.Shape.Channels, fit.Input.Shape.Height, fit.Input.Shape.Width = 1, 6, 6
	cfg := tinyConfig()
	cfg.Mode = ModeDistill
	for name, tc := range map[string]struct {
		mode   Mode
		change func(*TeacherInfo) Teacher
		want   string
	}{
		"none":            {ModeDistill, func(*TeacherInfo) Teacher { return nil }, "mode distill needs a teacher"},
		"of another mode": {ModeDML, func(i *TeacherInfo) Teacher { return &stubTeacher{info: *i} }, "mode dml has none"},
		"of more classes": {ModeDistill, func(i *TeacherInfo) Teacher { i.Classes, i.ClassNames = 1000, nil; return &stubTeacher{info: *i} }, "tells 1000 classes apart"},
		"of other classes": {ModeDistill, func(i *TeacherInfo) Teacher {
			i.ClassNames = []string{"cat", "dog", "owl"}
			return &stubTeacher{info: *i}
		}, `class 0 of the teacher fixed is "cat"`},
		"of no image":      {ModeDistill, func(i *TeacherInfo) Teacher { i.Input.Shape.Height = 0; return &stubTeacher{info: *i} }, "second preparation"},
		"of the same ones": {ModeDistill, func(i *TeacherInfo) Teacher { return &stubTeacher{info: *i} }, ""},
		"of unknown names": {ModeDistill, func(i *TeacherInfo) Teacher { i.ClassNames = nil; return &stubTeacher{info: *i} }, ""},
	} {
		c, info := cfg, fit
		c.Mode = tc.mode
		s, err := New(c, data, Options{Teacher: tc.change(&info)})
		if err == nil {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		}
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("a teacher %s: %v, want %q", name, err, tc.want)
		}
	}
	broken := errors.New("no runtime")
	for want, teacher := range map[string]*stubTeacher{
		"no runtime":     {info: fit, err: broken},
		"are not finite": {info: fit, value: float32(math.Inf(1))},
	} {
		s, err := New(cfg, data, Options{Teacher: teacher})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Run(t.Context(), &memoryStore{}, Events{})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "teacher fixed") {
			t.Errorf("%v, want %s", err, want)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
