package lower

import (
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/engine/gops"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/models"
)

// graph is a network in the making.
type graph struct {
	net      *models.Network
	shapes   map[string]models.Shape
	batch    int
	training bool
	b        *gops.Builder

	uses    map[string]int         // how many layers (or outputs) read a layer
	outputs map[string]gops.Tensor // by layer
	params  map[string]*gorgonia.Node
	norms   []norm
	masks   []mask
	fusions map[string]*fusion // by each of their layers; inference alone
}

// norm is a batch normalisation that gathers statistics.
type norm struct {
	layer string
	stats gops.Statistics
}

// mask is a dropout whose mask changes with the step.
type mask struct {
	layer string
	gops.Mask
}

func buildGraph(net *models.Network, b *gops.Builder, batch int, training bool) (*graph, error) {
	shapes, err := net.Shapes()
	if err != nil {
		return nil, err
	}
	if !training {
		net = net.ForInference()
	}
	params, err := net.Params()
	if err != nil {
		return nil, err
	}
	g := &graph{net: net, shapes: shapes, batch: batch, training: training, b: b,
		uses:    map[string]int{net.Logits: 1, net.Embedding: 1},
		outputs: make(map[string]gops.Tensor), params: make(map[string]*gorgonia.Node)}
	for _, p := range params {
		if p.Trainable() || !training {
			g.params[p.Name] = b.Param(p.Name, p.Shape...)
		}
	}
	g.outputs[models.InputName] = b.Input(models.InputName, g.desc(net.Input, kernel.NCHW))
	for i := range net.Layers {
		for _, in := range net.Layers[i].Inputs {
			g.uses[in]++
		}
	}
	if !training {
		g.fusions = g.planFusions()
	}
	for i := range net.Layers {
		l := &net.Layers[i]
		if _, fused := g.outputs[l.Name]; fused {
			continue
		}
		if f := g.fusions[l.Name]; f != nil && l.Name != f.last {
			continue // computed with the last
		}
		if err := g.lower(l); err != nil {
			return nil, fmt.Errorf("network %q: layer %q (%s): %w", net.Name, l.Name, l.Kind, err)
		}
	}
	return g, nil
}

// desc returns the batch's Desc of a sample shape.
func (g *graph) desc(s models.Shape, layout kernel.Layout) kernel.Desc {
	if s.IsVector() {
		return kernel.Matrix(g.batch, s.C)
	}
	return kernel.Desc{N: g.batch, C: s.C, H: s.H, W: s.W, Layout: layout}
}

// fastDesc is desc in the layout that the engine computes fastest in.
func (g *graph) fastDesc(s models.Shape) kernel.Desc {
	d := g.desc(s, kernel.NCHW)
	if !s.IsVector() {
		d.Layout = g.b.Engine.Layout(s.C, s.H, s.W)
	}
	return d
}

