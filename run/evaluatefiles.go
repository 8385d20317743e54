package run

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/verify"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// evaluateFiles scores exported students and their ensemble on every sample of
// ds, batch samples at a time. files are the names of the model's files; the
// students of a file that holds a cohort are scored one by one, under their own
// names, where it gives class scores of each.
func evaluateFiles(ctx context.Context, model *infer.Model, files []string, ds dataset.Dataset, batch int) (train.Evaluation, error) {
	info := model.Info()
	if !info.Images {
		return train.Evaluation{}, infer.ErrNoMetadata
	}
	loader, err := dataset.NewLoader(ds, dataset.LoaderOptions{
		Batch: batch,
		Shape: dataset.Shape{Channels: info.Channels, Height: info.Height, Width: info.Width},
		Norm:  dataset.Norm{Mean: info.Mean, Std: info.Std},
	})
	if err != nil {
		return train.Evaluation{}, err
	}
	epoch := loader.Epoch(ctx, 0, 0)
	defer epoch.Close()
	names := studentNames(model, files)
	var ensemble train.Tally
	students := make([]train.Tally, len(names))
	for {
		b, err := epoch.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return train.Evaluation{}, err
		}
		joint, each, err := classScores(ctx, model, b)
		if err != nil {
			return train.Evaluation{}, err
		}
		if each == nil { // of the whole alone
			names, students = files, students[:1]
			each = [][]float32{joint}
		}
		ensemble.Add(joint, b.Labels)
		for i, probabilities := range each {
			students[i].Add(probabilities, b.Labels)
		}
	}
	result := train.Evaluation{Ensemble: ensemble.Scores()}
	for i, name := range names {
		result.Students = append(result.Students, train.NamedScores{Name: name, Scores: students[i].Scores()})
	}
	return result, nil
}

// studentNames names every student: after its file, or as a file that holds a
// cohort does.
func studentNames(m *infer.Model, files []string) []string {
	var names []string
	for i, model := range m.Networks() {
		if model.StudentNames == nil {
			names = append(names, files[i])
		}
		for _, name := range model.StudentNames {
			if len(files) > 1 {
				name = export.StudentOutput(files[i], name)
			}
			names = append(names, name)
		}
	}
	return names
}

// classScores gives the posteriors of a batch, the cohort's and each student's;
// none of these for one file that gives the cohort's alone. It takes the softmax
// of the logits of files that have no probabilities.
func classScores(ctx context.Context, m *infer.Model, b *dataset.Batch) (joint []float32, students [][]float32, err error) {
	info := m.Info()
	var all infer.Outputs
	if info.Uint8 {
		shape := models.Shape{C: info.Channels, H: info.Height, W: info.Width}
		in, _ := asPixels(verify.Samples{N: b.N, Inputs: b.Images}, shape, dataset.Norm{Mean: info.Mean, Std: info.Std})
		all, err = m.RunPixels(ctx, in.Pixels, b.N)
	} else {
		all, err = m.Run(ctx, b.Images, b.N)
	}
	switch {
	case err != nil:
		return nil, nil, err
	case all.Posterior() == nil:
		return nil, nil, errors.New("a file has no class scores: it cannot be evaluated")
	case all.Students == nil && len(m.Networks()) > 1:
		return nil, nil, errors.New("a file that holds a cohort gives no class scores of each student: evaluate it by itself")
	}
	joint = all.Posterior()
	if slices.ContainsFunc(joint, func(p float32) bool { return p != p }) {
		return nil, nil, errors.New("a file gives class scores that are not numbers (NaN): it cannot be evaluated")
	}
	for i, o := range all.Students {
		if o.Posterior() == nil {
			return nil, nil, fmt.Errorf("student %d has no class scores: it cannot be evaluated", i+1)
		}
		students = append(students, o.Posterior())
	}
	return joint, students, nil
}
