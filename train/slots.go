package train

import (
	"fmt"

	"github.com/deepmutual/dml/models"
)

// Slots is the state of a student's optimizer: for each of its slots, such as
// momentum, the values by trained parameter. What else an optimizer needs
// follows from the number of the step.
type Slots map[string]models.Weights

func (s Slots) set(slot, param string, values []float32) {
	if s[slot] == nil {
		s[slot] = make(models.Weights)
	}
	s[slot][param] = values
}

func (s Slots) clone() Slots {
	out := make(Slots, len(s))
	for slot, values := range s {
		out[slot] = values.Clone()
	}
	return out
}

// matches checks that other holds as many values for the same slots and
// parameters.
func (s Slots) matches(other Slots) error {
	for slot, values := range other {
		for name, v := range values {
			if own, ok := s[slot][name]; !ok || len(own) != len(v) {
				return fmt.Errorf("the state has %d values of %q for %q, the optimizer %d", len(v), slot, name, len(own))
			}
		}
	}
	for slot, values := range s {
		for name, own := range values {
			if _, ok := other[slot][name]; !ok {
				return fmt.Errorf("the state has no %q of %q, of which the optimizer has %d values", slot, name, len(own))
			}
		}
	}
	return nil
}

// copyFrom takes over the values of other, which matches.
func (s Slots) copyFrom(other Slots) {
	for slot, values := range s {
		for name, v := range values {
			copy(v, other[slot][name])
		}
	}
}
