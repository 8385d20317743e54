package bridge

import (
	"context"
	"io"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/score"
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
		mean, each, err := cohort.RunEach(ctx, b.Images, b.N)
		if err != nil {
			return train.Evaluation{}, err
		}
		ensemble.Add(mean.Probabilities, b.Labels)
		for i, out := range each {
			students[i].Add(out.Probabilities, b.Labels)
		}
	}
	result := train.Evaluation{Ensemble: ensemble.Scores()}
	for i, name := range names {
		result.Students = append(result.Students, train.NamedScores{Name: name, Scores: students[i].Scores()})
	}
	return result, nil
}
