package train

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/checkpoint"
	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train/optim"
)

// memoryStore keeps what a session hands out.
type memoryStore struct {
	last   []State
	best   map[string]State
	epochs []EpochReport
}

func (m *memoryStore) Save(states []State) error {
	m.last = states
	for _, s := range states {
		if !s.IsBest() {
			continue
		}
		if m.best == nil {
			m.best = make(map[string]State)
		}
		m.best[s.Name] = s
	}
	return nil
}
func (m *memoryStore) Epoch(r EpochReport) error {
	r.Seconds, r.ImagesPerSecond = 0, 0 // timings differ between equal runs
	m.epochs = append(m.epochs, r)
	return nil
}

// paper is the default optimizer at another learning rate.
func paper(rate float64) optim.SGD {
	return optim.SGD{LearningRate: rate, Momentum: 0.9, Nesterov: true, WeightDecay: 5e-4}
}

// tinyConfig trains two small students on random images.
func tinyConfig() Config {
	return Config{Epochs: 2, Batch: 8, Seed: 3,
		Optimizer: paper(0.02), Augment: dataset.Augment{Flip: true, PadCrop: 2},
		Students: []Student{{Arch: "convnet"}, {Arch: "convnet"}}, Threads: 2}
}

// tinyData has 44 training samples (a last batch of 4 to drop) and 12 for
// validation (a last batch of 4 to keep).
func tinyData(t *testing.T) dataset.Splits {
	t.Helper()
	shape := dataset.Shape{Channels: 1, Height: 12, Width: 12}
	return dataset.Splits{Train: datatest.Random(t, 44, 3, shape, 1), Val: datatest.Random(t, 12, 3, shape, 2)}
}

func newSession(t *testing.T, cfg Config) *Session {
	t.Helper()
	s, err := New(cfg, tinyData(t), Options{})
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

// own gives every student of a configuration a network of its own making.
func own(t *testing.T, cfg Config, build func(string, models.Shape, int) (*models.Network, error)) Config {
	t.Helper()
	cfg.Students = slices.Clone(cfg.Students)
	for i := range cfg.Students {
		net, err := build("", models.Shape{C: 1, H: 12, W: 12}, 3)
		if err != nil {
			t.Fatal(err)
		}
		cfg.Students[i].Arch, cfg.Students[i].Network = "", net
	}
	return cfg
}

func run(t *testing.T, s *Session, ctx context.Context, events Events) (*memoryStore, Summary) {
	t.Helper()
	store := &memoryStore{}
	sum, err := s.Run(ctx, store, events)
	if err != nil {
		t.Fatal(err)
	}
	return store, sum
}

func TestRunReportsEveryEpoch(t *testing.T) {
	steps := 0
	s := newSession(t, tinyConfig())
	store, sum := run(t, s, t.Context(), Events{Step: func(r StepReport) {
		steps++
		if n := s.number(s.progress.Step); n != steps { // across epochs
			t.Errorf("step %d has the number %d", steps, n)
		}
		if r.Steps != 5 || len(r.Students) != 2 || r.Students[0].Loss <= 0 {
			t.Errorf("step report %+v", r)
		}
	}})
	if steps != 10 || len(store.epochs) != 2 || sum.Epoch != 2 || sum.Step != 10 || sum.Stopped != "" {
		t.Errorf("%d steps, %d epoch reports, summary %+v", steps, len(store.epochs), sum)
	}
	for _, s := range store.epochs[1].Students {
		if math.Abs(s.CrossEntropy+s.Mimicry-s.Loss) > 1e-6 || s.Mimicry <= 0 {
			t.Errorf("losses of %s: %+v", s.Name, s)
		}
	}
	for i, st := range store.last {
		if st.Name != tinyConfig().WithDefaults().Students[i].Name || st.Progress.Epoch != 2 || st.Progress.Step != 0 {
			t.Errorf("last state of %q at %+v", st.Name, st.Progress)
		}
		best := store.best[st.Name]
		if best.BestEpoch != sum.Students[i].BestEpoch || best.Best != sum.Students[i].Best {
			t.Errorf("best state %+v, summary %+v", best.Best, sum.Students[i])
		}
	}
}

// TestEqualRunsAreEqual: one seed, one result, to the bit.
func TestEqualRunsAreEqual(t *testing.T) {
	a, _ := run(t, newSession(t, tinyConfig()), t.Context(), Events{})
	b, _ := run(t, newSession(t, tinyConfig()), t.Context(), Events{})
	if !reflect.DeepEqual(a, b) {
		t.Error("two runs of one configuration differ")
	}
	cfg := tinyConfig()
	cfg.Seed = 4
	if c, _ := run(t, newSession(t, cfg), t.Context(), Events{}); reflect.DeepEqual(a.last[0].Weights, c.last[0].Weights) {
		t.Error("another seed gives the same weights")
	}
}

// withDropout builds a network with dropout between convolutions and before
// the classifier.
func withDropout(_ string, input models.Shape, classes int) (*models.Network, error) {
	b := models.NewBuilder("dropout", input, classes)
	conv := func(name, in string) string {
		return b.Conv(name, in, models.Conv{Out: 12, Kernel: models.Square(3), Stride: models.Square(2)})
	}
	x := b.ReLU("relu", b.BatchNorm("bn", conv("conv1", b.Input()), models.BatchNorm{}))
	x = b.GlobalAvgPool("pool", conv("conv2", b.Dropout("drop1", x, models.Dropout{Rate: 0.2})))
	return b.Build(b.Dense("linear", b.Dropout("drop2", x, models.Dropout{Rate: 0.5}), models.Dense{Out: classes}), x)
}

// TestInterruptedRunResumesExactly stops a run after each of its steps, moves
// its state through checkpoint files into a new session, and compares the end
// with that of the uninterrupted run, to the bit.
func TestInterruptedRunResumesExactly(t *testing.T) {
	every := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	t.Run("convnet", func(t *testing.T) { checkResumes(t, func() *Session { return newSession(t, tinyConfig()) }, every...) })
	t.Run("dropout", func(t *testing.T) {
		checkResumes(t, func() *Session { return newSession(t, own(t, tinyConfig(), withDropout)) }, every...)
	})
}

func checkResumes(t *testing.T, open func() *Session, stops ...int) {
	t.Helper()
	whole, wholeSum := run(t, open(), t.Context(), Events{})
	for _, stop := range stops {
		ctx, cancel := context.WithCancel(t.Context())
		steps := 0
		first, sum := run(t, open(), ctx, Events{Step: func(StepReport) {
			if steps++; steps == stop {
				cancel()
			}
		}})
		if sum.Stopped != StopInterrupt || steps != stop {
			t.Fatalf("cancelled in step %d: ran %d steps, summary %+v", stop, steps, sum)
		}
		second := open()
		if err := second.Restore(throughFiles(t, first.last)); err != nil {
			t.Fatal(err)
		}
		rest, restSum := run(t, second, t.Context(), Events{})
		if !reflect.DeepEqual(rest.last, whole.last) {
			t.Errorf("stopped after step %d: the final states differ", stop)
		}
		if got := append(first.epochs, rest.epochs...); !reflect.DeepEqual(got, whole.epochs) {
			t.Errorf("stopped after step %d: the metrics differ:\n%+v\n%+v", stop, got, whole.epochs)
		}
		if !reflect.DeepEqual(restSum, wholeSum) {
			t.Errorf("stopped after step %d: summary %+v, want %+v", stop, restSum, wholeSum)
		}
	}
}

func throughFiles(t *testing.T, states []State) []State {
	t.Helper()
	var out []State
	for _, st := range states {
		path := filepath.Join(t.TempDir(), st.Name+".ckpt")
		f, err := st.Checkpoint()
		if err != nil {
			t.Fatal(err)
		}
		if err := checkpoint.Write(path, f); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseState(data)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, back)
	}
	return out
}

