package onnxmeta

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Tensor describes a graph's input or output.
type Tensor struct {
	Name  string
	Dims  []int64 // -1 means dynamic; the first is the batch
	Uint8 bool    // of 8-bit numbers; else float32
}

// MaxSample bounds the values of one sample: 1 GiB of float32.
const MaxSample = 1 << 28

// Sample returns the number of values of one sample, or 0 where it is not
// fixed, or beyond MaxSample, or there is no such tensor or no batch.
func (t Tensor) Sample() int {
	if t.Name == "" || len(t.Dims) == 0 {
		return 0
	}
	n := int64(1)
	for _, d := range t.Dims[1:] {
		if d < 1 || d > MaxSample/n {
			return 0
		}
		n *= d
	}
	return int(n)
}

// CheckBatch reports a batch that is fixed and larger than any memory is for:
// MaxSample bounds its values, too.
func (t Tensor) CheckBatch() error {
	if len(t.Dims) > 0 && t.Dims[0] > 0 && int64(t.Sample()) > MaxSample/t.Dims[0] {
		return fmt.Errorf("%q has a fixed batch of %d samples of %d values; at most %d values are computed at once", t.Name, t.Dims[0], t.Sample(), MaxSample)
	}
	return nil
}

// CheckGraph reports every contradiction between m and a graph with that input
// and those outputs, joined. Outputs that m says nothing of are passed over.
func (m Metadata) CheckGraph(input Tensor, outputs []Tensor) error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	want := []int64{int64(m.Channels), int64(m.Height), int64(m.Width)}
	if input.Uint8 {
		want = []int64{want[1], want[2], want[0]}
	}
	if input.Name != Input || len(input.Dims) == 0 || !slices.Equal(input.Dims[1:], want) {
		fault("its input is %q %v, its metadata says %q [batch %v]", input.Name, input.Dims, Input, want)
	}
	if input.Uint8 != m.NormalisedInGraph {
		fault("its metadata says %s=%v, which does not go with its type of input", KeyNormalised, m.NormalisedInGraph)
	}
	for _, student := range m.Students {
		for _, kind := range []string{Logits, Probabilities} {
			if promised(kind, outputs) && !has(StudentOutput(student, kind), outputs) {
				fault("it gives %s of students, but not of %q, whom its metadata names", kind, student)
			}
		}
	}
	for _, out := range outputs {
		if m.scores(out.Name) && out.Sample() != len(m.Classes) {
			fault("its output %q has the shape %v for %d classes", out.Name, out.Dims, len(m.Classes))
		}
	}
	return errors.Join(errs...)
}

// promised tells whether a file gives an output of that kind of any student.
func promised(kind string, outputs []Tensor) bool {
	return slices.ContainsFunc(outputs, func(t Tensor) bool { return IsStudentOutput(t.Name) && strings.HasSuffix(t.Name, "/"+kind) })
}

func has(name string, outputs []Tensor) bool {
	return slices.ContainsFunc(outputs, func(t Tensor) bool { return t.Name == name })
}

// scores tells whether an output of that name has a value for each class.
func (m Metadata) scores(output string) bool {
	student, _, _ := strings.Cut(output, "/")
	return output == Logits || output == Probabilities || IsStudentOutput(output) && slices.Contains(m.Students, student)
}
