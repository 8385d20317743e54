package onnxgo

import (
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

func value(name string, dims ...int64) *onnxpb.ValueInfoProto {
	shape := &onnxpb.TensorShapeProto{Dim: []*onnxpb.TensorShapeProto_Dimension{
		{Value: &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "batch"}},
	}}
	for _, d := range dims {
		shape.Dim = append(shape.Dim, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: d}})
	}
	return &onnxpb.ValueInfoProto{Name: proto.String(name), Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
		TensorType: &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(onnxpb.TensorProto_FLOAT)), Shape: shape},
	}}}
}

func weight(name string, dims ...int64) *onnxpb.TensorProto {
	return &onnxpb.TensorProto{Name: proto.String(name), Dims: dims, DataType: proto.Int32(int32(onnxpb.TensorProto_FLOAT)),
		RawData: make([]byte, 4*product(dims))}
}

func node(op string, inputs []string, output string, attributes ...*onnxpb.AttributeProto) *onnxpb.NodeProto {
	return &onnxpb.NodeProto{OpType: proto.String(op), Input: inputs, Output: []string{output}, Attribute: attributes}
}

func number(name string, v int64) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), I: proto.Int64(v)}
}

func numbers(name string, v ...int64) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), Ints: v}
}

// classifier is a graph of every operator, from images of 3x8x8 to an embedding
// of 4 features, logits of 2 classes and their softmax.
func classifier() *onnxpb.GraphProto {
	return &onnxpb.GraphProto{
		Name:   proto.String("classifier"),
		Input:  []*onnxpb.ValueInfoProto{value("input", 3, 8, 8)},
		Output: []*onnxpb.ValueInfoProto{value("embedding", 4), value("logits", 2), value("probabilities", 2)},
		Initializer: []*onnxpb.TensorProto{
			weight("conv.w", 4, 3, 3, 3), weight("conv.b", 4), weight("scale", 4), weight("bias", 4), weight("mean", 4), weight("var", 4),
			weight("dense.w", 2, 4), weight("dense.b", 2),
		},
		Node: []*onnxpb.NodeProto{
			node("Conv", []string{"input", "conv.w", "conv.b"}, "conv", numbers("kernel_shape", 3, 3), numbers("pads", 1, 1, 1, 1),
				numbers("strides", 2, 2), numbers("dilations", 1, 1), number("group", 1)),
			node("BatchNormalization", []string{"conv", "scale", "bias", "mean", "var"}, "norm"),
			node("Relu", []string{"norm"}, "relu"),
			node("Identity", []string{"norm"}, "same"),
			node("Add", []string{"relu", "same"}, "sum"),
			node("GlobalAveragePool", []string{"sum"}, "pooled"),
			node("Flatten", []string{"pooled"}, "embedding"),
			node("Gemm", []string{"embedding", "dense.w", "dense.b"}, "logits", number("transB", 1)),
			node("Softmax", []string{"logits"}, "probabilities", number("axis", -1)),
		},
	}
}

func operators(g *onnxpb.GraphProto) (ops []string) {
	for _, n := range g.Node {
		ops = append(ops, n.GetOpType())
	}
	return ops
}

func TestReduce(t *testing.T) {
	g := classifier()
	g.Input = append(g.Input, value("conv.w")) // a weight that older files list among the inputs
	before := proto.CloneOf(g)
	for output, want := range map[string]struct {
		nodes, weights int
		last           string
	}{
		"embedding":     {7, 6, "Flatten"},
		"logits":        {8, 8, "Gemm"},
		"probabilities": {9, 8, "Softmax"},
	} {
		one := Reduce(g, output)
		if ops := operators(one); len(ops) != want.nodes || ops[len(ops)-1] != want.last || len(one.Initializer) != want.weights {
			t.Errorf("%s: %v, %d weights", output, ops, len(one.Initializer))
		}
		if len(one.Input) != 1 || one.Input[0].GetName() != "input" || len(one.Output) != 1 || one.Output[0].GetName() != output {
			t.Errorf("%s: inputs %v, outputs %v", output, one.Input, one.Output)
		}
		if lacking := Lacking(one); lacking != nil {
			t.Errorf("%s: %q", output, lacking)
		}
		if err := CheckShapes(one); err != nil {
			t.Errorf("%s: %v", output, err)
		}
		// Callers fix the batch of what they get.
		one.Input[0].Type.GetTensorType().Shape.Dim[0] = &onnxpb.TensorShapeProto_Dimension{}
		one.Output[0].Type.GetTensorType().Shape.Dim[0] = &onnxpb.TensorShapeProto_Dimension{}
	}
	if !proto.Equal(g, before) {
		t.Error("the graph itself changed")
	}
	if one := Reduce(g, "none"); len(one.Node)+len(one.Output)+len(one.Initializer) != 0 {
		t.Errorf("of an output that is not there: %v", one)
	}
}

