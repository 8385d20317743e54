package gorgonia

import (
	"fmt"
	"slices"
	"strings"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/onnxpb"
)

// OperatorError names the operators of a model that cannot be computed.
// errors.Is finds infer.ErrUnsupported in it.
type OperatorError struct {
	// Operators, each once, such as "Clip", or "Conv of group 32" where a use of
	// it is the fault.
	Operators []string
}

func (e *OperatorError) Error() string {
	return fmt.Sprintf("%s: onnx-go does not compute %s", infer.ErrUnsupported, strings.Join(e.Operators, ", "))
}

func (e *OperatorError) Unwrap() error { return infer.ErrUnsupported }

// unsupported lists the operators of a graph that onnx-go lacks, or would
// compute otherwise than ONNX says: it does not look at the groups of a
// convolution, and takes uneven padding for even. It has operators beyond
// these, which are refused because nothing here tests them.
func unsupported(g *onnxpb.GraphProto) []string {
	var faults []string
	for _, node := range g.Node {
		fault := ""
		switch op := node.GetOpType(); op {
		case "Conv":
			fault = window(node)
		case "BatchNormalization":
			if training, found := attribute(node, "training_mode"); found && training.GetI() != 0 {
				fault = op + " in training mode"
			}
		case "Gemm":
			if len(node.Input) != 3 {
				fault = op + " without a bias"
			}
		case "Flatten":
			if axis, found := attribute(node, "axis"); found && axis.GetI() != 1 {
				fault = fmt.Sprintf("%s at axis %d", op, axis.GetI())
			}
		case "Softmax":
			if axis, found := attribute(node, "axis"); found && axis.GetI() != 1 && axis.GetI() != -1 {
				fault = fmt.Sprintf("%s over axis %d", op, axis.GetI())
			}
		case "Add":
			if len(node.Input) != 2 || node.Input[0] == node.Input[1] {
				fault = op + " of a tensor to itself"
			}
		case "Relu", "GlobalAveragePool", "Identity":
		default:
			if fault = op; node.GetDomain() != "" {
				fault = node.GetDomain() + "." + op
			}
		}
		if fault != "" && !slices.Contains(faults, fault) {
			faults = append(faults, fault)
		}
	}
	return faults
}

// window tells what about a convolution is not computed, or "".
func window(node *onnxpb.NodeProto) string {
	op := node.GetOpType()
	if group, found := attribute(node, "group"); found && group.GetI() != 1 {
		return fmt.Sprintf("%s of group %d", op, group.GetI())
	}
	if auto, found := attribute(node, "auto_pad"); found && string(auto.GetS()) != "NOTSET" {
		return fmt.Sprintf("%s of auto_pad %s", op, auto.GetS())
	}
	if shape, found := attribute(node, "kernel_shape"); !found || len(shape.GetInts()) != 2 {
		return op + " without a kernel_shape of two sides"
	}
	for _, name := range []string{"pads", "strides", "dilations"} {
		a, found := attribute(node, name)
		if !found {
			continue
		}
		v := a.GetInts()
		even := !slices.ContainsFunc(v, func(x int64) bool { return x != v[0] })
		if !even || name == "dilations" && len(v) > 0 && v[0] != 1 {
			return fmt.Sprintf("%s of %s %v", op, name, v)
		}
	}
	return ""
}

func attribute(node *onnxpb.NodeProto, name string) (*onnxpb.AttributeProto, bool) {
	for _, a := range node.Attribute {
		if a.GetName() == name {
			return a, true
		}
	}
	return nil, false
}