// broken is a data set in which one image cannot be read, until it is mended.
type broken struct {
	dataset.Dataset
	index  int
	mended bool
}

func (b *broken) Image(i int) (dataset.Image, error) {
	if i == b.index && !b.mended {
		return dataset.Image{}, errors.New("image 17 is broken")
	}
	return b.Dataset.Image(i)
}

// TestBrokenImageKeepsTheSteps: an image that cannot be read costs no step, and
// once it is mended the run ends as if nothing had been.
func TestBrokenImageKeepsTheSteps(t *testing.T) {
	data := tinyData(t)
	ds := &broken{Dataset: data.Train, index: 17, mended: true}
	data.Train = ds
	unbroken, err := New(tinyConfig(), data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer unbroken.Close()
	whole, _ := run(t, unbroken, t.Context(), Events{})
	s, err := New(tinyConfig(), data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ds.mended = false
	store := &memoryStore{}
	steps := 0
	if _, err := s.Run(t.Context(), store, Events{Step: func(StepReport) { steps++ }}); err == nil || !strings.Contains(err.Error(), "image 17") {
		t.Fatalf("got %v", err)
	}
	if store.last == nil || store.last[0].Progress.Step != steps {
		t.Fatalf("%d steps were made, the saved state is %+v", steps, store.last)
	}
	ds.mended = true
	again, err := New(tinyConfig(), data, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := again.Restore(store.last); err != nil {
		t.Fatal(err)
	}
	rest, _ := run(t, again, t.Context(), Events{})
	if !reflect.DeepEqual(rest.last, whole.last) {
		t.Error("the final states differ from those of the run without the broken image")
	}
}

func TestRestoreRefusesForeignStates(t *testing.T) {
	store, _ := run(t, newSession(t, tinyConfig()), t.Context(), Events{})
	for name, change := range map[string]func([]State) []State{
		"a student is missing":  func(s []State) []State { return s[:1] },
		"another student":       func(s []State) []State { s[0].Name = "stranger"; return s },
		"another moment":        func(s []State) []State { s[1].Progress.Step = 2; return s },
		"a momentum is missing": func(s []State) []State { s[0].Slots = nil; return s },
	} {
		if err := newSession(t, tinyConfig()).Restore(change(append([]State(nil), store.last...))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestRestoreRefusesAnotherRun(t *testing.T) {
	store, _ := run(t, newSession(t, tinyConfig()), t.Context(), Events{})
	for want, change := range map[string]func(*Config){
		`seed is "5", was "3"`:                         func(c *Config) { c.Seed = 5 },
		`mode is "independent", was "dml"`:             func(c *Config) { c.Mode = ModeIndependent },
		`optimizer.learning_rate is "0.5", was "0.02"`: func(c *Config) { c.Optimizer = paper(0.5) },
	} {
		cfg := tinyConfig()
		change(&cfg)
		err := newSession(t, cfg).Restore(store.last)
		if !errors.Is(err, ErrOtherRun) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want it to say %s", err, want)
		}
	}
	longer := tinyConfig()
	longer.Schedule = longer.WithDefaults().Schedule
	longer.Epochs = 3
	if err := newSession(t, longer).Restore(store.last); err != nil {
		t.Errorf("more epochs of the same run: %v", err)
	}
}

func TestDivergenceStopsTheRun(t *testing.T) {
	cfg := tinyConfig()
	cfg.Optimizer = paper(1e30)
	_, err := newSession(t, cfg).Run(t.Context(), &memoryStore{}, Events{})
	if !errors.Is(err, ErrDiverged) || !strings.Contains(err.Error(), "step") || !strings.Contains(err.Error(), "convnet-1") {
		t.Errorf("got %v", err)
	}
}

// TestEvaluateMatchesSession: the scores of a finished run can be had again
// from its states, and single logits give the same posteriors.
func TestEvaluateMatchesSession(t *testing.T) {
	data := tinyData(t)
	s := newSession(t, tinyConfig())
	store, sum := run(t, s, t.Context(), Events{})
	got, err := Evaluate(t.Context(), store.last, data.Val, EvaluateOptions{Batch: 5})
	if err != nil {
		t.Fatal(err)
	}
	for i, st := range got.Students {
		if st.Scores.Accuracy != sum.Students[i].Last.Accuracy || math.Abs(st.NLL-sum.Students[i].Last.NLL) > 1e-6 {
			t.Errorf("%s: %+v again, %+v in the run", st.Name, st.Scores, sum.Students[i].Last)
		}
	}
	if math.Abs(got.Ensemble.NLL-sum.Ensemble.NLL) > 1e-6 {
		t.Errorf("ensemble: %+v again, %+v in the run", got.Ensemble, sum.Ensemble)
	}
	text, err := json.Marshal(got)
	if err != nil || !bytes.HasPrefix(text, []byte(`{"students":[{"name":"convnet-1","accuracy":`)) {
		t.Errorf("%s, %v", text, err)
	}
	inputs, n, err := s.Reference(t.Context(), 3)
	if err != nil || n != 3 || len(inputs) != 3*12*12 {
		t.Fatalf("reference: %d samples, %d values, %v", n, len(inputs), err)
	}
	logits, err := Logits(store.last[0], inputs, n, EvaluateOptions{})
	if err != nil || len(logits) != 9 {
		t.Fatalf("%d logits, %v", len(logits), err)
	}
}

func TestParseStateRefusesOtherFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ckpt")
	if err := checkpoint.Write(path, &checkpoint.File{Kind: "student", Header: map[string]any{"version": 1, "network": map[string]any{}}}); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseState(data); !errors.Is(err, checkpoint.ErrDamaged) {
		t.Errorf("got %v", err)
	}
}

func TestConfigReportsAllFaults(t *testing.T) {
	cfg := Config{Mode: "teach", Epochs: -1, Batch: 1, Students: []Student{{Arch: "resnet33"}, {Arch: "convnet", Name: "a/b"}}, Height: 5000, Width: 5000,
		Optimizer: optim.SGD{LearningRate: -1, Momentum: 2}, Schedule: optim.Step{Every: -3}, Augment: dataset.Augment{PadMode: "mirror"}}
	err := cfg.WithDefaults().Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, key := range []string{"data.height", "mode", "students[0].arch", "students[1].name", "epochs", "batch",
		"optimizer.learning_rate", "optimizer.momentum", "schedule.every", "augment.pad_mode"} {
		if !strings.Contains(err.Error(), key+":") {
			t.Errorf("no fault names %s:\n%v", key, err)
		}
	}
	if err := tinyConfig().WithDefaults().Validate(); err != nil {
		t.Error(err)
	}
	one := tinyConfig()
	one.Students = one.Students[:1]
	if err := one.WithDefaults().Validate(); err == nil || !strings.Contains(err.Error(), "at least two") {
		t.Errorf("mutual learning alone: %v", err)
	}
}

func TestOneClass(t *testing.T) {
	shape := dataset.Shape{Channels: 1, Height: 12, Width: 12}
	alone := datatest.Random(t, 16, 1, shape, 1)
	if _, err := New(tinyConfig(), dataset.Splits{Train: alone, Val: alone}, Options{}); err == nil || !strings.Contains(err.Error(), `a single class, ["class0"]`) {
		t.Errorf("error %v", err)
	}
}
