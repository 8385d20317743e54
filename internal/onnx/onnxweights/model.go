package onnxweights

import (
	"errors"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// Errors of Parse; test with errors.Is.
var (
	// ErrNotONNX says that the bytes are no ONNX model with a graph.
	ErrNotONNX = errors.New("not an ONNX model")
	// ErrTensor says that a weight contradicts itself: its shape and its
	// values differ in number, or its type holds no real numbers.
	ErrTensor = errors.New("invalid weight in the ONNX model")
	// ErrExternal says that values lie in a file beside the model.
	ErrExternal = errors.New("weights in another file than the ONNX model")
)

// Kind says what a layer computes.
type Kind uint8

// The kinds of layers whose weights are read.
const (
	Conv      Kind = iota // Conv
	Dense                 // Gemm, or MatMul and perhaps Add
	BatchNorm             // BatchNormalization
)

// Layer is a node with constant weights.
type Layer struct {
	Kind Kind
	Node string // the node's name; may be empty
	// Weight is a convolution's [out, in/groups, kh, kw] or a dense layer's
	// [out, in], however the file holds it; of batch norm the scale.
	Weight *Tensor
	Bias   *Tensor // nil without; of batch norm the shift
	// Mean and Variance are the statistics of batch norm, [channels].
	Mean, Variance *Tensor
	Epsilon        float32 // of batch norm
	// Follows is the index of the layer whose output this one reads directly,
	// or -1.
	Follows int
}

// Step is a place where activations are computed or meet: a layer, or an operator
// that joins several.
type Step struct {
	Layer int    // index in Model.Layers, or -1
	Op    string // of a joining operator, such as "Add" or "Concat"; "" of a layer
	// Inputs are indices of earlier steps, or Input for the graph's input.
	// Operators between that join nothing are left out, and so are constants.
	Inputs []int
}

// Input stands for the graph's input among the inputs of a step.
const Input = -1

// Model is what a file holds.
type Model struct {
	Layers []Layer
	// Steps are the layers and joins, in topological order.
	Steps []Step
	// Others are the names of the initializers of real numbers that no layer uses.
	Others   []string
	Metadata map[string]string // metadata_props
}

// Parse reads the bytes of an ONNX file. The error wraps ErrNotONNX, ErrTensor
// or ErrExternal.
func Parse(data []byte) (*Model, error) {
	var file onnxpb.ModelProto
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotONNX, err)
	}
	g := file.GetGraph()
	if len(g.GetNode()) == 0 {
		return nil, fmt.Errorf("%w: it has no graph with nodes", ErrNotONNX)
	}
	r := &reader{constants: make(map[string]constant), producer: make(map[string]int), steps: make(map[string]int),
		model: &Model{Metadata: make(map[string]string)}}
	for _, t := range g.GetInitializer() {
		if _, twice := r.constants[t.GetName()]; twice {
			return nil, fmt.Errorf("%w: two initializers are named %q", ErrTensor, t.GetName())
		}
		r.constants[t.GetName()] = constant{t.GetName(), &stored{proto: t}}
	}
	for _, v := range g.GetInput() {
		if _, isConstant := r.constants[v.GetName()]; !isConstant {
			r.steps[v.GetName()] = Input
		}
	}
	for _, n := range g.GetNode() {
		if err := r.node(n); err != nil {
			return nil, err
		}
	}
	for _, t := range g.GetInitializer() {
		if !r.constants[t.GetName()].used && isReal(t) {
			r.model.Others = append(r.model.Others, t.GetName())
		}
	}
	for _, p := range file.GetMetadataProps() {
		r.model.Metadata[p.GetKey()] = p.GetValue()
	}
	return r.model, nil
}

// isReal reports whether a constant holds real numbers, and not, say, axes.
func isReal(t *onnxpb.TensorProto) bool {
	switch onnxpb.TensorProto_DataType(t.GetDataType()) {
	case onnxpb.TensorProto_FLOAT, onnxpb.TensorProto_DOUBLE, onnxpb.TensorProto_FLOAT16, onnxpb.TensorProto_BFLOAT16:
		return true
	}
	return false
}

