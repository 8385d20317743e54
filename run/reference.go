package run

import (
	"math"
	"slices"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/verify"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// studentReference computes a student's outputs by the training code.
func studentReference(states []train.State, inputs []float32, n int, format export.Options, evaluate train.EvaluateOptions) (map[string][]float32, error) {
	return outputs(states[0], inputs, n, wanted(format, export.Outputs()), evaluate)
}

// wanted returns the outputs of a format that names some, else these.
func wanted(format export.Options, all []string) []string {
	if format.Outputs != nil {
		return format.Outputs
	}
	return all
}

// outputs computes some of a student's outputs by the training code, and the
// softmax of its logits here.
func outputs(st train.State, inputs []float32, n int, names []string, evaluate train.EvaluateOptions) (map[string][]float32, error) {
	out := map[string][]float32{}
	if slices.Contains(names, export.Embedding) {
		embedding, err := embeddings(st, inputs, n, evaluate)
		if err != nil {
			return nil, err
		}
		out[export.Embedding] = embedding
	}
	if !slices.Contains(names, export.Logits) && !slices.Contains(names, export.Probabilities) {
		return out, nil
	}
	logits, err := train.Logits(st, inputs, n, evaluate)
	if err != nil {
		return nil, err
	}
	if slices.Contains(names, export.Logits) {
		out[export.Logits] = logits
	}
	if slices.Contains(names, export.Probabilities) {
		out[export.Probabilities] = softmax(logits, n)
	}
	return out, nil
}

// embeddings computes a student's features: the logits of the same network whose
// class scores are the features.
func embeddings(st train.State, inputs []float32, n int, evaluate train.EvaluateOptions) ([]float32, error) {
	net := *st.Network
	shapes, err := net.Shapes()
	if err != nil {
		return nil, err
	}
	features := shapes[net.Embedding].C
	net.Logits, net.Classes = net.Embedding, features
	if features == 1 { // no network tells one class apart: give the feature twice
		net.Layers = append(slices.Clone(net.Layers), models.Layer{Name: "feature twice", Kind: models.KindConcat, Inputs: []string{net.Embedding, net.Embedding}})
		net.Logits, net.Classes = "feature twice", 2
	}
	st.Network = &net
	values, err := train.Logits(st, inputs, n, evaluate)
	if err != nil || features > 1 {
		return values, err
	}
	for i := range n {
		values[i] = values[2*i]
	}
	return values[:n], nil
}

// softmax returns the probabilities of n rows of logits.
func softmax(logits []float32, n int) []float32 {
	out := make([]float32, 0, len(logits))
	for row := range slices.Chunk(logits, len(logits)/n) {
		largest, sum := float64(slices.Max(row)), 0.0
		for _, v := range row {
			sum += math.Exp(float64(v) - largest)
		}
		for _, v := range row {
			out = append(out, float32(math.Exp(float64(v)-largest)/sum))
		}
	}
	return out
}

// cohortReference computes the outputs of a cohort's file.
func cohortReference(states []train.State, inputs []float32, n int, format export.Options, evaluate train.EvaluateOptions) (map[string][]float32, error) {
	names := wanted(format, []string{export.Probabilities, export.Embedding})
	all := map[string][]float32{}
	var parts [][]float32
	for _, st := range states {
		own, err := outputs(st, inputs, n, names, evaluate)
		if err != nil {
			return nil, err
		}
		for _, name := range []string{export.Logits, export.Probabilities} {
			if own[name] != nil {
				all[export.StudentOutput(st.Name, name)] = own[name]
			}
		}
		if p := own[export.Probabilities]; p != nil {
			if all[export.Probabilities] == nil {
				all[export.Probabilities] = make([]float32, len(p))
			}
			for i := range p {
				all[export.Probabilities][i] += p[i] / float32(len(states))
			}
		}
		parts = append(parts, own[export.Embedding])
	}
	if slices.Contains(names, export.Embedding) {
		all[export.Embedding] = joined(parts, n)
	}
	return all, nil
}

// joined puts n rows of each part side by side and divides every row by its L2
// norm.
func joined(parts [][]float32, n int) []float32 {
	var out []float32
	for i := range n {
		start := len(out)
		for _, p := range parts {
			out = append(out, p[i*len(p)/n:(i+1)*len(p)/n]...)
		}
		sum := 0.0
		for _, v := range out[start:] {
			sum += float64(v) * float64(v)
		}
		for j := start; j < len(out) && sum > 0; j++ {
			out[j] = float32(float64(out[j]) / math.Sqrt(sum))
		}
	}
	return out
}

// asPixels takes the normalisation of samples back. It returns the pixels,
// channels last, and the samples that they stand for.
func asPixels(in verify.Samples, shape models.Shape, norm dataset.Norm) (verify.Samples, []float32) {
	area := shape.H * shape.W
	pixels, exact := make([]uint8, len(in.Inputs)), make([]float32, len(in.Inputs))
	for i, v := range in.Inputs {
		sample, channel, at := i/(shape.C*area), i/area%shape.C, i%area
		mean, std := channelNorm(norm, channel)
		level := math.Round(255 * (float64(v)*float64(std) + float64(mean)))
		if math.IsNaN(level) {
			level = 0
		}
		pixel := uint8(min(255, max(0, level)))
		pixels[(sample*area+at)*shape.C+channel] = pixel
		exact[i] = (float32(pixel)/255 - mean) / std
	}
	return verify.Samples{N: in.N, Pixels: pixels}, exact
}

// channelNorm returns what an empty Norm means, too.
func channelNorm(norm dataset.Norm, channel int) (mean, std float32) {
	mean, std = 0, 1
	if len(norm.Mean) > 0 {
		mean = norm.Mean[channel]
	}
	if len(norm.Std) > 0 {
		std = norm.Std[channel]
	}
	return mean, std
}
