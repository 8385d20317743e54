package inspect

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/deepmutual/dml/internal/onnxmeta"
	"github.com/deepmutual/dml/internal/onnxpb"
)

// Support says whether something can run a model, as far as the file tells.
type Support struct {
	Runs bool `json:"runs"`
	// Outputs are those that it can compute.
	Outputs []string `json:"outputs,omitempty"`
	// Notes say why not, or what else a caller must know.
	Notes []string `json:"notes,omitempty"`
}

func (s *Support) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// domains are those whose operators ONNX Runtime has.
var domains = []string{"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}

// inferSupport applies what package infer asks of a model.
func inferSupport(r *Report) Support {
	var s Support
	if reason := interfaceFault(r); reason != "" {
		s.note("%s", reason)
	}
	if len(r.Faults) > 0 {
		s.note("the file is faulty")
	}
	for _, op := range r.Operators {
		if !slices.Contains(domains, op.Domain) {
			s.note("operator %s of the domain %q is none of ONNX Runtime's", op.Name, op.Domain)
		}
	}
	_, err := onnxmeta.Parse(r.Metadata)
	foreign := errors.Is(err, onnxmeta.ErrNone)
	if s.Outputs = served(r.Outputs, foreign); len(s.Outputs) == 0 && foreign {
		s.note("it has no float32 output")
	} else if len(s.Outputs) == 0 {
		s.note("it has none of the float32 outputs %s, %s and %s", onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding)
	}
	s.Runs = len(s.Notes) == 0
	if !s.Runs {
		s.Outputs = nil
		return s
	}
	if foreign {
		s.note("without this toolkit's metadata: on prepared tensors, or with a preset for images")
	} else if err != nil {
		s.Runs, s.Outputs = false, nil
		s.note("%v", err)
	}
	if len(r.External) > 0 {
		s.note("its weights are in other files: open it by its path")
	}
	return s
}

// served lists the outputs that package infer gives: those of the names that it
// knows, and of a foreign model with none of them the first.
func served(outputs []Tensor, foreign bool) []string {
	var known, all []string
	for _, out := range outputs {
		if out.Type != "float" {
			continue
		}
		all = append(all, out.Name)
		if slices.Contains([]string{onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding}, out.Name) {
			known = append(known, out.Name)
		}
	}
	if len(known) == 0 && foreign {
		return all[:min(1, len(all))]
	}
	return known
}

// interfaceFault says what of the inputs package infer cannot feed.
func interfaceFault(r *Report) string {
	if len(r.Inputs) != 1 {
		return fmt.Sprintf("it has %d inputs, one is needed", len(r.Inputs))
	}
	in := r.Inputs[0]
	if in.Type != "float" && in.Type != "uint8" {
		return fmt.Sprintf("its input is of type %q, float or uint8 is needed", in.Type)
	}
	if len(in.Shape) == 0 {
		return "its input has no shape"
	}
	for _, extent := range in.Shape[1:] {
		if n, err := strconv.ParseInt(extent, 10, 64); err != nil || n < 1 {
			return fmt.Sprintf("its input has the shape [%s]; only the batch may be open", strings.Join(in.Shape, ", "))
		}
	}
	return ""
}

// onnxGo are the operators that onnx-go v0.5.0 registers for Gorgonia.
var onnxGo = strings.Fields(`Abs Add BatchNormalization Ceil Concat Constant Conv Cos Div Dropout Exp Flatten Floor
	Gemm GlobalAveragePool Identity LeakyRelu Log MatMul Max MaxPool Min Mul Neg Relu Reshape Sigmoid Sign Sin Softmax
	Softplus Sqrt Squeeze Sub Tanh Transpose Unsqueeze`)

// gorgoniaSupport finds the outputs whose operators onnx-go has; package
// infer/gorgonia cuts the others off.
func gorgoniaSupport(r *Report, g *onnxpb.GraphProto) Support {
	var s Support
	if reason := interfaceFault(r); reason != "" {
		s.note("%s", reason)
		return s
	}
	if r.Inputs[0].Type != "float" {
		s.note("its input is of type %s, float is needed", r.Inputs[0].Type)
		return s
	}
	if len(r.Faults) > 0 || len(r.External) > 0 {
		s.note("the file is faulty, or its weights are in other files")
		return s
	}
	for _, c := range r.Constants {
		if c.Type == "float16" || c.Type == "bfloat16" {
			s.note("%d constants are of type %s, which onnx-go lacks", c.Tensors, c.Type)
			return s
		}
	}
	producers := map[string]*onnxpb.NodeProto{}
	for _, n := range g.Node {
		for _, out := range n.Output {
			producers[out] = n
		}
	}
	lacking := map[string][]string{}
	for _, out := range r.Outputs {
		missing := lacks(out.Name, producers)
		if len(missing) == 0 {
			s.Outputs = append(s.Outputs, out.Name)
		}
		for _, op := range missing {
			lacking[op] = append(lacking[op], out.Name)
		}
	}
	s.Runs = len(s.Outputs) > 0
	operators := make([]string, 0, len(lacking))
	for op := range lacking {
		operators = append(operators, op)
	}
	slices.Sort(operators)
	for _, op := range operators {
		if len(lacking[op]) == len(r.Outputs) {
			s.note("onnx-go lacks %s", op)
		} else {
			s.note("onnx-go lacks %s, which %s need", op, strings.Join(lacking[op], ", "))
		}
	}
	return s
}

// lacks lists what onnx-go has not of the operators that compute a tensor.
func lacks(tensor string, producers map[string]*onnxpb.NodeProto) []string {
	var missing []string
	seen := map[*onnxpb.NodeProto]bool{}
	for stack := []string{tensor}; len(stack) > 0; {
		n := producers[stack[len(stack)-1]]
		stack = stack[:len(stack)-1]
		if n == nil || seen[n] {
			continue
		}
		seen[n] = true
		stack = append(stack, n.Input...)
		if what := unsupported(n); what != "" && !slices.Contains(missing, what) {
			missing = append(missing, what)
		}
	}
	return missing
}

// unsupported says what of a node onnx-go cannot do; "" if it can.
func unsupported(n *onnxpb.NodeProto) string {
	op := n.GetOpType()
	if !slices.Contains(onnxGo, op) || n.GetDomain() != "" && n.GetDomain() != "ai.onnx" {
		return op
	}
	for _, a := range n.Attribute {
		switch {
		case op == "Conv" && a.GetName() == "group" && a.GetI() != 1:
			return "Conv with groups"
		case (op == "Conv" || op == "MaxPool") && a.GetName() == "pads" && uneven(a.Ints):
			return op + " with uneven padding" // which it would compute wrongly at times
		case op == "MaxPool" && a.GetName() == "dilations" && slices.ContainsFunc(a.Ints, func(d int64) bool { return d != 1 }):
			return "MaxPool with dilation"
		case op == "MaxPool" && a.GetName() == "ceil_mode" && a.GetI() != 0:
			return "MaxPool with ceil_mode"
		}
	}
	return ""
}

func uneven(pads []int64) bool {
	return slices.ContainsFunc(pads, func(p int64) bool { return p != pads[0] })
}