// reader walks the nodes of a graph.
type reader struct {
	constants map[string]constant
	producer  map[string]int // of an activation: its layer
	steps     map[string]int // of an activation: its step
	model     *Model
}

func (r *reader) node(n *onnxpb.NodeProto) error {
	if len(n.GetOutput()) == 0 {
		return nil
	}
	layer, err := r.layer(n)
	if err != nil {
		return fmt.Errorf("node %q (%s): %w", n.GetName(), n.GetOpType(), err)
	}
	if layer == nil {
		r.join(n)
		return nil
	}
	if at, ok := r.steps[input(n, 0)]; ok {
		r.step(n, Step{Layer: len(r.model.Layers), Inputs: []int{at}})
	}
	layer.Node, layer.Follows = n.GetName(), -1
	if at, ok := r.producer[input(n, 0)]; ok {
		layer.Follows = at
	}
	r.producer[n.GetOutput()[0]] = len(r.model.Layers)
	r.model.Layers = append(r.model.Layers, *layer)
	return nil
}

func (r *reader) step(n *onnxpb.NodeProto, s Step) {
	r.steps[n.GetOutput()[0]] = len(r.model.Steps)
	r.model.Steps = append(r.model.Steps, s)
}

// join notes where the activations come from that a node without weights gives.
// Operators that take the shape of an activation, and what is computed from
// shapes alone, give none.
func (r *reader) join(n *onnxpb.NodeProto) {
	var inputs []int
	for _, name := range n.GetInput() {
		if at, ok := r.steps[name]; ok {
			inputs = append(inputs, at)
		}
	}
	switch op := n.GetOpType(); {
	case len(inputs) == 0 || op == "Shape" || op == "Size":
	case len(inputs) > 1 && (op == "Concat" || op == "Add" || op == "Sum" || op == "Mul" || op == "Sub" || op == "Div" || op == "Max" || op == "Min"):
		if op == "Sum" {
			op = "Add"
		}
		r.step(n, Step{Layer: -1, Op: op, Inputs: inputs})
	default: // the other inputs are sizes, scales, axes
		for _, name := range n.GetOutput() {
			r.steps[name] = inputs[0]
		}
	}
}

// layer returns the layer that a node is, or nil. Nodes that only name or shift
// what another node computed are taken in.
func (r *reader) layer(n *onnxpb.NodeProto) (*Layer, error) {
	switch n.GetOpType() {
	case "Constant":
		for _, a := range n.GetAttribute() {
			if a.GetName() == "value" && a.GetT() != nil {
				r.constants[n.GetOutput()[0]] = constant{n.GetOutput()[0], &stored{proto: a.GetT()}}
			}
		}
	case "Identity", "Cast": // of weights in another precision
		if c, ok := r.constants[input(n, 0)]; ok {
			r.constants[n.GetOutput()[0]] = constant{n.GetOutput()[0], c.stored}
		} else if at, ok := r.producer[input(n, 0)]; ok {
			r.producer[n.GetOutput()[0]] = at
		}
	case "Conv":
		return r.weighted(n, Conv, false)
	case "Gemm":
		if real(n, "alpha", 1) != 1 || real(n, "beta", 1) != 1 || integer(n, "transA") != 0 {
			return nil, nil
		}
		return r.weighted(n, Dense, integer(n, "transB") == 0)
	case "MatMul":
		return r.weighted(n, Dense, true)
	case "Add":
		return nil, r.addBias(n)
	case "BatchNormalization":
		return r.batchNorm(n)
	}
	return nil, nil
}