func TestLacking(t *testing.T) {
	conv := func(attributes ...*onnxpb.AttributeProto) *onnxpb.NodeProto {
		return node("Conv", []string{"x", "w"}, "y", append(attributes, numbers("kernel_shape", 3, 3))...)
	}
	of := func(domain string, n *onnxpb.NodeProto) *onnxpb.NodeProto {
		n.Domain = proto.String(domain)
		return n
	}
	two := node("Relu", []string{"x"}, "y")
	two.Output = append(two.Output, "z")
	auto := &onnxpb.AttributeProto{Name: proto.String("auto_pad"), S: []byte("SAME_UPPER")}
	notSet := &onnxpb.AttributeProto{Name: proto.String("auto_pad"), S: []byte("NOTSET")}
	gemm := func(attributes ...*onnxpb.AttributeProto) *onnxpb.NodeProto {
		return node("Gemm", []string{"x", "w", "b"}, "y", attributes...)
	}
	for _, tc := range []struct {
		node *onnxpb.NodeProto
		want string // "" for what is computed
	}{
		{conv(), ""},
		{conv(notSet, number("group", 1), numbers("pads", 2, 2, 2, 2), numbers("strides", 2, 2)), ""},
		{of("ai.onnx", node("Relu", []string{"x"}, "y")), ""},
		{of("my.house", node("Relu", []string{"x"}, "y")), "my.house.Relu"},
		{node("Clip", []string{"x"}, "y"), "Clip"},
		{node("", nil, "y"), "a node without an operator"},
		{conv(number("group", 3)), "Conv with groups"},
		{conv(auto), "Conv of auto_pad SAME_UPPER"},
		{conv(numbers("pads", 0, 0, 1, 1)), "Conv of pads [0 0 1 1]"},
		{conv(numbers("pads", -1, -1, -1, -1)), "Conv of pads [-1 -1 -1 -1]"},
		{conv(numbers("pads", 1, 1)), "Conv of pads [1 1]"},
		{conv(numbers("strides", 1, 2)), "Conv of strides [1 2]"},
		{conv(numbers("strides", 0, 0)), "Conv of strides [0 0]"},
		{conv(numbers("dilations", 2, 2)), "Conv of dilations [2 2]"},
		{node("Conv", []string{"x", "w"}, "y"), "Conv without a kernel_shape of two sides"},
		{node("Conv", []string{"x", "w"}, "y", numbers("kernel_shape", 3)), "Conv without a kernel_shape of two sides"},
		{node("Conv", []string{"x"}, "y"), "Conv of 1 tensors"},
		{node("Add", []string{"x", "y", "z"}, "s"), "Add of 3 tensors"},
		{node("Add", []string{"x", "x"}, "y"), "Add of a tensor twice"},
		{two, "Relu with 2 outputs"},
		{node("BatchNormalization", []string{"x", "s", "b", "m", "v"}, "y", number("training_mode", 1)), "BatchNormalization in training mode"},
		{gemm(number("transB", 1)), ""},
		{node("Gemm", []string{"x", "w"}, "y"), "Gemm without a bias"},
		{gemm(number("transA", 1)), "Gemm of a transposed batch"},
		{gemm(number("transB", 2)), "Gemm of transB 2"},
		{node("Flatten", []string{"x"}, "y", number("axis", 1)), ""},
		{node("Flatten", []string{"x"}, "y", number("axis", 0)), "Flatten at axis 0"},
		{node("Softmax", []string{"x"}, "y"), ""},
		{node("Softmax", []string{"x"}, "y", number("axis", 2)), "Softmax over axis 2"},
	} {
		var want []string
		if tc.want != "" {
			want = []string{tc.want}
		}
		if got := Lacking(&onnxpb.GraphProto{Node: []*onnxpb.NodeProto{tc.node, tc.node}}); !slices.Equal(got, want) {
			t.Errorf("%v: %q, want %q", tc.node, got, want)
		}
	}
}

