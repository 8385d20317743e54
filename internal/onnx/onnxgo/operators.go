// Package onnxgo knows which ONNX graphs onnx-go v0.5.0 computes on Gorgonia as
// ONNX means them. onnx-go itself does not tell: it zeroes all outputs but one,
// overlooks attributes, and panics, at times in a goroutine of Gorgonia, on
// shapes that do not fit.
package onnxgo

import (
	"fmt"
	"slices"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// Reduce returns the graph of one output and what it needs.
func Reduce(g *onnxpb.GraphProto, output string) *onnxpb.GraphProto {
	needed := map[string]bool{output: true}
	keep := make([]bool, len(g.Node))
	for i := len(keep) - 1; i >= 0; i-- { // nodes are in topological order
		node := g.Node[i]
		keep[i] = slices.ContainsFunc(node.Output, func(name string) bool { return needed[name] })
		for _, name := range node.Input {
			needed[name] = needed[name] || keep[i]
		}
	}
	out := &onnxpb.GraphProto{Name: g.Name}
	for i, node := range g.Node {
		if keep[i] {
			out.Node = append(out.Node, node)
		}
	}
	weights := make(map[string]bool)
	for _, w := range g.Initializer {
		if weights[w.GetName()] = true; needed[w.GetName()] {
			out.Initializer = append(out.Initializer, w)
		}
	}
	for _, v := range g.Input {
		if !weights[v.GetName()] {
			out.Input = append(out.Input, proto.CloneOf(v))
		}
	}
	for _, v := range g.Output {
		if v.GetName() == output {
			out.Output = append(out.Output, proto.CloneOf(v))
		}
	}
	return out
}

// Lacking lists what of a graph's operators onnx-go lacks, or would compute
// otherwise than ONNX says: it does not look at the groups of a convolution, and
// takes uneven padding for even. Each is there once, such as "Clip", or "Conv
// with groups" where a use of it is the fault. onnx-go has operators beyond those
// passed here; they are refused because nothing tests them.
func Lacking(g *onnxpb.GraphProto) []string {
	var faults []string
	for _, node := range g.Node {
		if fault := lacking(node); fault != "" && !slices.Contains(faults, fault) {
			faults = append(faults, fault)
		}
	}
	return faults
}

// arity is the least and the largest number of an operator's inputs.
var arity = map[string][2]int{
	"Conv": {2, 3}, "BatchNormalization": {5, 5}, "Gemm": {3, 3}, "Add": {2, 2},
	"Flatten": {1, 1}, "Softmax": {1, 1}, "Relu": {1, 1}, "GlobalAveragePool": {1, 1}, "Identity": {1, 1},
}

func lacking(node *onnxpb.NodeProto) string {
	op := node.GetOpType()
	inputs, known := arity[op]
	switch {
	case op == "":
		return "a node without an operator"
	case node.GetDomain() != "" && node.GetDomain() != "ai.onnx":
		return node.GetDomain() + "." + op
	case !known:
		return op
	case op == "Gemm" && len(node.Input) == 2:
		return op + " without a bias"
	case len(node.Input) < inputs[0] || len(node.Input) > inputs[1]:
		return fmt.Sprintf("%s of %d tensors", op, len(node.Input))
	case len(node.Output) != 1:
		return fmt.Sprintf("%s with %d outputs", op, len(node.Output))
	}
	for i, name := range node.Input {
		if slices.Contains(node.Input[:i], name) {
			return op + " of a tensor twice"
		}
	}
	switch op {
	case "Conv":
		return window(node)
	case "BatchNormalization":
		if training := integer(node, "training_mode", 0); training != 0 {
			return op + " in training mode"
		}
	case "Gemm":
		if integer(node, "transA", 0) != 0 {
			return op + " of a transposed batch"
		}
		if trans := integer(node, "transB", 0); trans != 0 && trans != 1 {
			return fmt.Sprintf("%s of transB %d", op, trans)
		}
	case "Flatten":
		if axis := integer(node, "axis", 1); axis != 1 {
			return fmt.Sprintf("%s at axis %d", op, axis)
		}
	case "Softmax":
		if axis := integer(node, "axis", 1); axis != 1 && axis != -1 {
			return fmt.Sprintf("%s over axis %d", op, axis)
		}
	}
	return ""
}

// window tells what about a convolution is not computed, or "".
func window(node *onnxpb.NodeProto) string {
	op := node.GetOpType()
	if integer(node, "group", 1) != 1 {
		return op + " with groups"
	}
	if auto := attribute(node, "auto_pad"); auto != nil && string(auto.GetS()) != "NOTSET" {
		return fmt.Sprintf("%s of auto_pad %s", op, auto.GetS())
	}
	if shape := attribute(node, "kernel_shape"); len(shape.GetInts()) != 2 {
		return op + " without a kernel_shape of two sides"
	}
	for _, one := range []struct {
		name   string
		length int
		valid  func(v int64) bool
	}{
		{"pads", 4, func(v int64) bool { return v >= 0 }},
		{"strides", 2, func(v int64) bool { return v >= 1 }},
		{"dilations", 2, func(v int64) bool { return v == 1 }},
	} {
		a := attribute(node, one.name)
		if a == nil {
			continue
		}
		v := a.GetInts()
		if len(v) != one.length || slices.ContainsFunc(v, func(x int64) bool { return x != v[0] || !one.valid(x) }) {
			return fmt.Sprintf("%s of %s %v", op, one.name, v)
		}
	}
	return ""
}

// integer is the value of an attribute, or what it is where there is none.
func integer(node *onnxpb.NodeProto, name string, otherwise int64) int64 {
	if a := attribute(node, name); a != nil {
		return a.GetI()
	}
	return otherwise
}

// attribute returns a node's attribute, or nil.
func attribute(node *onnxpb.NodeProto, name string) *onnxpb.AttributeProto {
	for _, a := range node.Attribute {
		if a.GetName() == name {
			return a
		}
	}
	return nil
}
