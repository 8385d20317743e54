package warmstart

import (
	"fmt"
	"math"
	"slices"

	"github.com/deepmutual/dml/models"
)

// calibrate gives all batch norms the statistics of the samples, and changes scale
// and shift so that each computes what it did:
//
//	gamma' = gamma sqrt(v + epsilon) / sqrt(variance + epsilon)
//	beta'  = beta + gamma (m - mean) / sqrt(variance + epsilon)
//	mean' = m, variance' = v
//
// for m and v of what the norm reads. In evaluation the network is the same as
// before. In training, where a norm takes the statistics of the batch, which are
// about m and v, it is nearly so: training begins with the function of the file.
func (m *matching) calibrate(opts Options) error {
	n := len(opts.Samples) / m.net.Input.Size()
	if n < 2 {
		m.report.Warnings = append(m.report.Warnings, "batch norm is folded into the file's layers: it is loaded with neutral statistics, "+
			"which compute the same but are not those of the data; the first steps of training change them")
		return nil
	}
	statistics, err := measure(m.net, m.weights, opts.Samples[:n*m.net.Input.Size()], n, opts)
	if err != nil {
		return fmt.Errorf("statistics of the training samples: %w", err)
	}
	for _, l := range m.layers {
		if l.kind != models.KindBatchNorm {
			continue
		}
		s := statistics[l.name]
		gamma, beta := l.tensors[models.RoleGamma].data, l.tensors[models.RoleBeta].data
		mean, variance := l.tensors[models.RoleRunningMean].data, l.tensors[models.RoleRunningVar].data
		for c := range gamma {
			scale := float64(gamma[c]) / math.Sqrt(float64(variance[c])+float64(l.epsilon))
			before := float64(mean[c])
			mean[c], variance[c] = float32(s.mean[c]), float32(s.variance[c])
			beta[c] = float32(float64(beta[c]) + scale*(float64(mean[c])-before))
			gamma[c] = float32(scale * math.Sqrt(float64(variance[c])+float64(l.epsilon)))
		}
	}
	m.report.Calibrated = n
	return nil
}

// statistic is the mean and the biased variance of each channel.
type statistic struct{ mean, variance []float64 }

// measure returns the statistics of what each batch norm reads in evaluation, over
// all samples and pixels. A network computes them that gives the mean and the mean
// square of each channel of each sample in place of its logits.
func measure(net *models.Network, weights models.Weights, samples []float32, n int, opts Options) (map[string]statistic, error) {
	shapes, err := net.Shapes()
	if err != nil {
		return nil, err
	}
	probe := *net
	probe.Layers = slices.Clone(net.Layers)
	var moments []string // of all norms one after the other
	moment := func(name, of string) {
		if !shapes[of].IsVector() {
			probe.Layers = append(probe.Layers, models.Layer{Name: name, Kind: models.KindGlobalAvgPool, Inputs: []string{of}})
			of = name
		}
		moments = append(moments, of)
	}
	probe.Classes = 0
	for _, l := range net.Layers {
		if l.Kind != models.KindBatchNorm {
			continue
		}
		read, square := l.Inputs[0], "square read by "+l.Name
		moment("mean read by "+l.Name, read)
		probe.Layers = append(probe.Layers, models.Layer{Name: square, Kind: models.KindMultiply, Inputs: []string{read, read}})
		shapes[square] = shapes[read]
		moment("mean square read by "+l.Name, square)
		probe.Classes += 2 * shapes[read].C
	}
	probe.Logits = "moments"
	probe.Layers = append(probe.Layers, models.Layer{Name: probe.Logits, Kind: models.KindConcat, Inputs: moments})
	values, err := evaluate(&probe, weights, samples, n, opts.Evaluate)
	if err != nil {
		return nil, err
	}
	sums := make([]float64, probe.Classes)
	for row := range slices.Chunk(values, probe.Classes) {
		for i, v := range row {
			sums[i] += float64(v) / float64(n)
		}
	}
	out := make(map[string]statistic)
	for _, l := range net.Layers {
		if l.Kind != models.KindBatchNorm {
			continue
		}
		channels := shapes[l.Inputs[0]].C
		s := statistic{mean: sums[:channels], variance: sums[channels : 2*channels]}
		for c, mean := range s.mean {
			s.variance[c] = max(0, s.variance[c]-mean*mean)
		}
		out[l.Name], sums = s, sums[2*channels:]
	}
	return out, nil
}
