package train

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

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
	st.initialised = true
	return st.net.SetWeights(weights)
}

// initialised reports a student whose configuration names a file of initial
// weights that nobody has given to the session.
func (s *Session) initialised() error {
	for i, st := range s.cohort.students {
		if init := s.cfg.Students[i].Init; init != "" && !st.initialised {
			return fmt.Errorf("student %q shall start from %s, but has not got its weights: see package run/warmstart", st.name, init)
		}
	}
	return nil
}

// initFaults reports what is wrong with the file of initial weights.
func (c StudentConfig) initFaults(at string) []error {
	var faults []error
	if !utf8.ValidString(c.Init) {
		faults = append(faults, fmt.Errorf("%s.init: %q is not valid UTF-8, which a configuration file cannot hold; rename or link it", at, c.Init))
	}
	sum, err := hex.DecodeString(c.InitSHA256)
	if c.InitSHA256 != "" && (err != nil || len(sum) != sha256.Size) {
		faults = append(faults, fmt.Errorf("%s.init_sha256: %q is not 64 hexadecimal digits", at, c.InitSHA256))
	}
	if c.InitSHA256 != "" && c.Init == "" {
		faults = append(faults, fmt.Errorf("%s.init_sha256: given without init", at))
	}
	return faults
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
