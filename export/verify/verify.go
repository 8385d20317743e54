// Package verify compares an exported model, run by ONNX Runtime, with
// reference outputs: those of the framework that trained it.
package verify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/infer"
)

// DefaultTolerance is the largest difference allowed, as a part of the
// output's scale.
const DefaultTolerance = 1e-4

// ErrMismatch is wrapped by *MismatchError.
var ErrMismatch = errors.New("the exported model does not compute what the network does")

// Samples are N inputs, as Inputs or as Pixels.
type Samples struct {
	N int
	// Inputs are normalised: [N, channels, height, width], row-major.
	Inputs []float32
	// Pixels are for a model whose input is uint8: [N, height, width,
	// channels], row-major.
	Pixels []uint8
}

// Reference holds inputs and what the network makes of them.
type Reference struct {
	Samples
	// Outputs are what the model's outputs of those names must hold:
	// [N, ...], row-major. Outputs that are not named are not compared.
	Outputs map[string][]float32
}

// Options says how to compare. The zero value is what most want.
type Options struct {
	// Tolerance replaces DefaultTolerance where it is not 0.
	Tolerance float64
	// BatchSize is how many samples run at once; 0 means all.
	BatchSize int
	// Runtime opens the model; its Outputs are the reference's.
	Runtime infer.Options
}

// Report tells how close the model came, in the output that is furthest off.
type Report struct {
	Samples   int
	Output    string
	Scale     float64 // largest absolute value of the output's reference
	MaxDiff   float64 // largest absolute difference
	Sample    int     // where MaxDiff is
	Index     int     // where MaxDiff is, in the sample: the class of a logit
	Reference float32 // the reference's value there
	Runtime   float32 // ONNX Runtime's value there
	Tolerance float64 // as a part of Scale
}

// Relative is the largest difference as a part of the scale.
func (r Report) Relative() float64 {
	if r.Scale == 0 {
		return r.MaxDiff
	}
	return r.MaxDiff / r.Scale
}

// passed is false for differences that are not finite too.
func (r Report) passed() bool { return r.Relative() <= r.Tolerance }

// MismatchError says by how much a model is off. It wraps ErrMismatch.
type MismatchError struct{ Report Report }

func (e *MismatchError) Error() string {
	r := e.Report
	return fmt.Sprintf("%s: %s of sample %d, at %d: %g instead of %g, off by %.3g of the output's scale %.4g; %.3g is allowed",
		ErrMismatch, r.Output, r.Sample, r.Index, r.Runtime, r.Reference, r.Relative(), r.Scale, r.Tolerance)
}

func (e *MismatchError) Unwrap() error { return ErrMismatch }

// File compares the model in a file with the reference. The error is a
// *MismatchError where they differ by more than the tolerance; the report is
// filled then too.
func File(ctx context.Context, path string, ref Reference, opts Options) (Report, error) {
	model, err := os.ReadFile(path)
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	report, err := Bytes(ctx, model, ref, opts)
	if err != nil {
		return report, fmt.Errorf("%s: %w", path, err)
	}
	return report, nil
}

// Bytes is File for a model that is not written yet.
func Bytes(ctx context.Context, model []byte, ref Reference, opts Options) (_ Report, failure error) {
	if err := ref.validate(); err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	if err := export.Check(model); err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	runtime := opts.Runtime
	runtime.Outputs = slices.Sorted(maps.Keys(ref.Outputs))
	m, err := infer.OpenBytes(runtime, model)
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	defer func() { failure = errors.Join(failure, m.Close()) }()
	got, err := ref.Samples.run(ctx, m, opts.BatchSize)
	if err != nil {
		return Report{}, fmt.Errorf("verify: %w", err)
	}
	tolerance := opts.Tolerance
	if tolerance == 0 {
		tolerance = DefaultTolerance
	}
	var worst Report
	for _, name := range runtime.Outputs {
		want := ref.Outputs[name]
		if len(got[name]) != len(want) {
			return Report{}, fmt.Errorf("verify: the model gives %d values of %s for %d samples, the reference has %d", len(got[name]), name, ref.N, len(want))
		}
		r := measure(got[name], want, ref.N)
		r.Output, r.Tolerance = name, tolerance
		if worst.Output == "" || !(r.Relative() <= worst.Relative()) {
			worst = r
		}
	}
	if !worst.passed() {
		return worst, &MismatchError{Report: worst}
	}
	return worst, nil
}

// run returns what each output that m was opened with holds for the samples. At
// most batch samples, 0 for all, run at a time.
func (s Samples) run(ctx context.Context, m *infer.Model, batch int) (map[string][]float32, error) {
	if batch <= 0 {
		batch = s.N
	}
	width := (len(s.Inputs) + len(s.Pixels)) / s.N
	all := make(map[string][]float32)
	for start := 0; start < s.N; start += batch {
		n := min(batch, s.N-start)
		var out infer.Outputs
		var err error
		if s.Pixels == nil {
			out, err = m.Run(ctx, s.Inputs[start*width:(start+n)*width], n)
		} else if !m.Info().Uint8 {
			err = fmt.Errorf("%w: the input takes normalised values, not pixels", infer.ErrWrongInput)
		} else {
			out, err = m.RunPixels(ctx, s.Pixels[start*width:(start+n)*width], n)
		}
		if err != nil {
			return nil, err
		}
		for name, values := range out.Named {
			all[name] = append(all[name], values...)
		}
	}
	return all, nil
}

func (s Samples) validate() error {
	values := len(s.Inputs) + len(s.Pixels)
	if s.N < 1 || values == 0 || values%s.N != 0 || len(s.Inputs) > 0 && len(s.Pixels) > 0 {
		return fmt.Errorf("%d samples cannot have %d normalised values and %d pixels", s.N, len(s.Inputs), len(s.Pixels))
	}
	return nil
}

func (r Reference) validate() error {
	if err := r.Samples.validate(); err != nil {
		return err
	}
	if len(r.Outputs) == 0 {
		return errors.New("the reference names no output")
	}
	for name, values := range r.Outputs {
		if len(values) == 0 || len(values)%r.N != 0 {
			return fmt.Errorf("a reference of %d samples cannot have %d values of %s", r.N, len(values), name)
		}
	}
	return nil
}

// measure finds the largest difference; one that is not a number counts as
// infinite.
func measure(got, want []float32, samples int) Report {
	r := Report{Samples: samples, MaxDiff: -1}
	width := len(want) / samples
	for i, w := range want {
		r.Scale = max(r.Scale, math.Abs(float64(w)))
		diff := math.Abs(float64(got[i]) - float64(w))
		if math.IsNaN(diff) {
			diff = math.Inf(1)
		}
		if diff > r.MaxDiff {
			r.MaxDiff, r.Sample, r.Index = diff, i/width, i%width
			r.Reference, r.Runtime = w, got[i]
		}
	}
	return r
}
