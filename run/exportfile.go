package run

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/verify"
	"github.com/deepmutual/dml/train"
)

// HalfTolerance is how far the outputs of a file with float16 weights may be
// from the training code's, as a part of their scale. Rounding moves a weight
// by up to 1/2048 of itself.
const HalfTolerance = 2e-2

// FileOptions configures ExportStudent and ExportCohort.
type FileOptions struct {
	// Inputs holds the preprocessed samples to verify on, [Samples, C, H, W] of
	// the student's input, and must be given; Session.Reference of package train
	// and Run.Reference return some.
	Inputs  []float32
	Samples int
	// Evaluate says how the training code computes.
	Evaluate train.EvaluateOptions
	// Format is what the file shall be like. What is known of the student,
	// classes, normalisation, dataset and mode, is filled in.
	Format export.Options
	// Validation is labelled data to compare accuracies on; nil compares none.
	Validation dataset.Dataset
}

// ExportReport tells about a file that was verified and written.
type ExportReport struct {
	Path string `json:"path"`
	// Name is that of the student, or cohort.
	Name string `json:"-"`
	// Output is the output that is furthest from the training code's, and
	// Deviation by how much, relative to its scale.
	Output    string  `json:"output"`
	Deviation float64 `json:"deviation"`
	// Samples is the number of samples that outputs were compared on.
	Samples int `json:"samples"`
	// Bytes is the size of the file, and Float32Bytes, of a file with float16
	// weights, what it would be with float32.
	Bytes        int `json:"bytes"`
	Float32Bytes int `json:"float32_bytes,omitempty"`
	// Accuracy compares the file with the training code on labelled data; nil
	// without such data, or for a file without class scores.
	Accuracy *AccuracyReport `json:"accuracy,omitempty"`
	// NotCompared says why there was no labelled data, where that was to be the
	// run's.
	NotCompared error `json:"-"`
}

// ExportStudent writes a student to the ONNX file at path, and makes its folder,
// after ONNX Runtime has given the same outputs for the file's bytes as the
// training code gives. On an error path is as it was before.
func ExportStudent(ctx context.Context, path string, st train.State, opts FileOptions) (ExportReport, error) {
	marshal := func(format export.Options) ([]byte, error) { return export.Marshal(st.Network, st.Weights, format) }
	report, err := write(ctx, path, st.Name, []train.State{st}, marshal, studentReference, opts)
	if err != nil {
		return report, fmt.Errorf("student %q is not written to %s: %w", st.Name, path, err)
	}
	return report, nil
}

// ExportCohort is ExportStudent of all students in one file; see export.MarshalCohort.
// They must agree in input, classes and normalisation.
func ExportCohort(ctx context.Context, path string, states []train.State, opts FileOptions) (ExportReport, error) {
	var students []export.Student
	for _, st := range states {
		students = append(students, export.Student{Name: st.Name, Network: st.Network, Weights: st.Weights})
	}
	marshal := func(format export.Options) ([]byte, error) { return export.MarshalCohort(students, format) }
	report, err := write(ctx, path, "cohort", states, marshal, cohortReference, opts)
	if err != nil {
		return report, fmt.Errorf("the cohort is not written to %s: %w", path, err)
	}
	return report, nil
}

// reference computes what a file's outputs must hold.
type reference func(states []train.State, inputs []float32, n int, format export.Options, evaluate train.EvaluateOptions) (map[string][]float32, error)

// write marshals, verifies and writes a file of these students.
func write(ctx context.Context, path, name string, states []train.State, marshal func(export.Options) ([]byte, error), refer reference, opts FileOptions) (ExportReport, error) {
	if opts.Samples < 1 || len(opts.Inputs) == 0 {
		return ExportReport{}, errors.New("FileOptions.Inputs and Samples give no samples to verify it on")
	}
	format, err := describe(states, opts.Format)
	if err != nil {
		return ExportReport{}, err
	}
	model, err := marshal(format)
	if err != nil {
		return ExportReport{}, err
	}
	report := ExportReport{Path: path, Name: name, Bytes: len(model), Samples: opts.Samples}
	tolerance := verify.DefaultTolerance
	if format.Half {
		tolerance = HalfTolerance
		whole := format
		whole.Half = false
		full, err := marshal(whole)
		if err != nil {
			return ExportReport{}, err
		}
		report.Float32Bytes = len(full)
	}
	in := verify.Samples{N: opts.Samples, Inputs: opts.Inputs}
	inputs := opts.Inputs
	if format.Uint8Input {
		in, inputs = asPixels(in, states[0].Network.Input, states[0].Norm)
	}
	want, err := refer(states, inputs, opts.Samples, format, opts.Evaluate)
	if err != nil {
		return ExportReport{}, err
	}
	checked, err := verify.Bytes(ctx, model, verify.Reference{Samples: in, Outputs: want}, verify.Options{Tolerance: tolerance})
	if err != nil {
		return ExportReport{}, err
	}
	report.Output, report.Deviation = checked.Output, checked.Relative()
	if opts.Validation != nil {
		if report.Accuracy, err = compareAccuracy(ctx, model, states, slices.Sorted(maps.Keys(want)), format.Uint8Input, opts); err != nil {
			return ExportReport{}, err
		}
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return ExportReport{}, err
	}
	return report, export.WriteFile(path, model)
}

// describe fills in what the students know. Its error tells how they differ.
func describe(states []train.State, format export.Options) (export.Options, error) {
	if len(states) == 0 {
		return format, errors.New("there is no student")
	}
	first := states[0]
	for _, st := range states[1:] {
		if !slices.Equal(st.Classes, first.Classes) || !slices.Equal(st.Norm.Mean, first.Norm.Mean) || !slices.Equal(st.Norm.Std, first.Norm.Std) {
			return format, fmt.Errorf("students %q and %q have other classes or another normalisation: export them one by one", first.Name, st.Name)
		}
	}
	format.Classes, format.Mean, format.Std = first.Classes, first.Norm.Mean, first.Norm.Std
	format.Dataset, format.Mode = first.Dataset, string(first.Mode)
	return format, nil
}
