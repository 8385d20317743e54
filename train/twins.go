package train

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
)

// Warnings lists what is probably a mistake: at present, two students that are
// exactly equal.
func (s *Session) Warnings() []string {
	var warnings []string
	for i := range s.cohort.students {
		for j := range i {
			if s.twins(j, i) {
				warnings = append(warnings, fmt.Sprintf("students %q and %q are exactly equal and will stay so, since they see the same and learn alike; give one of them another seed or other initial weights",
					s.cohort.students[j].name, s.cohort.students[i].name))
			}
		}
	}
	return warnings
}

// twins reports whether two students will always be equal: their networks and
// weights are, and nothing tells them apart in training.
func (s *Session) twins(i, j int) bool {
	a, b := s.cohort.students[i].net, s.cohort.students[j].net
	switch {
	case s.cfg.Views == ViewsPerStudent && s.cfg.Augment != (dataset.Augment{}).WithDefaults():
		return false
	case s.cfg.Order == OrderSequential:
		return false // the second learns from what the first has become
	case slices.ContainsFunc(a.Description.Layers, func(l models.Layer) bool { return l.Kind == models.KindDropout }):
		return false // their masks differ
	}
	if !reflect.DeepEqual(s.cohort.students[i].rule, s.cohort.students[j].rule) {
		return false
	}
	first, errFirst := a.Description.JSON()
	second, errSecond := b.Description.JSON()
	if errFirst != nil || errSecond != nil || !bytes.Equal(first, second) {
		return false
	}
	for name, w := range a.Weights() {
		if !slices.Equal(w, b.Weights()[name]) {
			return false
		}
	}
	return true
}
