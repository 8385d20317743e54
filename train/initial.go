package train

import (
	"errors"
	"fmt"
	"slices"

	"github.com/deepmutual/dml/models"
)

// Network returns the network of a student, and its weights as they are now.
func (s *Session) Network(student string) (*models.Network, models.Weights, error) {
	st, err := s.student(student)
	if err != nil {
		return nil, nil, err
	}
	return st.net.Description, st.net.Weights().Clone(), nil
}

// SetInitialWeights gives a student these weights in place of the seeded ones.
// It is an error after the first step.
func (s *Session) SetInitialWeights(student string, weights models.Weights) error {
	st, err := s.student(student)
	if err != nil {
		return err
	}
	if s.progress.Epoch > 0 || s.progress.Step > 0 {
		return errors.New("the training has begun: initial weights come too late")
	}
	if err := st.net.Description.CheckWeights(weights); err != nil {
		return fmt.Errorf("student %q: %w", student, err)
	}
	return st.net.SetWeights(weights)
}

// Classes returns the names of the classes.
func (s *Session) Classes() []string { return slices.Clone(s.classes) }

func (s *Session) student(name string) (*student, error) {
	for _, st := range s.cohort.students {
		if st.name == name {
			return st, nil
		}
	}
	return nil, fmt.Errorf("the cohort has no student %q", name)
}
