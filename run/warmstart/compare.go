package warmstart

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// comparison is an ONNX file's outputs on noise, computed once.
type comparison struct {
	src  *Source
	opts Options

	ran     bool
	why     string // it cannot be compared
	input   models.Shape
	samples []float32
	n       int
	outputs infer.Outputs
}

// maxCompared bounds the values of the samples that a file is run on.
const maxCompared = 1 << 24

// run runs the file. What keeps it from running is a reason, not an error: its
// weights may be good all the same.
func (c *comparison) run(own models.Shape) {
	c.ran = true
	model, err := infer.OpenBytes(c.opts.Infer, c.src.onnx)
	if err != nil {
		c.why = err.Error()
		return
	}
	defer model.Close()
	info := model.Info()
	c.n, c.input = info.Batch, models.Shape{C: info.Channels, H: info.Height, W: info.Width}
	if c.n == 0 {
		c.n = 2
	}
	if c.input.H == 0 || c.input.W == 0 {
		c.input = own
	}
	switch {
	case info.Uint8 || info.NormalisedInGraph:
		c.why = "it normalises pixels itself"
	case c.input.C != own.C:
		c.why = fmt.Sprintf("it takes samples of %v, the network of %v", c.input, own)
	case c.input.Size() > maxCompared/c.n:
		c.why = fmt.Sprintf("it takes %d samples of %v, which is too much", c.n, c.input)
	}
	if c.why != "" {
		return
	}
	rng := rand.New(rand.NewPCG(1, 2))
	c.samples = make([]float32, c.n*c.input.Size())
	for i := range c.samples {
		c.samples[i] = float32(rng.NormFloat64())
	}
	if c.outputs, err = model.Run(context.Background(), c.samples, c.n); err != nil {
		c.why = err.Error()
	}
}

// compare writes into the report how far the outputs are apart.
func (c *comparison) compare(m *matching) error {
	if c.src.onnx == nil {
		return nil
	}
	if !c.ran {
		c.run(m.net.Input)
	}
	if c.why != "" {
		m.report.NotCompared = c.why
		return nil
	}
	net, weights, hasHead := m.forComparison(c.input)
	if err := net.CheckWeights(weights); err != nil {
		m.report.NotCompared = fmt.Sprintf("the network does not fit the file's samples, %v", c.input)
		return nil
	}
	logits, embedding, err := outputsOf(net, weights, c.samples, c.n, c.opts.Evaluate)
	if err != nil {
		return err
	}
	ours := [][]float32{embedding}
	if hasHead {
		ours = append(ours, logits, softmaxOf(logits, c.n))
	}
	for _, output := range []struct {
		name   string
		values []float32
	}{{"logits", c.outputs.Logits}, {"probabilities", c.outputs.Probabilities}, {"embeddings", c.outputs.Embedding}} {
		// A file of another maker may call its output anything.
		least := math.Inf(1)
		for _, own := range ours {
			if len(own) == len(output.values) && len(own) > 0 {
				least = min(least, distance(own, output.values))
			}
		}
		if r := m.report; !math.IsInf(least, 1) && (r.Compared == nil || least > r.Compared.Distance) {
			r.Compared = &Comparison{Output: output.name, Samples: c.n, Distance: least}
		}
	}
	if m.report.Compared == nil {
		m.report.NotCompared = "none of its outputs is one of the network's"
	}
	return nil
}

// forComparison returns the network for samples of another size, with the file's
// own classifier where it has one that fits, and whether it has.
func (m *matching) forComparison(input models.Shape) (*models.Network, models.Weights, bool) {
	net := *m.net
	net.Input = input
	if m.classifier < 0 || m.theirHead < 0 {
		return &net, m.weights, m.classifier < 0
	}
	if m.pairs[m.classifier] >= 0 {
		return &net, m.weights, true
	}
	name, head := m.layers[m.classifier].name, m.src.layers[m.theirHead]
	at := slices.IndexFunc(net.Layers, func(l models.Layer) bool { return l.Name == name })
	theirs := head.tensors[models.RoleWeight]
	if net.Layers[at].Dense == nil || theirs == nil || net.Logits != name {
		return &net, m.weights, false
	}
	weights, dense := m.weights.Clone(), *net.Layers[at].Dense
	net.Layers = slices.Clone(net.Layers)
	net.Layers[at].Dense = &dense
	net.Classes, dense.Out = theirs.shape[0], theirs.shape[0]
	weights[name+".weight"] = theirs.data
	if bias := head.tensors[models.RoleBias]; bias != nil && dense.Bias {
		weights[name+".bias"] = bias.data
	} else if dense.Bias {
		weights[name+".bias"] = make([]float32, dense.Out)
	}
	return &net, weights, true
}

// outputsOf computes a network's logits and embeddings by the training code.
func outputsOf(net *models.Network, weights models.Weights, samples []float32, n int, opts train.EvaluateOptions) (logits, embedding []float32, err error) {
	shapes, err := net.Shapes()
	if err != nil {
		return nil, nil, err
	}
	both, name := *net, "logits and embedding"
	both.Layers = append(slices.Clone(net.Layers), models.Layer{Name: name, Kind: models.KindConcat, Inputs: []string{net.Logits, net.Embedding}})
	both.Logits, both.Classes = name, net.Classes+shapes[net.Embedding].C
	values, err := evaluate(&both, weights, samples, n, opts)
	if err != nil {
		return nil, nil, err
	}
	for row := range slices.Chunk(values, both.Classes) {
		logits = append(logits, row[:net.Classes]...)
		embedding = append(embedding, row[net.Classes:]...)
	}
	return logits, embedding, nil
}

// evaluate computes the logits of samples that are normalised already.
func evaluate(net *models.Network, weights models.Weights, samples []float32, n int, opts train.EvaluateOptions) ([]float32, error) {
	st := train.State{Name: net.Name, Network: net, Weights: weights, Norm: dataset.Norm{Mean: make([]float32, net.Input.C)}}
	return train.Logits(st, samples, n, opts)
}

func softmaxOf(logits []float32, n int) []float32 {
	out := make([]float32, 0, len(logits))
	for row := range slices.Chunk(logits, len(logits)/n) {
		most, sum := float64(slices.Max(row)), 0.0
		for _, v := range row {
			sum += math.Exp(float64(v) - most)
		}
		for _, v := range row {
			out = append(out, float32(math.Exp(float64(v)-most)/sum))
		}
	}
	return out
}

// distance is the L2 norm of a difference, relative to that of want. Non-finite
// values are infinitely far.
func distance(got, want []float32) float64 {
	var diff, norm float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		diff += d * d
		norm += float64(w) * float64(w)
	}
	d := math.Sqrt(diff / norm)
	switch {
	case diff == 0:
		return 0
	case math.IsNaN(d):
		return math.MaxFloat64
	}
	return min(d, math.MaxFloat64)
}
