package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/export/verify"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/score"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// EvaluateCohort scores exported students, of these names, and their ensemble
// on every sample of ds, batch samples at a time.
func EvaluateCohort(ctx context.Context, cohort *infer.Cohort, names []string, ds dataset.Dataset, batch int) (train.Evaluation, error) {
	info := cohort.Info()
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
	var ensemble score.Tally
	students := make([]score.Tally, len(names))
	for {
		b, err := epoch.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return train.Evaluation{}, err
		}
		mean, each, err := classScores(ctx, cohort, b)
		if err != nil {
			return train.Evaluation{}, err
		}
		ensemble.Add(mean, b.Labels)
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

// classScores gives the posteriors of a batch. It takes the softmax of the logits
// of files that have no probabilities, and the mean over the students where the
// cohort gives no joint probabilities.
func classScores(ctx context.Context, cohort *infer.Cohort, b *dataset.Batch) (joint []float32, students [][]float32, err error) {
	info := cohort.Info()
	var all infer.Outputs
	var each []infer.Outputs
	switch {
	case !info.Uint8:
		all, each, err = cohort.RunEach(ctx, b.Images, b.N)
	case info.Students > 1:
		return nil, nil, errors.New("files whose input is uint8 are evaluated one by one, or as one file that holds the cohort")
	default:
		shape := models.Shape{C: info.Channels, H: info.Height, W: info.Width}
		in, _ := asPixels(verify.Samples{N: b.N, Inputs: b.Images}, shape, dataset.Norm{Mean: info.Mean, Std: info.Std})
		all, err = cohort.RunPixels(ctx, in.Pixels, b.N)
		each = []infer.Outputs{all}
	}
	if err != nil {
		return nil, nil, err
	}
	out := make([][]float32, len(each))
	for i, o := range each {
		switch {
		case o.Probabilities != nil:
			out[i] = o.Probabilities
		case o.Logits != nil:
			out[i] = softmax(o.Logits, b.N)
		default:
			return nil, nil, fmt.Errorf("model %d has no class scores: it cannot be evaluated", i+1)
		}
	}
	joint = all.Probabilities
	if joint == nil {
		joint = make([]float32, len(out[0]))
		score.Mean(joint, out...)
	}
	return joint, out, nil
}
