package train

import (
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/models"
)

// TestInitialWeights: a student begins with the weights that it is given, which
// stay as they are, or says why it cannot.
func TestInitialWeights(t *testing.T) {
	seeded := newSession(t, tinyConfig()).States()
	given := seeded[1].Weights.Clone()
	cfg := tinyConfig()
	cfg.Students[0].Weights = given
	s := newSession(t, cfg)
	if got := s.States(); !reflect.DeepEqual(got[0].Weights, given) || !reflect.DeepEqual(got[1], seeded[1]) {
		t.Error("the first student has not got its weights, or the second is changed")
	}
	store, _ := run(t, s, t.Context(), Events{})
	if !reflect.DeepEqual(given, seeded[1].Weights) {
		t.Error("the training has changed the weights that it was given")
	}
	if err := newSession(t, tinyConfig()).Restore(store.last); err != nil {
		t.Errorf("a run goes on without its initial weights: %v", err)
	}
	cfg.Students[0].Weights = models.Weights{}
	if _, err := New(cfg, tinyData(t), Options{}); err == nil || !strings.Contains(err.Error(), `"convnet-1": its initial weights`) {
		t.Errorf("no weights: %v", err)
	}
}
