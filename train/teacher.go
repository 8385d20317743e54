package train

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/deepmutual/dml/dataset"
)

// Teacher is a trained classifier whose posteriors students learn from in
// [ModeDistill]. A session calls it from one goroutine, once a view and step.
type Teacher interface {
	Info() TeacherInfo
	// Logits writes the class scores of images [n, C, H, W], prepared as Info
	// says, to dst [n, classes]. Their softmax is the teacher's posterior: a
	// teacher that knows its posteriors alone writes their logarithms.
	Logits(dst, images []float32) error
}

// TeacherInfo describes a teacher.
type TeacherInfo struct {
	// Name tells people which teacher this is.
	Name string
	// Fingerprint tells it from any other, so that a run does not go on with
	// another teacher than it began with.
	Fingerprint string
	// Input is how the teacher wants its images: it is shown the augmented
	// images of the students, resized and normalised its own way.
	Input dataset.Preparation
	// Classes is the number of its classes.
	Classes int
	// ClassNames are theirs in order; empty if they are not known.
	ClassNames []string
}

// check reports why a teacher cannot teach students of these classes.
func (t TeacherInfo) check(classes []string, ds string) error {
	if t.Classes != len(classes) {
		return fmt.Errorf("the teacher %s tells %d classes apart, %s has %d: a teacher must have been trained on the students' classes",
			t.Name, t.Classes, ds, len(classes))
	}
	if len(t.ClassNames) == 0 {
		return nil
	}
	for i, name := range t.ClassNames {
		if name != classes[i] {
			return fmt.Errorf("class %d of the teacher %s is %q, that of %s is %q: a teacher must have been trained on the students' classes, in their order",
				i, t.Name, name, ds, classes[i])
		}
	}
	return nil
}

// checkTeacher reports a teacher that the mode has no use for, a missing one,
// and one that does not fit the data.
func (s *Session) checkTeacher(t Teacher) error {
	switch {
	case s.cfg.Mode != ModeDistill && t != nil:
		return fmt.Errorf("a teacher is given, but mode %s has none; use mode %s", s.cfg.Mode, ModeDistill)
	case s.cfg.Mode != ModeDistill:
		return nil
	case t == nil:
		return errors.New("mode distill needs a teacher, in Options.Teacher")
	}
	return t.Info().check(s.classes, s.dataset)
}

// lesson is what a teacher makes of a mini-batch.
type lesson struct {
	teacher     Teacher
	classes     int
	temperature float64
	logits      []float32
	posteriors  [][]float32 // [batch, classes] of each view, at the temperature
}

func newLesson(t Teacher, batch, views int, temperature float64) *lesson {
	l := &lesson{teacher: t, classes: t.Info().Classes, temperature: temperature}
	if !hot(temperature) {
		l.temperature = 1
	}
	l.logits = make([]float32, batch*l.classes)
	for range views {
		l.posteriors = append(l.posteriors, make([]float32, batch*l.classes))
	}
	return l
}

// prepare computes the posteriors of every view of a mini-batch.
func (l *lesson) prepare(batch *dataset.Batch) error {
	if len(batch.Second) != len(l.posteriors) {
		return fmt.Errorf("teacher %s: %d views of a mini-batch, want %d", l.teacher.Info().Name, len(batch.Second), len(l.posteriors))
	}
	for v, images := range batch.Second {
		if err := l.teacher.Logits(l.logits, images); err != nil {
			return fmt.Errorf("teacher %s: %w", l.teacher.Info().Name, err)
		}
		for at := 0; at < len(l.logits); at += l.classes {
			if !soften(l.posteriors[v][at:at+l.classes], l.logits[at:at+l.classes], l.temperature) {
				return fmt.Errorf("teacher %s: the logits of sample %d of a mini-batch are not finite", l.teacher.Info().Name, at/l.classes)
			}
		}
	}
	return nil
}

// soften writes softmax(logits / temperature), and reports whether it is a
// distribution. A logit of minus infinity has the probability 0.
func soften(dst, logits []float32, temperature float64) bool {
	most := float64(slices.Max(logits))
	var sum float64
	for i, x := range logits {
		e := math.Exp((float64(x) - most) / temperature)
		dst[i] = float32(e)
		sum += e
	}
	for i := range dst {
		dst[i] = float32(float64(dst[i]) / sum)
	}
	return sum >= 1 && !math.IsInf(most, 0)
}
