// Package verify compares an exported model, run by ONNX Runtime, with
// reference outputs: those of the framework that trained it.
package verify

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/deepmutual/dml/infer"
)

// DefaultTolerance is the largest difference allowed, as a part of the
// logits' scale.
const DefaultTolerance = 1e-4

// ErrMismatch is wrapped by *MismatchError.
var ErrMismatch = errors.New("the exported model does not compute what the network does")

// Reference holds inputs and what the network makes of them.
type Reference struct {
	// Samples is the number of inputs.
	Samples int
	// Inputs are normalised: [Samples, channels, height, width], row-major.
	Inputs []float32
	// Logits are [Samples, classes], row-major.
	Logits []float32
}

// Options says how to compare. The zero value is what most want.
type Options struct {
	// Tolerance replaces DefaultTolerance where it is not 0.
	Tolerance float64
	// BatchSize is how many samples run at once; 0 means all.
	BatchSize int
	// Runtime opens the model.
	Runtime infer.Options
}

// Report tells how close the model came.
type Report struct {
	Samples   int
	Scale     float64 // largest absolute reference logit
	MaxDiff   float64 // largest absolute difference of a logit
	Sample    int     // where MaxDiff is
	Class     int     // where MaxDiff is
	Reference float32 // the reference's logit there
	Runtime   float32 // ONNX Runtime's logit there
	Tolerance float64 // as a part of Scale
}

// Relative is the largest difference as a part of the scale.
func (r Report) Relative() float64 {
	if r.Scale == 0 {
		return r.MaxDiff
	}
	return r.MaxDiff / r.Scale
}

// passed is false for differences that are no numbers too.
func (r Report) passed() bool { return r.Relative() <= r.Tolerance }

// MismatchError says by how much a model is off. It wraps ErrMismatch.
type MismatchError struct{ Report Report }

func (e *MismatchError) Error() string {
	r := e.Report
	return fmt.Sprintf("%s: sample %d, class %d: %g instead of %g, off by %.3g of the logits' scale %.4g; %.3g is allowed",
		ErrMismatch, r.Sample, r.Class, r.Runtime, r.Reference, r.Relative(), r.Scale, r.Tolerance)
}

func (e *MismatchError) Unwrap() error { return ErrMismatch }

// File compares the model in a file with the reference. The error is a
// *MismatchError where they differ by more than the tolerance; the report is
// filled then too.
func File(ctx context.Context, path string, ref Reference, opts Options) (Report, error) {
	m, err := infer.Open(path, opts.Runtime)
	return compare(ctx, m, err, ref, opts)
}

// Bytes is File for a model that is not written yet.
func Bytes(ctx context.Context, model []byte, ref Reference, opts Options) (Report, error) {
	m, err := infer.OpenBytes(model, opts.Runtime)
	return compare(ctx, m, err, ref, opts)
}

func compare(ctx context.Context, m *infer.Model, err error, ref Reference, opts Options) (_ Report, failure error) {
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	defer func() { failure = errors.Join(failure, m.Close()) }()
	if err := ref.validate(); err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	got, err := runAll(ctx, m, ref, opts.BatchSize)
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	if len(got) != len(ref.Logits) {
		return Report{}, fmt.Errorf("verify: the model gives %d logits for %d samples, the reference has %d", len(got), ref.Samples, len(ref.Logits))
	}
	tolerance := opts.Tolerance
	if tolerance == 0 {
		tolerance = DefaultTolerance
	}
	r := measure(got, ref, tolerance)
	if !r.passed() {
		return r, &MismatchError{Report: r}
	}
	return r, nil
}

func (r Reference) validate() error {
	if r.Samples < 1 || len(r.Inputs)%r.Samples != 0 || len(r.Logits) == 0 || len(r.Logits)%r.Samples != 0 {
		return fmt.Errorf("a reference of %d samples cannot have %d input values and %d logits", r.Samples, len(r.Inputs), len(r.Logits))
	}
	return nil
}

func runAll(ctx context.Context, m *infer.Model, ref Reference, batch int) ([]float32, error) {
	if batch <= 0 {
		batch = ref.Samples
	}
	size := len(ref.Inputs) / ref.Samples
	logits := make([]float32, 0, len(ref.Logits))
	for start := 0; start < ref.Samples; start += batch {
		end := min(start+batch, ref.Samples)
		out, err := m.Run(ctx, ref.Inputs[start*size:end*size], end-start)
		if err != nil {
			return nil, err
		}
		logits = append(logits, out.Logits...)
	}
	return logits, nil
}

// measure finds the largest difference; one that is no number counts as
// infinite.
func measure(got []float32, ref Reference, tolerance float64) Report {
	r := Report{Samples: ref.Samples, Tolerance: tolerance, MaxDiff: -1}
	classes := len(ref.Logits) / ref.Samples
	for i, want := range ref.Logits {
		r.Scale = max(r.Scale, math.Abs(float64(want)))
		diff := math.Abs(float64(got[i]) - float64(want))
		if math.IsNaN(diff) {
			diff = math.Inf(1)
		}
		if diff > r.MaxDiff {
			r.MaxDiff, r.Sample, r.Class = diff, i/classes, i%classes
			r.Reference, r.Runtime = want, got[i]
		}
	}
	return r
}
