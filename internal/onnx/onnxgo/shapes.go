package onnxgo

import (
	"fmt"
	"slices"

	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// maxValues bounds the values of a tensor, of one sample: far beyond what any
// network needs, and within any machine's memory.
const maxValues = 1 << 26

// CheckShapes follows the shapes through a graph of one input and one output,
// none of whose operators are Lacking, and returns the first fault: a weight
// that does not fit, or is not a float32 tensor with as many values as its shape
// says, a tensor that is read before it is there, or an output of another shape
// than the graph declares. onnx-go computes what is left.
func CheckShapes(g *onnxpb.GraphProto) error {
	if len(g.Input) != 1 || len(g.Output) != 1 {
		return fmt.Errorf("it has %d inputs and %d outputs, one of each is needed", len(g.Input), len(g.Output))
	}
	s := shapes{weights: make(map[string][]int64), samples: make(map[string][]int64)}
	input, err := declared(g.Input[0])
	if err != nil {
		return fmt.Errorf("input %q: %w", g.Input[0].GetName(), err)
	}
	s.samples[g.Input[0].GetName()] = input
	for _, w := range g.Initializer {
		if err := s.weight(w); err != nil {
			return fmt.Errorf("weight %q: %w", w.GetName(), err)
		}
	}
	for i, node := range g.Node {
		if err := s.node(node); err != nil {
			return fmt.Errorf("node %d %q (%s): %w", i, node.GetName(), node.GetOpType(), err)
		}
	}
	name := g.Output[0].GetName()
	got, there := s.samples[name]
	if !there {
		return fmt.Errorf("output %q is not computed", name)
	}
	if want, err := declared(g.Output[0]); err != nil || !slices.Equal(got, want) {
		return fmt.Errorf("output %q has samples of shape %v, declared as %v", name, got, want)
	}
	return nil
}

// shapes are those of the tensors that are there.
type shapes struct {
	weights map[string][]int64
	samples map[string][]int64 // without the batch
}

// declared is the shape of a sample of an input or output, all of it positive
// numbers.
func declared(v *onnxpb.ValueInfoProto) ([]int64, error) {
	dims := v.GetType().GetTensorType().GetShape().GetDim()
	if len(dims) == 0 {
		return nil, fmt.Errorf("it has no batch")
	}
	shape := make([]int64, 0, len(dims))
	for _, d := range dims[1:] {
		shape = append(shape, d.GetDimValue())
	}
	return shape, checkSize(shape)
}

// checkSize refuses sides that are not positive, and tensors that are too large.
func checkSize(shape []int64) error {
	values := int64(1)
	for _, d := range shape {
		if d < 1 || d > maxValues/values {
			return fmt.Errorf("the shape %v is impossible or too large", shape)
		}
		values *= d
	}
	return nil
}

func product(shape []int64) int64 {
	values := int64(1)
	for _, d := range shape {
		values *= d
	}
	return values
}

func (s shapes) define(name string) error {
	_, isWeight := s.weights[name]
	if _, isSample := s.samples[name]; isWeight || isSample || name == "" {
		return fmt.Errorf("the tensor %q is there already, or has no name", name)
	}
	return nil
}

func (s shapes) weight(w *onnxpb.TensorProto) error {
	if err := s.define(w.GetName()); err != nil {
		return err
	}
	if w.GetDataType() != int32(onnxpb.TensorProto_FLOAT) {
		return fmt.Errorf("it is of type %v, float32 is needed", onnxpb.TensorProto_DataType(w.GetDataType()))
	}
	if err := checkSize(w.Dims); err != nil {
		return err
	}
	values := int64(len(w.FloatData))
	if w.RawData != nil {
		values = int64(len(w.RawData)) / 4
	}
	if values != product(w.Dims) || len(w.RawData)%4 != 0 || w.RawData != nil && w.FloatData != nil {
		return fmt.Errorf("it holds %d values for the shape %v", values, w.Dims)
	}
	s.weights[w.GetName()] = w.Dims
	return nil
}

// node finds the shape of a node's output.
func (s shapes) node(node *onnxpb.NodeProto) error {
	in, there := s.samples[node.Input[0]]
	if !there {
		return fmt.Errorf("it reads %q, which is not computed before it", node.Input[0])
	}
	if err := s.define(node.Output[0]); err != nil {
		return err
	}
	out, err := s.infer(node, in)
	if err == nil {
		err = checkSize(out)
	}
	s.samples[node.Output[0]] = out
	return err
}

// infer returns the shape of what an operator makes of samples of shape in.
func (s shapes) infer(node *onnxpb.NodeProto, in []int64) ([]int64, error) {
	op := node.GetOpType()
	rank := map[string]int{"Conv": 3, "BatchNormalization": 3, "GlobalAveragePool": 3, "Gemm": 1, "Softmax": 1}
	if want := rank[op]; want != 0 && len(in) != want {
		return nil, fmt.Errorf("it takes samples of %d sides, not of shape %v", want, in)
	}
	switch op {
	case "Conv":
		return s.conv(node, in)
	case "BatchNormalization":
		return in, s.need(node.Input[1:], in[:1])
	case "GlobalAveragePool":
		return []int64{in[0], 1, 1}, nil
	case "Gemm":
		return s.gemm(node, in)
	case "Flatten":
		return []int64{product(in)}, nil
	case "Add":
		other, there := s.samples[node.Input[1]]
		if !there || !slices.Equal(in, other) {
			return nil, fmt.Errorf("it adds samples of shape %v to %q of shape %v", in, node.Input[1], other)
		}
	}
	return in, nil // Softmax, Relu, Identity
}

// need checks that weights have one shape.
func (s shapes) need(names []string, shape []int64) error {
	for _, name := range names {
		if got, there := s.weights[name]; !there || !slices.Equal(got, shape) {
			return fmt.Errorf("the weight %q has the shape %v, not %v", name, got, shape)
		}
	}
	return nil
}

func (s shapes) conv(node *onnxpb.NodeProto, in []int64) ([]int64, error) {
	kernel := attribute(node, "kernel_shape").GetInts()
	w := s.weights[node.Input[1]]
	if len(w) != 4 || w[1] != in[0] || !slices.Equal(w[2:], kernel) {
		return nil, fmt.Errorf("the weight %q has the shape %v for a kernel %v over %d channels", node.Input[1], w, kernel, in[0])
	}
	if err := s.need(node.Input[2:], w[:1]); err != nil {
		return nil, err
	}
	pad, stride := int64(0), int64(1)
	if a := attribute(node, "pads"); a != nil {
		pad = a.Ints[0]
	}
	if a := attribute(node, "strides"); a != nil {
		stride = a.Ints[0]
	}
	out := []int64{w[0]}
	for i, side := range in[1:] {
		if pad > maxValues || side+2*pad < kernel[i] {
			return nil, fmt.Errorf("a kernel %v with the padding %d does not fit samples of shape %v", kernel, pad, in)
		}
		out = append(out, (side+2*pad-kernel[i])/stride+1)
	}
	return out, nil
}

func (s shapes) gemm(node *onnxpb.NodeProto, in []int64) ([]int64, error) {
	w := s.weights[node.Input[1]]
	if len(w) != 2 {
		return nil, fmt.Errorf("the weight %q has the shape %v, not a matrix's", node.Input[1], w)
	}
	depth, width := w[0], w[1]
	if integer(node, "transB", 0) != 0 {
		depth, width = width, depth
	}
	if depth != in[0] {
		return nil, fmt.Errorf("the weight %q has the shape %v for samples of shape %v", node.Input[1], w, in)
	}
	return []int64{width}, s.need(node.Input[2:], []int64{width})
}
