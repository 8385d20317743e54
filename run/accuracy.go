package run

import (
	"context"
	"errors"
	"io"
	"slices"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/verify"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/train"
)

// AccuracyReport compares a file with the training code on labelled images.
type AccuracyReport struct {
	Images int `json:"images"`
	// Rows are the students, and the ensemble last where there are several.
	Rows []AccuracyRow `json:"rows"`
}

// AccuracyRow holds two fractions of images whose class was found.
type AccuracyRow struct {
	Name    string  `json:"name"`
	Trained float64 `json:"trained"` // by the training code
	File    float64 `json:"file"`    // by ONNX Runtime
}

// compareAccuracy returns nil for a file without class scores.
func compareAccuracy(ctx context.Context, model []byte, states []train.State, outputs []string, pixels bool, opts FileOptions) (_ *AccuracyReport, failure error) {
	rows := scoreOutputs(states, outputs)
	if len(rows) == 0 {
		return nil, nil
	}
	names := make([]string, len(rows))
	for i, row := range rows {
		names[i] = row.output
	}
	m, err := infer.OpenBytes(infer.Options{Outputs: names}, model)
	if err != nil {
		return nil, err
	}
	defer func() { failure = errors.Join(failure, m.Close()) }()
	trained, err := train.Evaluate(ctx, states, opts.Validation, opts.Evaluate)
	if err != nil {
		return nil, err
	}
	correct, err := countCorrect(ctx, m, states[0], rows, pixels, opts)
	if err != nil {
		return nil, err
	}
	images := opts.Validation.Len()
	report := &AccuracyReport{Images: images}
	for i, row := range rows {
		accuracy := trained.Ensemble.Accuracy
		if row.student >= 0 {
			accuracy = trained.Students[row.student].Accuracy
		}
		report.Rows = append(report.Rows, AccuracyRow{row.name, accuracy, float64(correct[i]) / float64(images)})
	}
	return report, nil
}

// scored is an output that tells classes apart.
type scored struct {
	name    string
	student int // -1 is the ensemble
	output  string
}

// scoreOutputs finds, for each student and the ensemble, an output with class
// scores.
func scoreOutputs(states []train.State, have []string) []scored {
	has := map[string]bool{}
	for _, name := range have {
		has[name] = true
	}
	var rows []scored
	find := func(name string, student int, output func(string) string) {
		for _, kind := range []string{export.Probabilities, export.Logits} {
			if has[output(kind)] {
				rows = append(rows, scored{name, student, output(kind)})
				return
			}
		}
	}
	plain := func(kind string) string { return kind }
	for i, st := range states {
		find(st.Name, i, func(kind string) string { return export.StudentOutput(st.Name, kind) })
	}
	if len(rows) == 0 && len(states) == 1 {
		find(states[0].Name, 0, plain)
	} else if len(states) > 1 {
		find("ensemble", -1, plain)
	}
	return rows
}

// countCorrect counts, for each output, the images whose class it finds.
func countCorrect(ctx context.Context, m *infer.Model, st train.State, rows []scored, pixels bool, opts FileOptions) ([]int, error) {
	batch := opts.Evaluate.Batch
	if batch == 0 {
		batch = 64
	}
	in := st.Network.Input
	loader, err := dataset.NewLoader(opts.Validation, dataset.LoaderOptions{
		Batch: batch, Shape: dataset.Shape{Channels: in.C, Height: in.H, Width: in.W}, Norm: st.Norm,
	})
	if err != nil {
		return nil, err
	}
	epoch := loader.Epoch(ctx, 0, 0)
	defer epoch.Close()
	correct := make([]int, len(rows))
	for {
		b, err := epoch.Next()
		if err == io.EOF {
			return correct, nil
		}
		if err != nil {
			return nil, err
		}
		var out infer.Outputs
		if pixels {
			samples, _ := asPixels(verify.Samples{N: b.N, Inputs: b.Images}, in, st.Norm)
			out, err = m.RunPixels(ctx, samples.Pixels, b.N)
		} else {
			out, err = m.Run(ctx, b.Images, b.N)
		}
		if err != nil {
			return nil, err
		}
		for i, row := range rows {
			scores := out.Named[row.output]
			classes := len(scores) / b.N
			for j, label := range b.Labels[:b.N] {
				row := scores[j*classes : (j+1)*classes]
				if slices.Index(row, slices.Max(row)) == int(label) {
					correct[i]++
				}
			}
		}
	}
}