// TestCheckShapes changes a graph that onnx-go computes in one place.
func TestCheckShapes(t *testing.T) {
	find := func(g *onnxpb.GraphProto, op string) *onnxpb.NodeProto {
		return g.Node[slices.Index(operators(g), op)]
	}
	constant := func(g *onnxpb.GraphProto, name string) *onnxpb.TensorProto {
		return g.Initializer[slices.IndexFunc(g.Initializer, func(w *onnxpb.TensorProto) bool { return w.GetName() == name })]
	}
	for name, tc := range map[string]struct {
		change func(g *onnxpb.GraphProto)
		want   string // "" where it is still computed
	}{
		"nothing": {func(*onnxpb.GraphProto) {}, ""},
		"values in the typed field": {func(g *onnxpb.GraphProto) {
			w := constant(g, "dense.b")
			w.RawData, w.FloatData = nil, []float32{1, 2}
		}, ""},
		"matrix not transposed": {func(g *onnxpb.GraphProto) {
			constant(g, "dense.w").Dims = []int64{4, 2}
			find(g, "Gemm").Attribute = nil
		}, ""},
		"convolution without a bias": {func(g *onnxpb.GraphProto) { find(g, "Conv").Input = find(g, "Conv").Input[:2] }, ""},

		"two inputs":      {func(g *onnxpb.GraphProto) { g.Input = append(g.Input, value("mask", 2)) }, "2 inputs and 1 outputs"},
		"no output":       {func(g *onnxpb.GraphProto) { g.Output = nil }, "1 inputs and 0 outputs"},
		"no batch":        {func(g *onnxpb.GraphProto) { g.Input[0].Type = nil }, `input "input": it has no batch`},
		"open input":      {func(g *onnxpb.GraphProto) { g.Input[0] = value("input", 3, 0, 8) }, "[3 0 8] is impossible"},
		"huge input":      {func(g *onnxpb.GraphProto) { g.Input[0] = value("input", 3, 1<<32, 1<<32) }, "impossible or too large"},
		"another output":  {func(g *onnxpb.GraphProto) { g.Output[0] = value("probabilities", 3) }, "of shape [2], declared as [3]"},
		"uncomputed":      {func(g *onnxpb.GraphProto) { g.Output[0] = value("none", 2) }, `output "none" is not computed`},
		"weight twice":    {func(g *onnxpb.GraphProto) { g.Initializer = append(g.Initializer, weight("mean", 4)) }, `"mean" is there already`},
		"weight as input": {func(g *onnxpb.GraphProto) { g.Initializer = append(g.Initializer, weight("input", 4)) }, `"input" is there already`},
		"weight unnamed":  {func(g *onnxpb.GraphProto) { g.Initializer = append(g.Initializer, weight("", 4)) }, "has no name"},
		"weight of halves": {func(g *onnxpb.GraphProto) {
			constant(g, "mean").DataType = proto.Int32(int32(onnxpb.TensorProto_FLOAT16))
		}, "of type FLOAT16"},
		"weight cut off":   {func(g *onnxpb.GraphProto) { constant(g, "mean").RawData = make([]byte, 8) }, "holds 2 values for the shape [4]"},
		"broken bytes":     {func(g *onnxpb.GraphProto) { constant(g, "mean").RawData = make([]byte, 17) }, "holds 4 values"},
		"values twice":     {func(g *onnxpb.GraphProto) { constant(g, "mean").FloatData = make([]float32, 4) }, "holds 4 values"},
		"weight elsewhere": {func(g *onnxpb.GraphProto) { constant(g, "mean").RawData = nil }, "holds 0 values"},
		"negative side":    {func(g *onnxpb.GraphProto) { constant(g, "mean").Dims = []int64{-4} }, "[-4] is impossible"},
		"kernel of another size": {func(g *onnxpb.GraphProto) { find(g, "Conv").Attribute[0] = numbers("kernel_shape", 5, 5) },
			"[4 3 3 3] for a kernel [5 5]"},
		"kernel over more channels": {func(g *onnxpb.GraphProto) { g.Input[0] = value("input", 4, 8, 8) }, "over 4 channels"},
		"kernel too large": {func(g *onnxpb.GraphProto) {
			find(g, "Conv").Attribute[1], g.Input[0] = numbers("pads", 0, 0, 0, 0), value("input", 3, 2, 2)
		}, "does not fit"},
		"padding too large": {func(g *onnxpb.GraphProto) {
			p := int64(1) << 62
			find(g, "Conv").Attribute[1] = numbers("pads", p, p, p, p)
		}, "does not fit"},
		"bias of another size":        {func(g *onnxpb.GraphProto) { find(g, "Conv").Input[2] = "dense.b" }, `"dense.b" has the shape [2], not [4]`},
		"bias that is not there":      {func(g *onnxpb.GraphProto) { find(g, "Conv").Input[2] = "gone" }, `"gone" has the shape []`},
		"norm of another size":        {func(g *onnxpb.GraphProto) { find(g, "BatchNormalization").Input[3] = "dense.b" }, `"dense.b" has the shape [2]`},
		"norm of a vector":            {func(g *onnxpb.GraphProto) { find(g, "BatchNormalization").Input[0] = "embedding" }, `reads "embedding", which is not computed before`},
		"dense of an image":           {func(g *onnxpb.GraphProto) { find(g, "Gemm").Input[0] = "sum" }, "samples of 1 sides, not of shape [4 4 4]"},
		"dense of another depth":      {func(g *onnxpb.GraphProto) { find(g, "Flatten").Input[0] = "sum" }, "for samples of shape [64]"},
		"dense by a vector":           {func(g *onnxpb.GraphProto) { find(g, "Gemm").Input[1] = "mean" }, "not a matrix's"},
		"sum of two shapes":           {func(g *onnxpb.GraphProto) { find(g, "Add").Input[1] = "input" }, `to "input" of shape [3 8 8]`},
		"sum with a weight":           {func(g *onnxpb.GraphProto) { find(g, "Add").Input[1] = "conv.b" }, `to "conv.b" of shape []`},
		"reading a weight":            {func(g *onnxpb.GraphProto) { find(g, "Relu").Input[0] = "conv.b" }, `reads "conv.b"`},
		"a cycle":                     {func(g *onnxpb.GraphProto) { find(g, "Relu").Input[0] = "sum" }, `reads "sum", which is not computed before`},
		"a tensor twice":              {func(g *onnxpb.GraphProto) { find(g, "Identity").Output[0] = "relu" }, `"relu" is there already`},
		"a tensor without a name":     {func(g *onnxpb.GraphProto) { find(g, "Identity").Output[0] = "" }, "has no name"},
		"an output named as a weight": {func(g *onnxpb.GraphProto) { find(g, "Identity").Output[0] = "mean" }, `"mean" is there already`},
	} {
		g := Reduce(classifier(), "probabilities")
		tc.change(g)
		if lacking := Lacking(g); lacking != nil {
			t.Errorf("%s: CheckShapes is not for graphs that lack %q", name, lacking)
			continue
		}
		err := CheckShapes(g)
		if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

// FuzzGraph feeds any graph: it may be refused, never panic.
func FuzzGraph(f *testing.F) {
	for _, g := range []*onnxpb.GraphProto{classifier(), Reduce(classifier(), "logits"), {Node: []*onnxpb.NodeProto{{Output: []string{"logits"}}}}} {
		data, err := proto.Marshal(g)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		g := new(onnxpb.GraphProto)
		if proto.Unmarshal(data, g) != nil {
			return
		}
		for _, output := range []string{"embedding", "logits", "probabilities"} {
			if one := Reduce(g, output); Lacking(one) == nil {
				_ = CheckShapes(one)
			}
		}
	})
}
