package train

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/models"
)

func TestSetInitialWeights(t *testing.T) {
	cfg := Config{Name: "trial", Data: DataConfig{Path: "random"}, Epochs: 1, Batch: 8,
		Students: []StudentConfig{{Name: "one", Arch: "convnet"}, {Name: "two", Arch: "convnet"}}}
	shape := dataset.Shape{Channels: 1, Height: 12, Width: 12}
	s, err := New(cfg, dataset.Splits{Train: datatest.Random(t, 32, 3, shape, 1), Val: datatest.Random(t, 8, 3, shape, 2)}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, one, err := s.Network("one")
	if err != nil {
		t.Fatal(err)
	}
	net, two, err := s.Network("two")
	if err != nil {
		t.Fatal(err)
	}
	if slices.Equal(one["conv1.weight"], two["conv1.weight"]) {
		t.Fatal("both students have the same seeded weights")
	}
	if err := s.SetInitialWeights("two", one); err != nil {
		t.Fatal(err)
	}
	one["conv1.weight"][0]++
	if states := s.States(); !slices.Equal(states[1].Weights["conv1.weight"], states[0].Weights["conv1.weight"]) {
		t.Error("the weights were not set, or are shared with the caller")
	}
	if err := s.SetInitialWeights("three", one); err == nil || !strings.Contains(err.Error(), `"three"`) {
		t.Errorf("an unknown student: %v", err)
	}
	if err := s.SetInitialWeights("two", models.Weights{}); err == nil || !strings.Contains(err.Error(), net.Name) {
		t.Errorf("no weights: %v", err)
	}
	if _, err := s.Run(t.Context(), nothing{}, Events{}); err != nil {
		t.Fatal(err)
	}
	if err := s.SetInitialWeights("two", two); err == nil || !strings.Contains(err.Error(), "too late") {
		t.Errorf("after the training: %v", err)
	}
}

// TestInitIsNotIgnored: a configuration that names a file of weights does not
// train without them.
func TestInitIsNotIgnored(t *testing.T) {
	cfg := Config{Name: "trial", Data: DataConfig{Path: "random"}, Mode: ModeIndependent, Epochs: 1, Batch: 8,
		Students: []StudentConfig{{Name: "one", Arch: "convnet", Init: "weights.onnx"}}}
	shape := dataset.Shape{Channels: 1, Height: 12, Width: 12}
	data := dataset.Splits{Train: datatest.Random(t, 32, 3, shape, 1), Val: datatest.Random(t, 8, 3, shape, 2)}
	session := func(cfg Config) *Session {
		s, err := New(cfg, data, Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	s := session(cfg)
	if _, err := s.Run(t.Context(), nothing{}, Events{}); err == nil || !strings.Contains(err.Error(), "weights.onnx") {
		t.Errorf("trained without its weights: %v", err)
	}
	_, weights, err := s.Network("one")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetInitialWeights("one", weights); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Run(t.Context(), nothing{}, Events{}); err != nil {
		t.Error(err)
	}

	// A restored session has them; it may lie elsewhere, but not be another.
	moved := cfg
	moved.Students = slices.Clone(cfg.Students)
	moved.Students[0].Init = "elsewhere/weights.onnx"
	again := session(moved)
	if err := again.Restore(s.States()); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Run(t.Context(), nothing{}, Events{}); err != nil {
		t.Error(err)
	}
	moved.Students[0].InitSHA256 = strings.Repeat("ab", 32)
	if err := session(moved).Restore(s.States()); !errors.Is(err, ErrOtherRun) {
		t.Errorf("another file's state: %v", err)
	}
}

func TestInitFaults(t *testing.T) {
	for _, test := range []struct {
		student StudentConfig
		want    string
	}{
		{StudentConfig{Init: "a\xff.onnx"}, "s.init: "},
		{StudentConfig{Init: "a.onnx", InitSHA256: "abc"}, "s.init_sha256: "},
		{StudentConfig{InitSHA256: strings.Repeat("0", 64)}, "without init"},
	} {
		if faults := test.student.initFaults("s"); len(faults) != 1 || !strings.Contains(faults[0].Error(), test.want) {
			t.Errorf("%+v: %v", test.student, faults)
		}
	}
	if faults := (StudentConfig{Init: "a.onnx", InitSHA256: strings.Repeat("0", 64)}).initFaults("s"); len(faults) > 0 {
		t.Errorf("%v", faults)
	}
}

// nothing keeps nothing of a run.
type nothing struct{}

func (nothing) Epoch(EpochReport) error { return nil }
func (nothing) Save([]State) error      { return nil }
