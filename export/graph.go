package export

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnxmeta"
	"github.com/deepmutual/dml/internal/onnxpb"
	"github.com/deepmutual/dml/models"
)

// graph collects the nodes and constants of a network.
type graph struct {
	net     *models.Network
	weights models.Weights
	shapes  map[string]models.Shape
	params  map[string][]int    // parameter name to shape
	folds   map[string]string   // convolution to the batch norm folded into it
	names   map[string]struct{} // tensor names in use
	nodes   map[string]struct{} // node names in use
	tensors map[string]string   // layer, or the input, to its tensor
	out     onnxpb.GraphProto
}

func buildGraph(net *models.Network, w models.Weights, keepBatchNorm bool) (*onnxpb.GraphProto, error) {
	shapes, err := net.Shapes()
	if err != nil {
		return nil, err
	}
	params, err := net.Params()
	if err != nil {
		return nil, err
	}
	g := &graph{
		net: net, weights: w, shapes: shapes,
		params:  make(map[string][]int, len(params)),
		folds:   map[string]string{},
		names:   map[string]struct{}{},
		nodes:   map[string]struct{}{},
		tensors: map[string]string{},
	}
	for _, p := range params {
		g.params[p.Name] = p.Shape
	}
	if !keepBatchNorm {
		g.folds = foldable(net)
	}
	g.nameTensors(params)

	g.out.Name = proto.String(net.Name)
	g.out.Input = []*onnxpb.ValueInfoProto{batched(onnxmeta.Input, net.Input)}
	folded := map[string]bool{}
	for _, bn := range g.folds {
		folded[bn] = true
	}
	for i := range net.Layers {
		l := &net.Layers[i]
		if folded[l.Name] {
			continue // its convolution computes it
		}
		if err := g.layer(l); err != nil {
			return nil, fmt.Errorf("layer %q (%s): %w", l.Name, l.Kind, err)
		}
	}
	if net.Embedding == net.Logits {
		g.node("Identity", "embedding", onnxmeta.Embedding, []string{onnxmeta.Logits})
	}
	g.node("Softmax", "probabilities", onnxmeta.Probabilities, []string{onnxmeta.Logits}, intAttr("axis", 1))
	g.out.Output = []*onnxpb.ValueInfoProto{
		batched(onnxmeta.Logits, shapes[net.Logits]),
		batched(onnxmeta.Probabilities, shapes[net.Logits]),
		batched(onnxmeta.Embedding, shapes[net.Embedding]),
	}
	return &g.out, nil
}

// foldable maps each convolution whose only consumer is a batch norm to that
// batch norm.
func foldable(net *models.Network) map[string]string {
	consumers := map[string]int{}
	kinds := map[string]models.Kind{}
	for _, l := range net.Layers {
		kinds[l.Name] = l.Kind
		for _, in := range l.Inputs {
			consumers[in]++
		}
	}
	folds := map[string]string{}
	for _, l := range net.Layers {
		if l.Kind != models.KindBatchNorm {
			continue
		}
		if in := l.Inputs[0]; kinds[in] == models.KindConv && consumers[in] == 1 {
			folds[in] = l.Name
		}
	}
	return folds
}

// nameTensors gives the graph's input and outputs their fixed names, every
// parameter its own, and every other layer's tensor the layer's name, with a
// prime where that is taken.
func (g *graph) nameTensors(params []models.Param) {
	for _, name := range []string{onnxmeta.Input, onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding} {
		g.names[name] = struct{}{}
	}
	for _, p := range params {
		g.names[p.Name] = struct{}{}
		// A folded convolution has a bias even if the network gives it none.
		g.names[p.Layer+".bias"] = struct{}{}
	}
	g.tensors[models.InputName] = onnxmeta.Input
	g.tensors[g.net.Embedding] = onnxmeta.Embedding
	g.tensors[g.net.Logits] = onnxmeta.Logits
	for _, l := range g.net.Layers {
		if _, named := g.tensors[l.Name]; !named {
			g.tensors[l.Name] = g.freshTensor(l.Name)
		}
	}
}

// freshTensor returns an unused tensor name and takes it.
func (g *graph) freshTensor(name string) string { return fresh(g.names, name) }

// fresh returns name, with as many primes as make it unused, and takes it.
func fresh(taken map[string]struct{}, name string) string {
	for {
		if _, ok := taken[name]; !ok {
			taken[name] = struct{}{}
			return name
		}
		name += "'"
	}
}

// node appends an operator with one output.
func (g *graph) node(op, name, output string, inputs []string, attrs ...*onnxpb.AttributeProto) {
	g.out.Node = append(g.out.Node, &onnxpb.NodeProto{
		OpType: proto.String(op), Name: proto.String(fresh(g.nodes, name)),
		Input: inputs, Output: []string{output}, Attribute: attrs,
	})
}

// batched describes a tensor of one sample's shape behind a dynamic batch axis.
func batched(name string, sample models.Shape) *onnxpb.ValueInfoProto {
	dims := []*onnxpb.TensorShapeProto_Dimension{{Value: &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "batch"}}}
	extents := []int{sample.C}
	if !sample.IsVector() {
		extents = []int{sample.C, sample.H, sample.W}
	}
	for _, n := range extents {
		dims = append(dims, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(n)}})
	}
	return &onnxpb.ValueInfoProto{
		Name: proto.String(name),
		Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{
			ElemType: proto.Int32(int32(onnxpb.TensorProto_FLOAT)),
			Shape:    &onnxpb.TensorShapeProto{Dim: dims},
		}}},
	}
}

func intAttr(name string, v int) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(int64(v))}
}

func intsAttr(name string, v ...int) *onnxpb.AttributeProto {
	a := &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_INTS.Enum()}
	for _, x := range v {
		a.Ints = append(a.Ints, int64(x))
	}
	return a
}

func floatAttr(name string, v float32) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_FLOAT.Enum(), F: proto.Float32(v)}
}
