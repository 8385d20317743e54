package train

import (
	"reflect"
	"testing"
)

// TestFitKeepsTheStates: without a store a training ends as with one, and its
// states can be read.
func TestFitKeepsTheStates(t *testing.T) {
	store, sum := run(t, newSession(t, tinyConfig()), t.Context(), Events{})
	got, err := Fit(t.Context(), tinyConfig(), tinyData(t), Options{}, Events{})
	if err != nil {
		t.Fatal(err)
	}
	best := []State{store.best[store.last[0].Name], store.best[store.last[1].Name]}
	if want := (Result{sum, best, store.last}); !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got.Summary, want.Summary)
	}
	if best := newSession(t, tinyConfig()).Best(); best != nil {
		t.Errorf("before its first epoch a session has %d best states", len(best))
	}
}