// weighted reads a convolution or a dense layer; nil if its weight is no
// constant.
func (r *reader) weighted(n *onnxpb.NodeProto, kind Kind, transpose bool) (*Layer, error) {
	weight, err := r.tensor(input(n, 1), transpose)
	if weight == nil || err != nil {
		return nil, err
	}
	if kind == Dense && len(weight.Shape) != 2 { // a product of other tensors
		return nil, nil
	}
	bias, err := r.tensor(input(n, 2), false)
	if err != nil {
		return nil, err
	}
	if len(weight.Shape) < 2 {
		return nil, fmt.Errorf("%w: %q has the shape %v", ErrTensor, weight.Name, weight.Shape)
	}
	if bias != nil && len(bias.Data) != weight.Shape[0] {
		return nil, fmt.Errorf("%w: %q has the shape %v, its bias %q %v", ErrTensor, weight.Name, weight.Shape, bias.Name, bias.Shape)
	}
	return &Layer{Kind: kind, Weight: weight, Bias: bias}, nil
}

// addBias takes an Add of a constant vector to a dense layer's output in, as
// that layer's bias.
func (r *reader) addBias(n *onnxpb.NodeProto) error {
	for i := range 2 {
		at, ok := r.producer[input(n, i)]
		c, constant := r.constants[input(n, 1-i)]
		if !ok || !constant || len(c.proto.GetDims()) != 1 {
			continue
		}
		l := &r.model.Layers[at]
		if l.Kind != Dense || l.Bias != nil || c.proto.GetDims()[0] != int64(l.Weight.Shape[0]) {
			continue
		}
		var err error
		if l.Bias, err = r.tensor(input(n, 1-i), false); err != nil {
			return fmt.Errorf("node %q (Add): %w", n.GetName(), err)
		}
		r.producer[n.GetOutput()[0]] = at
		return nil
	}
	return nil
}

func (r *reader) batchNorm(n *onnxpb.NodeProto) (*Layer, error) {
	l := &Layer{Kind: BatchNorm, Epsilon: real(n, "epsilon", 1e-5)}
	for i, to := range []**Tensor{&l.Weight, &l.Bias, &l.Mean, &l.Variance} {
		t, err := r.tensor(input(n, i+1), false)
		if t == nil || err != nil {
			return nil, err
		}
		if l.Weight != nil && len(t.Data) != len(l.Weight.Data) {
			return nil, fmt.Errorf("%w: %q has %d values, %q has %d", ErrTensor, t.Name, len(t.Data), l.Weight.Name, len(l.Weight.Data))
		}
		*to = t
	}
	return l, nil
}

// tensor returns a constant; nil if the name is of none.
func (r *reader) tensor(name string, transpose bool) (*Tensor, error) {
	c, ok := r.constants[name]
	if !ok || name == "" {
		return nil, nil
	}
	return c.tensor(transpose)
}

func input(n *onnxpb.NodeProto, i int) string {
	if i < len(n.GetInput()) {
		return n.GetInput()[i]
	}
	return ""
}

func real(n *onnxpb.NodeProto, name string, standard float32) float32 {
	for _, a := range n.GetAttribute() {
		if a.GetName() == name {
			return a.GetF()
		}
	}
	return standard
}

func integer(n *onnxpb.NodeProto, name string) int64 {
	for _, a := range n.GetAttribute() {
		if a.GetName() == name {
			return a.GetI()
		}
	}
	return 0
}

// Scope returns the module that a node of PyTorch's exporter belongs to, from
// a name such as "/layer1/layer1.0/conv1/Conv": "layer1.0.conv1". It is empty
// for other names.
func Scope(node string) string {
	path, ok := strings.CutPrefix(node, "/")
	if !ok {
		return ""
	}
	parts := strings.Split(path, "/")
	var out []string
	for _, p := range parts[:len(parts)-1] {
		// A child of a list of modules repeats the list's name.
		if n := len(out); n > 0 && strings.HasPrefix(p, out[n-1]+".") {
			out[n-1] = p
			continue
		}
		out = append(out, p)
	}
	return strings.Join(out, ".")
}
