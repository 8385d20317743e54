package gops

import (
	"fmt"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// The loss ops work on small [batch, classes] matrices and give losses as
// arrays of one value. Targets are constants: no gradient flows into them.

// scalar is the shape of a loss.
var scalar = tensor.Shape{1}

// Scale appends factor * x.
func (b *Builder) Scale(x Tensor, factor float32) (Tensor, error) {
	times := func(dst []float32, in [][]float32) error {
		for i, v := range in[0] {
			dst[i] = factor * v
		}
		return nil
	}
	forward := &op{name: "scale", out: dims(x.Desc), wrt: []bool{x.NeedsGrad}, run: times}
	forward.diff = func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		d, err := b.apply(&op{name: "scale gradient", out: in[0].Shape().Clone(), run: times}, grad)
		return gorgonia.Nodes{d}, err
	}
	node, err := b.apply(forward, x.Node)
	return x.derived(node, x.Desc), err
}

// LogSoftmax appends the row-wise logarithm of the softmax of a matrix.
func (b *Builder) LogSoftmax(x Tensor) (Tensor, error) {
	k, err := b.Engine.Softmax(kernel.SoftmaxSpec{Rows: x.Desc.N, Cols: x.Desc.C, Log: true})
	if err != nil {
		return Tensor{}, err
	}
	return b.fromOutput("log-softmax", k, x)
}

// CrossEntropy appends the mean over rows of -sum target * logq. target is a
// constant distribution: one-hot labels, or a peer's posterior.
func (b *Builder) CrossEntropy(target, logq Tensor) (*gorgonia.Node, error) {
	rows := logq.Desc.N
	forward := &op{name: "cross entropy", out: scalar.Clone(), wrt: []bool{false, true},
		run: func(dst []float32, in [][]float32) error {
			var sum float64
			for i, t := range in[0] {
				if t != 0 { // 0 log 0 is 0
					sum -= float64(t) * float64(in[1][i])
				}
			}
			dst[0] = float32(sum / float64(rows))
			return nil
		}}
	forward.diff = func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		d, err := b.apply(&op{name: "cross entropy gradient", out: in[1].Shape().Clone(),
			run: func(dst []float32, in [][]float32) error {
				scale := -in[0][0] / float32(rows)
				for i, t := range in[1] {
					dst[i] = scale * t
				}
				return nil
			}}, grad, in[0])
		return gorgonia.Nodes{nil, d}, err
	}
	return b.apply(forward, target.Node, logq.Node)
}

// Entropy appends the mean over rows of -sum p log p of a constant
// distribution.
func (b *Builder) Entropy(p Tensor) (*gorgonia.Node, error) {
	return b.apply(&op{name: "entropy", out: scalar.Clone(),
		run: func(dst []float32, in [][]float32) error {
			dst[0] = float32(kernel.Entropy(in[0], p.Desc.C))
			return nil
		}}, p.Node)
}

// WeightedSum appends sum weights[i] * terms[i] of losses.
func (b *Builder) WeightedSum(weights []float32, terms ...*gorgonia.Node) (*gorgonia.Node, error) {
	if len(weights) != len(terms) {
		return nil, fmt.Errorf("weighted sum: %d weights for %d terms", len(weights), len(terms))
	}
	wrt := make([]bool, len(terms))
	for i, t := range terms {
		if o, ok := t.Op().(*op); ok {
			wrt[i] = o.diff != nil
		}
	}
	forward := &op{name: "weighted sum", out: scalar.Clone(), wrt: wrt,
		run: func(dst []float32, in [][]float32) error {
			var sum float64
			for i, w := range weights {
				sum += float64(w) * float64(in[i][0])
			}
			dst[0] = float32(sum)
			return nil
		}}
	forward.diff = func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		grads := make(gorgonia.Nodes, len(in))
		for i, w := range weights {
			if !wrt[i] {
				continue
			}
			var err error
			grads[i], err = b.apply(&op{name: "weighted sum gradient", out: scalar.Clone(),
				run: func(dst []float32, in [][]float32) error {
					dst[0] = w * in[0][0]
					return nil
				}}, grad)
			if err != nil {
				return nil, err
			}
		}
		return grads, nil
	}
	return b.apply(forward, terms...)
}

// Times appends factor * loss. factor is a constant of one value that the
// caller fills, and may change between runs.
func (b *Builder) Times(factor, loss *gorgonia.Node) (*gorgonia.Node, error) {
	times := func(dst []float32, in [][]float32) error {
		dst[0] = in[0][0] * in[1][0]
		return nil
	}
	forward := &op{name: "times", out: scalar.Clone(), wrt: []bool{false, true}, run: times}
	forward.diff = func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		d, err := b.apply(&op{name: "times gradient", out: scalar.Clone(), run: times}, in[0], grad)
		return gorgonia.Nodes{nil, d}, err
	}
	return b.apply(forward, factor, loss)
}
