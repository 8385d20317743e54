package gops

import (
	"unsafe"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// FusedConv appends act(convolution of x + sum), without a gradient. sum is nil
// for none, and else is brought to the layout of the spec's Dst; the result takes
// its memory where nothing else reads it. The spec's Src, Bias and Sum are
// filled in.
func (b *Builder) FusedConv(x Tensor, weights, bias *gorgonia.Node, sum *Tensor, spec kernel.ConvSpec) (Tensor, error) {
	spec.Src, spec.Bias, spec.Sum, spec.ForwardOnly = x.Desc, bias != nil, sum != nil, true
	k, err := b.Engine.Conv(spec)
	if err != nil {
		return Tensor{}, err
	}
	y := Tensor{Desc: spec.Dst}
	inputs := gorgonia.Nodes{x.Node, weights}
	biasAt, sumAt := 0, 0
	if bias != nil {
		biasAt, inputs = len(inputs), append(inputs, bias)
	}
	o := &op{name: "conv", out: dims(spec.Dst)}
	if sum != nil {
		r, err := b.Reorder(*sum, spec.Dst)
		if err != nil {
			return Tensor{}, err
		}
		sumAt, inputs = len(inputs), append(inputs, r.Node)
		o.inPlace = sumAt + 1
	}
	o.run = func(dst []float32, in [][]float32) error {
		if sumAt > 0 && unsafe.SliceData(dst) != unsafe.SliceData(in[sumAt]) {
			copy(dst, in[sumAt])
		}
		var bias []float32
		if biasAt > 0 {
			bias = in[biasAt]
		}
		return k.Forward(y.wrap(dst), x.wrap(in[0]), in[1], bias)
	}
	y.Node, err = b.apply(o, inputs...)
	return y, err
}

// FoldBatchNorm appends the weights and the bias of a convolution that does the
// batch normalisation after it too, with given statistics:
//
//	weights' = weights gamma / sqrt(variance + Epsilon)
//	bias'    = (bias - mean) gamma / sqrt(variance + Epsilon) + beta
//
// They are computed in every run, from the weights of that moment; bias is nil
// for none. It is the normalisation itself, of the kernels of each output
// channel in place of its pixels.
func (b *Builder) FoldBatchNorm(weights, bias, gamma, beta, mean, variance *gorgonia.Node, epsilon float32) (w, folded *gorgonia.Node, err error) {
	channels := gamma.Shape().TotalSize()
	none := make([]float32, channels)
	normalise := func(values int) (kernel.BatchNorm, kernel.Desc, error) {
		d := kernel.Desc{N: 1, C: channels, H: 1, W: values / channels}
		k, err := b.Engine.BatchNorm(kernel.BatchNormSpec{Src: d, Epsilon: epsilon, ForwardOnly: true})
		return k, d, err
	}
	scale, d, err := normalise(weights.Shape().TotalSize())
	if err != nil {
		return nil, nil, err
	}
	w, err = b.apply(&op{name: "fold weights", out: weights.Shape().Clone(),
		run: func(dst []float32, in [][]float32) error {
			return scale.Infer(kernel.Tensor{Desc: d, Data: dst}, kernel.Tensor{Desc: d, Data: in[0]}, in[1], none, none, in[2])
		}}, weights, gamma, variance)
	if err != nil {
		return nil, nil, err
	}
	shift, one, err := normalise(channels)
	if err != nil {
		return nil, nil, err
	}
	inputs := gorgonia.Nodes{gamma, beta, mean, variance}
	if bias != nil {
		inputs = append(inputs, bias)
	}
	folded, err = b.apply(&op{name: "fold bias", out: gamma.Shape().Clone(),
		run: func(dst []float32, in [][]float32) error {
			bias := none
			if len(in) > 4 {
				bias = in[4]
			}
			return shift.Infer(kernel.Tensor{Desc: one, Data: dst}, kernel.Tensor{Desc: one, Data: bias}, in[0], in[1], in[2], in[3])
		}}, inputs...)
	return w, folded, err
}