// lower appends one layer, and the rectifier after it if that fuses, or the
// fusion that ends with the layer.
func (g *graph) lower(l *models.Layer) error {
	if f := g.fusions[l.Name]; f != nil {
		y, err := g.lowerFusion(f)
		g.outputs[l.Name] = y
		return err
	}
	x := g.outputs[l.Inputs[0]]
	shape := g.shapes[l.Name]
	dst := g.fastDesc(shape)
	var y gops.Tensor
	var err error
	switch l.Kind {
	case models.KindConv:
		y, err = g.b.Conv(x, g.params[l.Owner()+".weight"], g.params[l.Owner()+".bias"], g.convSpec(l, dst))
	case models.KindDense:
		y, err = g.b.Dense(x, g.params[l.Owner()+".weight"], g.params[l.Owner()+".bias"], l.Dense.Out)
	case models.KindBatchNorm:
		y, err = g.batchNorm(l, x)
	case models.KindAdd:
		act, fused := g.fusable(l)
		y, err = g.b.Add(x, g.outputs[l.Inputs[1]], clip(act))
		g.alias(fused, y)
	case models.KindConcat:
		var in []gops.Tensor
		for _, name := range l.Inputs {
			in = append(in, g.outputs[name])
		}
		y, err = g.b.Concat(dst, in...)
	case models.KindActivation:
		y, err = g.b.Activation(x, *clip(l.Activation))
	case models.KindSigmoid:
		y, err = g.b.Sigmoid(x, l.Sigmoid.Hard)
	case models.KindMultiply:
		y, err = g.b.Multiply(x, g.outputs[l.Inputs[1]])
	case models.KindMaxPool, models.KindAvgPool:
		p := l.Pool
		y, err = g.b.Pool(x, kernel.PoolSpec{
			Dst: dst.As(x.Desc.Layout), Max: l.Kind == models.KindMaxPool, CountPad: p.CountPad,
			KernelH: p.Kernel[0], KernelW: p.Kernel[1], StrideH: p.Stride[0], StrideW: p.Stride[1],
			Pad: kernel.Pad(p.PadFor(g.shapes[l.Inputs[0]])), ForwardOnly: !g.training,
		})
	case models.KindGlobalAvgPool:
		y, err = g.b.GlobalAvgPool(x)
	case models.KindFlatten:
		// Only plain activations flatten channels first.
		if x, err = g.b.Reorder(x, x.Desc.As(kernel.NCHW)); err == nil {
			y, err = g.b.Reorder(x, dst)
		}
	case models.KindSubsample:
		s := l.Subsample
		y, err = g.b.Subsample(x, kernel.SubsampleSpec{Dst: dst, Stride: s.Stride, Front: s.Front})
	case models.KindDropout:
		var m gops.Mask
		y, m, err = g.b.Dropout(x, l.Dropout.Rate)
		g.masks = append(g.masks, mask{l.Name, m})
	default:
		err = fmt.Errorf("no lowering for this kind")
	}
	if err != nil {
		return err
	}
	g.outputs[l.Name] = y
	return nil
}

func (g *graph) batchNorm(l *models.Layer, x gops.Tensor) (gops.Tensor, error) {
	act, fused := g.fusable(l)
	spec := kernel.BatchNormSpec{Epsilon: l.BatchNorm.Epsilon, Momentum: l.BatchNorm.Momentum, Act: clip(act)}
	gamma, beta := g.params[l.Name+".weight"], g.params[l.Name+".bias"]
	var y gops.Tensor
	var err error
	if g.training {
		var stats gops.Statistics
		y, stats, err = g.b.BatchNorm(x, gamma, beta, spec)
		g.norms = append(g.norms, norm{l.Name, stats})
	} else {
		y, err = g.b.BatchNormInfer(x, gamma, beta, g.params[l.Name+".running_mean"], g.params[l.Name+".running_var"], spec)
	}
	g.alias(fused, y)
	return y, err
}

// fusable returns the rectifier that is the only reader of l, if there is one.
func (g *graph) fusable(l *models.Layer) (*models.Activation, string) {
	if next := g.onlyReader(l); next != nil && next.Kind == models.KindActivation {
		return next.Activation, next.Name
	}
	return nil, ""
}

// onlyReader returns the layer that alone reads l, nil if there is none or l is
// an output of the network.
func (g *graph) onlyReader(l *models.Layer) *models.Layer {
	if g.uses[l.Name] != 1 {
		return nil
	}
	for i := range g.net.Layers {
		if slices.Contains(g.net.Layers[i].Inputs, l.Name) {
			return &g.net.Layers[i]
		}
	}
	return nil
}

// alias makes y the output of a fused layer too; no name, nothing fused.
func (g *graph) alias(layer string, y gops.Tensor) {
	if layer != "" {
		g.outputs[layer] = y
	}
}

func (g *graph) convSpec(l *models.Layer, dst kernel.Desc) kernel.ConvSpec {
	c := l.Conv
	return kernel.ConvSpec{
		Dst: dst, KernelH: c.Kernel[0], KernelW: c.Kernel[1], StrideH: c.Stride[0], StrideW: c.Stride[1],
		DilationH: c.Dilation[0], DilationW: c.Dilation[1], Pad: kernel.Pad(c.PadFor(g.shapes[l.Inputs[0]])), Groups: c.Groups,
	}
}

// clip translates the bounds of a rectifier; nil stays nil.
func clip(a *models.Activation) *kernel.Clip {
	if a == nil {
		return nil
	}
	act := kernel.ReLU()
	if a.Max > 0 {
		act.Hi = a.Max
	}
	return act
}
