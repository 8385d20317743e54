package train

import (
	"fmt"
	"unicode/utf8"
)

// TeacherConfig says where the teacher of [ModeDistill] comes from. Only those
// who open a teacher read it; a session is given the teacher in Options.
type TeacherConfig struct {
	// Path of an ONNX file, of a checkpoint, of a run with one student, or of
	// the folder of a student in a run.
	Path string `yaml:"path,omitempty"`
	// Output says what the first output of an ONNX file holds, logits or
	// probabilities; default: recognised, by its name or else its values.
	Output string `yaml:"output,omitempty"`
	// Mean and Std normalise images as (x/255 - mean) / std, one value a
	// channel, for an ONNX file that does not say so itself.
	Mean []float32 `yaml:"mean,omitempty"`
	Std  []float32 `yaml:"std,omitempty"`
}

// What the output of a teacher's file holds.
const (
	OutputLogits        = "logits"
	OutputProbabilities = "probabilities"
)

// faults lists every fault. Each names its key.
func (t TeacherConfig) faults(mode Mode) []error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	if mode != ModeDistill {
		const useless = ": mode %s has no teacher; leave this out, or use mode %s"
		check(t.Path == "", "teacher.path"+useless, mode, ModeDistill)
		check(t.Output == "", "teacher.output"+useless, mode, ModeDistill)
		check(len(t.Mean) == 0, "teacher.mean"+useless, mode, ModeDistill)
		check(len(t.Std) == 0, "teacher.std"+useless, mode, ModeDistill)
		return faults
	}
	check(t.Path != "", "teacher.path: missing; mode %s needs a teacher: an ONNX file, a checkpoint or the folder of a run", ModeDistill)
	check(utf8.ValidString(t.Path), "teacher.path: %q is not valid UTF-8, which a configuration file cannot hold; rename or link it", t.Path)
	check(t.Output == "" || t.Output == OutputLogits || t.Output == OutputProbabilities,
		"teacher.output: %q is unknown; use %s or %s", t.Output, OutputLogits, OutputProbabilities)
	for _, v := range []struct {
		key    string
		values []float32
	}{{"mean", t.Mean}, {"std", t.Std}} {
		check(len(v.values) == 0 || len(v.values) == 1 || len(v.values) == 3, "teacher.%s: %d values; give one a channel, 1 or 3", v.key, len(v.values))
		for _, x := range v.values {
			check(finite(float64(x)) && (v.key == "mean" || x > 0), "teacher.%s: %g is not a possible %s", v.key, x, v.key)
		}
	}
	return faults
}
