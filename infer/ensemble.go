package infer

import (
	"errors"
	"fmt"
	"math"
)

// Ensemble says how several networks join their outputs. The zero value takes
// the mean of their probabilities, and their embeddings side by side.
type Ensemble struct {
	// Logits averages the logits instead of the probabilities; the
	// probabilities are the softmax of the mean.
	Logits bool
	// Weights of the models, positive; they are scaled to the sum 1. Empty
	// means equal ones.
	Weights []float64
	// AverageEmbeddings averages the embeddings, which must be of one length,
	// instead of putting them side by side. Either way each student's is scaled
	// to length 1 first, so that none outweighs the others by its scale. Side by
	// side they take the root of their student's weight: the cosine of two joint
	// embeddings is then the weighted mean of the students' cosines.
	AverageEmbeddings bool
}

// weights are those of n students, of sum 1.
func (e Ensemble) weights(n int) []float64 {
	out := make([]float64, n)
	var sum float64
	for i := range out {
		out[i] = 1
		if len(e.Weights) > 0 {
			out[i] = e.Weights[i]
		}
		sum += out[i]
	}
	for i := range out {
		out[i] /= sum
	}
	return out
}

// features is the length of the joint embedding, 0 where it is not known.
func (e Ensemble) features(each []int) (int, error) {
	sum := 0
	for i, n := range each {
		if n == 0 {
			return 0, nil
		}
		if e.AverageEmbeddings && n != each[0] {
			return 0, fmt.Errorf("embeddings to average: model %d's has %d features, the first's %d", i+1, n, each[0])
		}
		sum += n
	}
	if e.AverageEmbeddings {
		return each[0], nil
	}
	return sum, nil
}

// outputs joins the students' outputs. What some student lacks is missing.
func (e Ensemble) outputs(each []Outputs) (Outputs, error) {
	out := Outputs{N: each[0].N}
	weights := e.weights(len(each))
	var scores, embeddings [][]float32
	for _, o := range each {
		if e.Logits {
			scores = append(scores, o.Logits)
		} else {
			scores = append(scores, o.Posterior())
		}
		embeddings = append(embeddings, o.Embedding)
	}
	mean, err := weightedMean(scores, weights)
	if err != nil {
		return Outputs{}, fmt.Errorf("%w: scores: %w", ErrMismatch, err)
	}
	if out.Probabilities = mean; e.Logits {
		out.Logits, out.Probabilities = mean, Outputs{N: out.N, Logits: mean}.Posterior()
	}
	if out.Embedding, err = e.embeddings(embeddings, weights, out.N); err != nil {
		return Outputs{}, fmt.Errorf("%w: embeddings: %w", ErrMismatch, err)
	}
	return out, nil
}

// embeddings joins the students' embeddings of n samples.
func (e Ensemble) embeddings(each [][]float32, weights []float64, n int) ([]float32, error) {
	unit := make([][]float32, len(each))
	width := 0
	for s, v := range each {
		if v == nil {
			return nil, nil
		}
		width += len(v) / n
		unit[s] = append(unit[s], v...)
		for row := range rows(unit[s], n) {
			normalise(row)
		}
	}
	if e.AverageEmbeddings {
		return weightedMean(unit, weights)
	}
	out := make([]float32, 0, n*width)
	for i := range n {
		for s, v := range unit {
			scale := math.Sqrt(weights[s])
			width := len(v) / n
			for _, x := range v[i*width : (i+1)*width] {
				out = append(out, float32(scale*float64(x)))
			}
		}
	}
	return out, nil
}

// weightedMean adds lists of one length; nil where one is nil.
func weightedMean(lists [][]float32, weights []float64) ([]float32, error) {
	for _, v := range lists {
		if v == nil {
			return nil, nil
		}
		if len(v) != len(lists[0]) {
			return nil, errors.New("the models give different numbers of values")
		}
	}
	out := make([]float32, len(lists[0]))
	for i := range out {
		var sum float64
		for s, v := range lists {
			sum += weights[s] * float64(v[i])
		}
		out[i] = float32(sum)
	}
	return out, nil
}
