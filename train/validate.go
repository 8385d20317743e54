package train

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train/optim"
)

// SettingError says which setting is wrong, and how.
type SettingError struct {
	// Key of the setting, as configuration files write it: batch, mimicry.weight,
	// students[1].optimizer.momentum.
	Key string
	Err error
}

func (e *SettingError) Error() string { return e.Key + ": " + e.Err.Error() }

func (e *SettingError) Unwrap() error { return e.Err }

// faults gathers wrong settings.
type faults []error

func (f *faults) check(ok bool, key, format string, args ...any) {
	if !ok {
		*f = append(*f, &SettingError{key, fmt.Errorf(format, args...)})
	}
}

// fields adds the faults that an optimizer or a schedule below a key reports.
func (f *faults) fields(key string, err error) {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			f.fields(key, e)
		}
		return
	}
	if field := (*optim.FieldError)(nil); errors.As(err, &field) {
		key, err = key+"."+field.Field, field.Err
	}
	f.check(err == nil, key, "%w", err)
}

// MaxThreads bounds the threads that may be asked for: more would exhaust the
// machine before the mistake could be told.
const MaxThreads = 4096

const maxSide = 4096 // pixels

// Validate reports every fault of a configuration whose defaults are written
// out, joined, each a *SettingError.
func (c Config) Validate() error {
	var f faults
	f.check(len(c.Students) > 0, "students", "none given")
	c.modeFaults(&f)
	names := make(map[string]bool)
	for i, s := range c.Students {
		at := fmt.Sprintf("students[%d]", i)
		f.check(ValidName(s.Name), at+".name", "%q cannot be the name of a student and its files", s.Name)
		f.check(!names[s.Name], at+".name", "%q is used twice", s.Name)
		names[s.Name] = true
		if err := s.archFault(); err != nil {
			f.check(false, at+".arch", "%w", err)
		}
		if s.Optimizer != nil {
			f.fields(at+".optimizer", s.Optimizer.Validate())
		}
		if s.Schedule != nil {
			f.fields(at+".schedule", s.Schedule.Validate())
		}
	}
	f.check(c.Height >= 0 && c.Width >= 0 && (c.Height == 0) == (c.Width == 0), "data.height", "%d, with a width of %d; give both or neither", c.Height, c.Width)
	f.check(c.Height <= maxSide && c.Width <= maxSide, "data.height", "%d, with a width of %d; at most %d", c.Height, c.Width, maxSide)
	f.check(c.Epochs > 0, "epochs", "%d is not positive", c.Epochs)
	f.check(c.Batch > 1, "batch", "%d is too small; batch normalisation needs at least 2", c.Batch)
	f.fields("optimizer", c.Optimizer.Validate())
	f.fields("schedule", c.Schedule.Validate())
	c.Stop.faults(&f)
	augmentFaults(&f, c.Augment)
	f.check(c.Threads >= 0 && c.Threads <= MaxThreads, "threads", "%d is not between 0 (all cores) and %d", c.Threads, MaxThreads)
	return errors.Join(f...)
}

// archFault reports what is wrong with the architecture.
func (s Student) archFault() error {
	if s.Network != nil {
		return s.Network.Validate()
	}
	_, err := models.Lookup(s.Arch)
	return err
}

// augmentFaults checks what can be told without knowing the images.
func augmentFaults(f *faults, a dataset.Augment) {
	f.check(a.PadCrop >= 0, "augment.pad_crop", "%d is negative", a.PadCrop)
	f.check(a.PadMode == dataset.PadReflect || a.PadMode == dataset.PadZero, "augment.pad_mode", "%q is unknown; use %s or %s", a.PadMode, dataset.PadReflect, dataset.PadZero)
	for _, part := range []struct {
		key string
		err error
	}{
		{"resized_crop.min_scale", a.ResizedCrop.Validate()},
		{"erase.probability", a.Erase.Validate()},
		{"jitter.brightness", dataset.Jitter{Brightness: a.Jitter.Brightness}.Validate()},
		{"jitter.contrast", dataset.Jitter{Contrast: a.Jitter.Contrast}.Validate()},
		{"jitter.saturation", dataset.Jitter{Saturation: a.Jitter.Saturation}.Validate()},
		{"jitter.hue", dataset.Jitter{Hue: a.Jitter.Hue}.Validate()},
	} {
		if part.err != nil {
			f.check(false, "augment."+part.key, "%s", strings.ReplaceAll(part.err.Error(), "\n", "; "))
		}
	}
}

// ValidName reports whether a name is one plain path element, so that files can
// be called so.
func ValidName(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 200 && utf8.ValidString(name) &&
		name == filepath.Base(name) && !strings.ContainsAny(name, `/\:`) && !strings.ContainsFunc(name, unicode.IsControl)
}

// modeFaults reports every fault of the settings that say what is learnt from
// whom and when.
func (c Config) modeFaults(f *faults) {
	f.check(slices.Contains(Modes(), c.Mode), "mode", "%q is unknown; use one of %v", c.Mode, Modes())
	f.check(!c.Mode.mutual() || len(c.Students) != 1, "students", "mutual learning needs at least two; for one use mode %s", ModeIndependent)
	f.check(c.Order == OrderSimultaneous || c.Order == OrderSequential, "order", "%q is unknown; use %s or %s", c.Order, OrderSimultaneous, OrderSequential)
	f.check(c.Order != OrderSequential || c.Mode.mutual(), "order", "%s needs students that learn from each other; mode %s has none", OrderSequential, c.Mode)
	f.check(c.Views == ViewsShared || c.Views == ViewsPerStudent, "views", "%q is unknown; use %s or %s", c.Views, ViewsShared, ViewsPerStudent)
	f.check(c.LabelSmoothing >= 0 && c.LabelSmoothing < 1, "label_smoothing", "%g is not in [0, 1)", c.LabelSmoothing)
	c.Mimicry.faults(f, c.Mode)
}

func finite(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }
