package gops

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// weighted is what convolutions and dense layers have in common.
type weighted interface {
	Forward(dst, src kernel.Tensor, weights, bias []float32) error
	BackwardData(dSrc, dDst kernel.Tensor, weights []float32) error
	BackwardWeights(dWeights, dBias []float32, src, dDst kernel.Tensor) error
}

// Conv appends a convolution of x. The spec's Src and NoDataGradient are
// filled in; bias is nil when the spec has none.
func (b *Builder) Conv(x Tensor, weights, bias *gorgonia.Node, spec kernel.ConvSpec) (Tensor, error) {
	spec.Src = x.Desc
	spec.NoDataGradient = !x.NeedsGrad
	spec.Bias = bias != nil
	k, err := b.Engine.Conv(spec)
	if err != nil {
		return Tensor{}, err
	}
	return b.weighted("conv", k, x, weights, bias, spec.Dst)
}

// Dense appends a fully connected layer of the matrix x.
func (b *Builder) Dense(x Tensor, weights, bias *gorgonia.Node, out int) (Tensor, error) {
	k, err := b.Engine.Dense(kernel.DenseSpec{Batch: x.Desc.N, In: x.Desc.C, Out: out, Bias: bias != nil})
	if err != nil {
		return Tensor{}, err
	}
	return b.weighted("dense", k, x, weights, bias, kernel.Matrix(x.Desc.N, out))
}

func (b *Builder) weighted(name string, k weighted, x Tensor, weights, bias *gorgonia.Node, dst kernel.Desc) (Tensor, error) {
	y := Tensor{Desc: dst, NeedsGrad: true}
	inputs := gorgonia.Nodes{x.Node, weights}
	wrt := []bool{x.NeedsGrad, true}
	if bias != nil {
		inputs, wrt = append(inputs, bias), append(wrt, true)
	}
	forward := &op{name: name, out: dims(dst), wrt: wrt}
	forward.run = func(dst []float32, in [][]float32) error {
		var b []float32
		if len(in) > 2 {
			b = in[2]
		}
		return k.Forward(y.wrap(dst), x.wrap(in[0]), in[1], b)
	}
	forward.diff = func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		return b.weightedGradients(name, k, x, y, in, grad)
	}
	node, err := b.apply(forward, inputs...)
	y.Node = node
	return y, err
}

// weightedGradients computes the weight and bias gradients in one op, of which
// the bias gradient is tapped, and the data gradient where something upstream
// is trained.
func (b *Builder) weightedGradients(name string, k weighted, x, y Tensor, in gorgonia.Nodes, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	grads := make(gorgonia.Nodes, len(in))
	var dBias []float32
	if len(in) > 2 {
		dBias = make([]float32, in[2].Shape().TotalSize())
	}
	var err error
	grads[1], err = b.apply(&op{name: name + " weight gradient", out: in[1].Shape().Clone(),
		run: func(dst []float32, in [][]float32) error {
			return k.BackwardWeights(dst, dBias, x.wrap(in[0]), y.wrap(in[1]))
		}}, in[0], grad)
	if err != nil {
		return nil, err
	}
	if dBias != nil {
		if grads[2], err = b.tap(name+" bias gradient", dBias, in[2].Shape(), grads[1]); err != nil {
			return nil, err
		}
	}
	if x.NeedsGrad {
		grads[0], err = b.apply(&op{name: name + " data gradient", out: in[0].Shape().Clone(),
			run: func(dst []float32, in [][]float32) error {
				return k.BackwardData(x.wrap(dst), y.wrap(in[0]), in[1])
			}}, grad, in[1])
	}
	return grads, err
}

// tap returns a node with values that the op of another node leaves behind.
func (b *Builder) tap(name string, values []float32, shape tensor.Shape, after *gorgonia.Node) (*gorgonia.Node, error) {
	return b.apply(&op{name: name, out: shape.Clone(),
		run: func(dst []float32, _ [][]float32) error {
			copy(dst, values)
			return nil
		}}, after)
}

// Statistics is a batch normalisation's hold on its batch statistics.
type Statistics struct{ kernel kernel.BatchNorm }

// Advance moves running statistics by those of the last forward run.
func (s Statistics) Advance(mean, variance []float32) { s.kernel.UpdateRunning(mean, variance) }

// BatchNorm appends a batch normalisation with the statistics of the batch.
func (b *Builder) BatchNorm(x Tensor, gamma, beta *gorgonia.Node, spec kernel.BatchNormSpec) (Tensor, Statistics, error) {
	spec.Src = x.Desc
	k, err := b.Engine.BatchNorm(spec)
	if err != nil {
		return Tensor{}, Statistics{}, err
	}
	forward := &op{name: "batch norm", out: dims(x.Desc), wrt: []bool{true, true, true},
		run: func(dst []float32, in [][]float32) error {
			return k.Forward(x.wrap(dst), x.wrap(in[0]), in[1], in[2])
		}}
	forward.diff = func(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		dGamma, dBeta := make([]float32, x.Desc.C), make([]float32, x.Desc.C)
		backward := &op{name: "batch norm data gradient", out: in[0].Shape().Clone()}
		inputs := gorgonia.Nodes{grad, in[0], in[1], in[2]}
		if spec.Act != nil {
			inputs = append(inputs, out)
		}
		backward.run = func(dst []float32, in [][]float32) error {
			y := kernel.Tensor{Desc: x.Desc}
			if len(in) > 4 {
				y.Data = in[4]
			}
			return k.Backward(x.wrap(dst), dGamma, dBeta, x.wrap(in[0]), x.wrap(in[1]), y, in[2], in[3])
		}
		dx, err := b.apply(backward, inputs...)
		if err != nil {
			return nil, err
		}
		dg, err := b.tap("batch norm gamma gradient", dGamma, in[1].Shape(), dx)
		if err != nil {
			return nil, err
		}
		db, err := b.tap("batch norm beta gradient", dBeta, in[2].Shape(), dx)
		return gorgonia.Nodes{dx, dg, db}, err
	}
	node, err := b.apply(forward, x.Node, gamma, beta)
	y := x.derived(node, x.Desc)
	y.NeedsGrad = true
	return y, Statistics{k}, err
}

// BatchNormInfer appends a batch normalisation with given statistics.
func (b *Builder) BatchNormInfer(x Tensor, gamma, beta, mean, variance *gorgonia.Node, spec kernel.BatchNormSpec) (Tensor, error) {
	spec.Src, spec.ForwardOnly = x.Desc, true
	k, err := b.Engine.BatchNorm(spec)
	if err != nil {
		return Tensor{}, err
	}
	node, err := b.apply(&op{name: "batch norm inference", out: dims(x.Desc),
		run: func(dst []float32, in [][]float32) error {
			return k.Infer(x.wrap(dst), x.wrap(in[0]), in[1], in[2], in[3], in[4])
		}}, x.Node, gamma, beta, mean, variance)
	return x.derived(node, x.Desc), err
}

// unary is a kernel whose backward pass needs only the gradient.
type unary interface {
	Forward(dst, src kernel.Tensor) error
	Backward(dSrc, dDst kernel.Tensor) error
}

func (b *Builder) unary(name string, k unary, x Tensor, dst kernel.Desc) (Tensor, error) {
	y := Tensor{Desc: dst}
	forward := &op{name: name, out: dims(dst), wrt: []bool{true},
		run: func(dst []float32, in [][]float32) error { return k.Forward(y.wrap(dst), x.wrap(in[0])) }}
	forward.diff = func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		dx, err := b.apply(&op{name: name + " gradient", out: in[0].Shape().Clone(),
			run: func(dst []float32, in [][]float32) error { return k.Backward(x.wrap(dst), y.wrap(in[0])) }}, grad)
		return gorgonia.Nodes{dx}, err
	}
	node, err := b.apply(forward, x.Node)
	return x.derived(node, dst), err
}

// Pool appends a max or average pooling; the spec's Src is filled in.
func (b *Builder) Pool(x Tensor, spec kernel.PoolSpec) (Tensor, error) {
	spec.Src = x.Desc
	k, err := b.Engine.Pool(spec)
	if err != nil {
		return Tensor{}, err
	}
	return b.unary("pool", k, x, spec.Dst)
}

// GlobalAvgPool appends the mean over height and width, a matrix.
func (b *Builder) GlobalAvgPool(x Tensor) (Tensor, error) {
	k, err := b.Engine.GlobalAvgPool(x.Desc)
	if err != nil {
		return Tensor{}, err
	}
	return b.unary("global average pool", k, x, kernel.Matrix(x.Desc.N, x.Desc.C))
}

// Subsample appends an option A shortcut; the spec's Src is filled in.
func (b *Builder) Subsample(x Tensor, spec kernel.SubsampleSpec) (Tensor, error) {
	spec.Src = x.Desc
	k, err := b.Engine.Subsample(spec)
	if err != nil {
		return Tensor{}, err
	}
	return b.unary("subsample", k, x, spec.Dst)
}

// reorder runs a reorder one way and back.
type reorder struct{ there, back kernel.Reorder }

func (r reorder) Forward(dst, src kernel.Tensor) error    { return r.there.Run(dst, src) }
func (r reorder) Backward(dSrc, dDst kernel.Tensor) error { return r.back.Run(dSrc, dDst) }

// Reorder appends a change of layout, or nothing if x has the wanted Desc.
func (b *Builder) Reorder(x Tensor, dst kernel.Desc) (Tensor, error) {
	if x.Desc == dst {
		return x, nil
	}
	there, err := b.Engine.Reorder(dst, x.Desc)
	if err != nil {
		return Tensor{}, err
	}
	back, err := b.Engine.Reorder(x.Desc, dst)
	if err != nil {
		return Tensor{}, err
	}
	return b.unary("reorder", reorder{there, back}, x, dst)
}

// Add appends act(l + r); act is nil for none. r is brought to l's layout.
func (b *Builder) Add(l, r Tensor, act *kernel.Clip) (Tensor, error) {
	r, err := b.Reorder(r, l.Desc)
	if err != nil {
		return Tensor{}, err
	}
	k, err := b.Engine.Add(kernel.AddSpec{Desc: l.Desc, Act: act})
	if err != nil {
		return Tensor{}, err
	}
	forward := &op{name: "add", out: dims(l.Desc), wrt: []bool{true, true},
		run: func(dst []float32, in [][]float32) error {
			return k.Forward(l.wrap(dst), l.wrap(in[0]), l.wrap(in[1]))
		}}
	forward.diff = func(_ gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		if act == nil {
			return gorgonia.Nodes{grad, grad}, nil
		}
		d, err := b.apply(&op{name: "add gradient", out: out.Shape().Clone(),
			run: func(dst []float32, in [][]float32) error {
				return k.Backward(l.wrap(dst), l.wrap(in[0]), l.wrap(in[1]))
			}}, grad, out)
		return gorgonia.Nodes{d, d}, err
	}
	node, err := b.apply(forward, l.Node, r.Node)
	y := l.derived(node, l.Desc)
	y.NeedsGrad = l.NeedsGrad || r.NeedsGrad
	return y, err
}

// Concat appends the channels of two or more tensors one after the other, in
// dst; each may be in a layout of its own.
func (b *Builder) Concat(dst kernel.Desc, in ...Tensor) (Tensor, error) {
	spec := kernel.ConcatSpec{Dst: dst}
	y := Tensor{Desc: dst}
	var nodes gorgonia.Nodes
	var wrt []bool
	for _, x := range in {
		spec.Srcs = append(spec.Srcs, x.Desc)
		nodes, wrt = append(nodes, x.Node), append(wrt, x.NeedsGrad)
		y.NeedsGrad = y.NeedsGrad || x.NeedsGrad
	}
	k, err := b.Engine.Concat(spec)
	if err != nil {
		return Tensor{}, err
	}
	srcs := make([]kernel.Tensor, len(in)) // reused by every run
	forward := &op{name: "concat", out: dims(dst), wrt: wrt,
		run: func(dst []float32, values [][]float32) error {
			for i, x := range in {
				srcs[i] = x.wrap(values[i])
			}
			return k.Forward(y.wrap(dst), srcs...)
		}}
	forward.diff = func(nodes gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		grads := make(gorgonia.Nodes, len(nodes))
		for i, x := range in {
			if !x.NeedsGrad {
				continue
			}
			var err error
			grads[i], err = b.apply(&op{name: "concat gradient", out: nodes[i].Shape().Clone(),
				run: func(dst []float32, values [][]float32) error {
					return k.Backward(i, x.wrap(dst), y.wrap(values[0]))
				}}, grad)
			if err != nil {
				return nil, err
			}
		}
		return grads, nil
	}
	y.Node, err = b.apply(forward, nodes...)
	return y, err
}

// Mask is a dropout's hold on what it drops.
type Mask struct{ key *uint64 }

// SetKey chooses the mask of the next runs, see kernel.MaskKey. A backward run
// must have the key of its forward run.
func (m Mask) SetKey(key uint64) { *m.key = key }

// Dropout appends a dropout of x.
func (b *Builder) Dropout(x Tensor, rate float32) (Tensor, Mask, error) {
	k, err := b.Engine.Dropout(kernel.DropoutSpec{Desc: x.Desc, Rate: rate})
	if err != nil {
		return Tensor{}, Mask{}, err
	}
	masked := maskedBy{k, new(uint64)}
	y, err := b.unary("dropout", masked, x, x.Desc)
	return y, Mask{masked.key}, err
}

// maskedBy runs a dropout both ways with one key.
type maskedBy struct {
	kernel kernel.Dropout
	key    *uint64
}

func (m maskedBy) Forward(dst, src kernel.Tensor) error    { return m.kernel.Run(dst, src, *m.key) }
func (m maskedBy) Backward(dSrc, dDst kernel.Tensor) error { return m.kernel.Run(dSrc, dDst, *m.key) }

// Activation appends act(x).
func (b *Builder) Activation(x Tensor, act kernel.Clip) (Tensor, error) {
	k, err := b.Engine.Activation(kernel.ActivationSpec{Desc: x.Desc, Act: act})
	if err != nil {
		return Tensor{}, err
	}
	return b.fromOutput("activation", k, x)
}

// Sigmoid appends a sigmoid of x.
func (b *Builder) Sigmoid(x Tensor, hard bool) (Tensor, error) {
	k, err := b.Engine.Sigmoid(kernel.SigmoidSpec{Desc: x.Desc, Hard: hard})
	if err != nil {
		return Tensor{}, err
	}
	return b.fromOutput("sigmoid", k, x)
}

// Multiply appends x * factor: of equal extents, or with a matrix [N, C] or a
// feature map of one pixel that gates the channels of x. factor is brought to the
// layout that this needs.
func (b *Builder) Multiply(x, factor Tensor) (Tensor, error) {
	spec := kernel.MultiplySpec{Desc: x.Desc, Gate: factor.Desc.As(kernel.NCHW) != x.Desc.As(kernel.NCHW)}
	factor, err := b.Reorder(factor, spec.Factor())
	if err != nil {
		return Tensor{}, err
	}
	k, err := b.Engine.Multiply(spec)
	if err != nil {
		return Tensor{}, err
	}
	forward := &op{name: "multiply", out: dims(x.Desc), wrt: []bool{x.NeedsGrad, factor.NeedsGrad},
		run: func(dst []float32, in [][]float32) error {
			return k.Forward(x.wrap(dst), x.wrap(in[0]), factor.wrap(in[1]))
		}}
	forward.diff = func(in gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		grads := make(gorgonia.Nodes, 2)
		var err error
		if x.NeedsGrad {
			grads[0], err = b.apply(&op{name: "multiply gradient", out: in[0].Shape().Clone(),
				run: func(dst []float32, values [][]float32) error {
					return k.Forward(x.wrap(dst), x.wrap(values[0]), factor.wrap(values[1]))
				}}, grad, in[1])
		}
		if err == nil && factor.NeedsGrad {
			grads[1], err = b.apply(&op{name: "multiply factor gradient", out: in[1].Shape().Clone(),
				run: func(dst []float32, values [][]float32) error {
					return k.BackwardFactor(factor.wrap(dst), x.wrap(values[0]), x.wrap(values[1]))
				}}, grad, in[0])
		}
		return grads, err
	}
	node, err := b.apply(forward, x.Node, factor.Node)
	y := x.derived(node, x.Desc)
	y.NeedsGrad = x.NeedsGrad || factor.NeedsGrad
	return y, err
}

// outputDifferentiable is a kernel whose backward pass needs the gradient and
// the output.
type outputDifferentiable interface {
	Forward(dst, src kernel.Tensor) error
	Backward(dSrc, dDst, dst kernel.Tensor) error
}

func (b *Builder) fromOutput(name string, k outputDifferentiable, x Tensor) (Tensor, error) {
	forward := &op{name: name, out: dims(x.Desc), wrt: []bool{true},
		run: func(dst []float32, in [][]float32) error { return k.Forward(x.wrap(dst), x.wrap(in[0])) }}
	forward.diff = func(_ gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
		d, err := b.apply(&op{name: name + " gradient", out: out.Shape().Clone(),
			run: func(dst []float32, in [][]float32) error {
				return k.Backward(x.wrap(dst), x.wrap(in[0]), x.wrap(in[1]))
			}}, grad, out)
		return gorgonia.Nodes{d}, err
	}
	node, err := b.apply(forward, x.Node)
	return x.derived(node, x.Desc), err
}
