package inspect

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// The answers of Normalisation.Inside.
const (
	Yes     = "yes"
	No      = "no"
	Perhaps = "perhaps"
)

// Normalisation says whether a model normalises its images itself, so that its
// input takes raw pixels.
type Normalisation struct {
	Inside string `json:"inside"` // Yes, No or Perhaps
	Why    string `json:"why"`
}

// normalisation asks the metadata, then the type of the input, and else looks at
// the operators that the input meets first.
func normalisation(r *Report, g *onnxpb.GraphProto) Normalisation {
	if meta, err := onnxmeta.Parse(r.Metadata); err == nil {
		if meta.NormalisedInGraph {
			return Normalisation{Yes, "the metadata says so"}
		}
		return Normalisation{No, "the metadata says so"}
	}
	if len(r.Inputs) == 0 {
		return Normalisation{No, "it has no input"}
	}
	in := r.Inputs[0]
	if in.Type == "uint8" {
		return Normalisation{Yes, "its input takes bytes"}
	}
	channels := 0
	if len(in.Shape) == 4 {
		for _, at := range []int{1, 3} {
			if n, err := strconv.Atoi(in.Shape[at]); err == nil && (n == 1 || n == 3) && channels == 0 {
				channels = n
			}
		}
	}
	return firstOperators(g, in.Name, channels)
}

// firstOperators follows a tensor through operators that move values, to the
// first that change them.
func firstOperators(g *onnxpb.GraphProto, tensor string, channels int) Normalisation {
	constants := map[string]int64{}
	for _, t := range g.Initializer {
		constants[t.GetName()] = elements(t.Dims)
	}
	reached := map[string]bool{tensor: true}
	var met []string
	for _, n := range g.Node { // in the order of computation
		if n.GetOpType() == "Constant" && len(n.Output) > 0 {
			constants[n.Output[0]] = constantSize(n)
			continue
		}
		if !slices.ContainsFunc(n.Input, func(in string) bool { return reached[in] }) {
			continue
		}
		switch n.GetOpType() {
		case "Cast", "Identity", "Transpose", "Unsqueeze", "Squeeze", "Reshape", "Split", "Gather", "Slice", "Concat", "Pad", "Resize":
			for _, out := range n.Output {
				reached[out] = true
			}
		case "Sub", "Add", "Mul", "Div":
			for _, in := range n.Input {
				if size, ok := constants[in]; ok && (size == 1 || size == int64(channels)) {
					return Normalisation{Yes, fmt.Sprintf("a constant meets the input at once, in node %q (%s)", n.GetName(), n.GetOpType())}
				}
			}
			met = append(met, n.GetOpType())
		case "BatchNormalization", "InstanceNormalization":
			return Normalisation{Perhaps, fmt.Sprintf("%s is the first operator", n.GetOpType())}
		default:
			met = append(met, n.GetOpType())
		}
	}
	if len(met) == 0 {
		return Normalisation{Perhaps, "no operator reads the input"}
	}
	return Normalisation{No, met[0] + " is the first operator; no constant is subtracted, multiplied or divided by before"}
}

func constantSize(n *onnxpb.NodeProto) int64 {
	for _, a := range n.Attribute {
		if a.T != nil {
			return elements(a.T.Dims)
		}
	}
	return 1
}
