package reid

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Label says who is seen in an image, and which camera took it.
type Label struct {
	PID    ID // the person, Junk, Distractor or Unknown
	Camera ID // a camera, or Unknown
}

// Set is images by their features and labels.
type Set struct {
	// Name of the set in errors, such as the path of its features.
	Name string
	// Features, row after row, [len(Labels) x Dim].
	Features []float32
	// Features64, where they are set, are the features in place of Features. Only
	// Options.Float64 computes with all that they say.
	Features64 []float64
	// Dim is the number of features of an image.
	Dim int
	// Labels of the rows.
	Labels []Label
}

// What can be wrong with sets; test with errors.Is.
var (
	ErrEmpty     = errors.New("no images")
	ErrCount     = errors.New("features and labels do not fit")
	ErrDimension = errors.New("dimensions differ")
	ErrNotFinite = errors.New("not a usable number")
	ErrLabel     = errors.New("bad label")
	ErrNoMatch   = errors.New("no query has a match in the gallery")
	// ErrFingerprint: features that were not made in the same way cannot be
	// compared.
	ErrFingerprint = errors.New("features of another model or preprocessing")
)

// RowError says which row of a set, counting from 0, is bad; or of images to add,
// or of queries. Err wraps one of the package's errors.
type RowError struct {
	Set string // its name
	Row int
	Err error
}

func (e *RowError) Error() string { return fmt.Sprintf("%s: row %d (from 0): %v", e.Set, e.Row, e.Err) }

func (e *RowError) Unwrap() error { return e.Err }

// longest is the length of a feature vector above which squared distances could
// overflow a float32.
const longest = 1e18

// check returns the first fault of a set. With unlabelled, images may lack labels.
func (s Set) check(unlabelled bool) error {
	switch {
	case len(s.Labels) == 0:
		return fmt.Errorf("%s: %w", s.Name, ErrEmpty)
	case s.Dim < 1:
		return fmt.Errorf("%s: %w: rows of %d features", s.Name, ErrDimension, s.Dim)
	}
	check := func() error { return checkRows(s, s.Features) }
	if s.Features64 != nil {
		check = func() error { return checkRows(s, s.Features64) }
	}
	if err := check(); err != nil {
		return err
	}
	return checkLabels(s.Name, s.Labels, unlabelled)
}

// checkRows checks the features of a set.
func checkRows[T float](s Set, features []T) error {
	if len(features) != s.Dim*len(s.Labels) {
		return fmt.Errorf("%s: %w: %d numbers are not %d rows of %d features, one a label", s.Name, ErrCount, len(features), len(s.Labels), s.Dim)
	}
	m := matrix[T]{features, s.Dim}
	for i := range s.Labels {
		// A sum that is not finite has a reason, which is then looked for.
		if sum := squares(m.row(i)); !(sum <= longest*longest) {
			return &RowError{s.Name, i, notFinite(m.row(i))}
		}
	}
	return nil
}

// checkSets checks all, and that their features fit together.
func checkSets(unlabelled bool, sets ...Set) error {
	var faults []error
	for _, s := range sets {
		// One set can be queries and gallery, with the same fault.
		if err := s.check(unlabelled); err != nil && !slices.ContainsFunc(faults, func(told error) bool { return told.Error() == err.Error() }) {
			faults = append(faults, err)
		}
	}
	if err := errors.Join(faults...); err != nil {
		return err
	}
	for _, s := range sets[1:] {
		if s.Dim != sets[0].Dim {
			return fmt.Errorf("%w: rows of %d features in %s, of %d in %s", ErrDimension, sets[0].Dim, sets[0].Name, s.Dim, s.Name)
		}
	}
	return nil
}

func notFinite[T float](row []T) error {
	for k, v := range row {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("%w: feature %d is %v", ErrNotFinite, k, v)
		}
	}
	return fmt.Errorf("%w: the features are too large, a vector longer than %g", ErrNotFinite, longest)
}

func checkLabels(name string, labels []Label, unlabelled bool) error {
	for i, l := range labels {
		if err := l.check(unlabelled); err != nil {
			return &RowError{name, i, err}
		}
	}
	return nil
}

// check returns the first fault. With unlabelled, identity and camera may be
// unknown.
func (l Label) check(unlabelled bool) error {
	switch {
	case l.PID == Unknown && !unlabelled:
		return fmt.Errorf("%w: its identity is not known, and an evaluation needs it", ErrLabel)
	case l.Camera == Unknown && !unlabelled:
		return fmt.Errorf("%w: its camera is not known, and the protocol needs it", ErrLabel)
	}
	return cmp.Or(l.PID.checkIdentity(), l.Camera.checkCamera())
}

// squares adds up in four sums, which do not wait for one another.
func squares[T float](v []T) float64 {
	var a, b, c, d float64
	for ; len(v) >= 4; v = v[4:] {
		a += float64(v[0]) * float64(v[0])
		b += float64(v[1]) * float64(v[1])
		c += float64(v[2]) * float64(v[2])
		d += float64(v[3]) * float64(v[3])
	}
	for _, x := range v {
		a += float64(x) * float64(x)
	}
	return (a + b) + (c + d)
}

// named returns the set with a name.
func (s Set) named(name string) Set {
	if s.Name == "" {
		s.Name = name
	}
	return s
}
