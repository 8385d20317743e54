package train

import (
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/models"
)

func TestSetInitialWeights(t *testing.T) {
	cfg := Config{Epochs: 1, Batch: 8,
		Students: []Student{{Name: "one", Arch: "convnet"}, {Name: "two", Arch: "convnet"}}}
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

// nothing keeps nothing of a run.
type nothing struct{}

func (nothing) Epoch(EpochReport) error { return nil }
func (nothing) Save([]State) error      { return nil }
