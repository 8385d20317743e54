package gops

import (
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// Tensor is an activation in the graph.
type Tensor struct {
	Node *gorgonia.Node
	Desc kernel.Desc
	// NeedsGrad says that a trained parameter lies upstream.
	NeedsGrad bool
}

// Builder appends nodes to one graph, with kernels of one engine. Names of
// nodes must be unique in the graph, since Gorgonia merges inputs of equal
// name.
type Builder struct {
	Graph  *gorgonia.ExprGraph
	Engine kernel.Engine
	ops    int
}

// NewBuilder starts an empty graph.
func NewBuilder(engine kernel.Engine) *Builder {
	return &Builder{Graph: gorgonia.NewGraph(), Engine: engine}
}

// Input adds an activation that the caller fills.
func (b *Builder) Input(name string, d kernel.Desc) Tensor {
	return Tensor{Node: b.leaf(name, dims(d)), Desc: d}
}

// Param adds a plain array that the caller fills: weights, a bias, a statistic.
func (b *Builder) Param(name string, shape ...int) *gorgonia.Node {
	return b.leaf(name, tensor.Shape(shape))
}

func (b *Builder) leaf(name string, s tensor.Shape) *gorgonia.Node {
	return gorgonia.NewTensor(b.Graph, tensor.Float32, s.Dims(), gorgonia.WithShape(s...), gorgonia.WithName(name))
}

func dims(d kernel.Desc) tensor.Shape {
	if d.H == 1 && d.W == 1 && d.Layout == kernel.NCHW {
		return tensor.Shape{d.N, d.C}
	}
	return tensor.Shape(d.Dims())
}

// apply appends a node that runs o on the inputs.
func (b *Builder) apply(o *op, in ...*gorgonia.Node) (*gorgonia.Node, error) {
	b.ops++
	o.id = b.ops
	o.in = make([]tensor.Shape, len(in))
	for i, n := range in {
		o.in[i] = n.Shape()
	}
	return gorgonia.ApplyOp(o, in...)
}

func (t Tensor) wrap(data []float32) kernel.Tensor {
	return kernel.Tensor{Desc: t.Desc, Data: data}
}

// derived returns the tensor of a node that depends on t.
func (t Tensor) derived(n *gorgonia.Node, d kernel.Desc) Tensor {
	return Tensor{Node: n, Desc: d, NeedsGrad: t.NeedsGrad}
}
