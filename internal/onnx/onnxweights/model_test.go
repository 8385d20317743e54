package onnxweights

import (
	"encoding/binary"
	"errors"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

func raw(values ...float32) []byte {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

func constantOf(name string, kind onnxpb.TensorProto_DataType, dims ...int64) *onnxpb.TensorProto {
	return &onnxpb.TensorProto{Name: proto.String(name), DataType: proto.Int32(int32(kind)), Dims: dims}
}

func floats(name string, values []float32, dims ...int64) *onnxpb.TensorProto {
	t := constantOf(name, onnxpb.TensorProto_FLOAT, dims...)
	t.RawData = raw(values...)
	return t
}

func node(op, name string, inputs []string, output string, attrs ...*onnxpb.AttributeProto) *onnxpb.NodeProto {
	return &onnxpb.NodeProto{OpType: proto.String(op), Name: proto.String(name), Input: inputs, Output: []string{output}, Attribute: attrs}
}

func number(name string, v float32) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), F: proto.Float32(v)}
}

func whole(name string, v int64) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), I: proto.Int64(v)}
}

func model(t testing.TB, g *onnxpb.GraphProto) []byte {
	t.Helper()
	data, err := proto.Marshal(&onnxpb.ModelProto{IrVersion: proto.Int64(8), Graph: g,
		MetadataProps: []*onnxpb.StringStringEntryProto{{Key: proto.String("k"), Value: proto.String("v")}}})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// every has one layer of each form that is read, and values of each type.
func every() *onnxpb.GraphProto {
	double := constantOf("gamma", onnxpb.TensorProto_DOUBLE, 2)
	double.DoubleData = []float64{1, 2}
	half := constantOf("mean", onnxpb.TensorProto_FLOAT16, 2)
	half.RawData = []byte{0x00, 0x3c, 0x00, 0xc0} // 1, -2
	brain := constantOf("variance", onnxpb.TensorProto_BFLOAT16, 2)
	brain.Int32Data = []int32{0x3f80, 0x4000} // 1, 2
	listed := constantOf("beta", onnxpb.TensorProto_FLOAT, 2)
	listed.FloatData = []float32{3, 4}
	inline := node("Constant", "", nil, "bias", &onnxpb.AttributeProto{Name: proto.String("value"), T: floats("", []float32{7, 8}, 2)})
	return &onnxpb.GraphProto{
		Initializer: []*onnxpb.TensorProto{
			floats("conv", []float32{1, 2}, 2, 1, 1, 1), double, listed, half, brain,
			floats("dense", []float32{1, 2, 3, 4, 5, 6}, 3, 2), floats("product", []float32{1, 2, 3, 4}, 2, 2),
			floats("added", []float32{5, 6}, 2), floats("unused", []float32{1}),
		},
		Node: []*onnxpb.NodeProto{
			inline,
			node("Conv", "/a/Conv", []string{"x", "conv", "bias"}, "c"),
			node("Identity", "", []string{"gamma"}, "alias"),
			node("BatchNormalization", "bn", []string{"c", "alias", "beta", "mean", "variance"}, "n", number("epsilon", 0.5)),
			node("Relu", "", []string{"n"}, "r"),
			node("Gemm", "g", []string{"r", "dense", "bias"}, "d", whole("transB", 0)),
			node("MatMul", "m", []string{"d", "product"}, "p"),
			node("Add", "", []string{"added", "p"}, "y"),
			node("Conv", "dynamic", []string{"x", "y"}, "z"),
		},
	}
}

func TestParse(t *testing.T) {
	m, err := Parse(model(t, every()))
	if err != nil {
		t.Fatal(err)
	}
	tensor := func(name string, shape []int, values ...float32) *Tensor { return &Tensor{name, shape, values} }
	want := []Layer{
		{Kind: Conv, Node: "/a/Conv", Weight: tensor("conv", []int{2, 1, 1, 1}, 1, 2), Bias: tensor("bias", []int{2}, 7, 8), Follows: -1},
		{Kind: BatchNorm, Node: "bn", Weight: tensor("alias", []int{2}, 1, 2), Bias: tensor("beta", []int{2}, 3, 4),
			Mean: tensor("mean", []int{2}, 1, -2), Variance: tensor("variance", []int{2}, 1, 2), Epsilon: 0.5, Follows: 0},
		{Kind: Dense, Node: "g", Weight: tensor("dense", []int{2, 3}, 1, 3, 5, 2, 4, 6), Bias: tensor("bias", []int{2}, 7, 8), Follows: -1},
		{Kind: Dense, Node: "m", Weight: tensor("product", []int{2, 2}, 1, 3, 2, 4), Bias: tensor("added", []int{2}, 5, 6), Follows: 2},
	}
	for i := range max(len(want), len(m.Layers)) {
		if i >= len(m.Layers) || i >= len(want) || !reflect.DeepEqual(m.Layers[i], want[i]) {
			t.Errorf("layer %d: got %d layers, want %+v", i, len(m.Layers), want[min(i, len(want)-1)])
		}
	}
	if !slices.Equal(m.Others, []string{"unused"}) || m.Metadata["k"] != "v" {
		t.Errorf("others %q, metadata %v", m.Others, m.Metadata)
	}
}

func TestParseRefuses(t *testing.T) {
	conv := func(w *onnxpb.TensorProto, more ...*onnxpb.TensorProto) *onnxpb.GraphProto {
		return &onnxpb.GraphProto{Initializer: append([]*onnxpb.TensorProto{w}, more...),
			Node: []*onnxpb.NodeProto{node("Conv", "first", []string{"x", "w", "b"}, "y")}}
	}
	external := constantOf("w", onnxpb.TensorProto_FLOAT, 1, 1, 1, 1)
	external.DataLocation = onnxpb.TensorProto_EXTERNAL.Enum()
	whole := constantOf("w", onnxpb.TensorProto_INT64, 1, 1, 1, 1)
	odd := floats("w", []float32{1}, 1, 1, 1, 1)
	odd.RawData = odd.RawData[:3]
	for name, test := range map[string]struct {
		graph *onnxpb.GraphProto
		want  error
		text  string
	}{
		"huge":          {conv(floats("w", []float32{1}, 1<<40, 1<<40, 3, 3)), ErrTensor, `"w" has the shape [1099511627776`},
		"large":         {conv(floats("w", []float32{1}, 1<<15, 1<<15, 1, 1)), ErrTensor, "and 1 values"},
		"negative":      {conv(floats("w", []float32{1}, -1, -1, 1, 1)), ErrTensor, "shape [-1 -1 1 1]"},
		"zero":          {conv(floats("w", nil, 0, 1, 1, 1)), ErrTensor, "shape [0 1 1 1]"},
		"bytes":         {conv(odd), ErrTensor, "3 bytes"},
		"integers":      {conv(whole), ErrTensor, "INT64"},
		"vector":        {conv(floats("w", []float32{1}, 1)), ErrTensor, "shape [1]"},
		"external":      {conv(external), ErrExternal, "one file"},
		"bias":          {conv(floats("w", []float32{1}, 1, 1, 1, 1), floats("b", []float32{1, 2}, 2)), ErrTensor, `bias "b" [2]`},
		"twice":         {conv(floats("w", []float32{1}, 1, 1, 1, 1), floats("w", []float32{1}, 1, 1, 1, 1)), ErrTensor, "two initializers"},
		"without nodes": {&onnxpb.GraphProto{}, ErrNotONNX, "no graph"},
		"statistics": {&onnxpb.GraphProto{
			Initializer: []*onnxpb.TensorProto{floats("a", []float32{1, 2}, 2), floats("b", []float32{1}, 1)},
			Node:        []*onnxpb.NodeProto{node("BatchNormalization", "", []string{"x", "a", "a", "b", "a"}, "y")},
		}, ErrTensor, `"b" has 1 values, "a" has 2`},
	} {
		if _, err := Parse(model(t, test.graph)); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, data := range []string{"", "no model", "\x00\x01\x02"} {
		if _, err := Parse([]byte(data)); !errors.Is(err, ErrNotONNX) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

func TestScope(t *testing.T) {
	for node, want := range map[string]string{
		"/layer1/layer1.0/conv1/Conv": "layer1.0.conv1",
		"/features/features.3/Conv":   "features.3",
		"/a/a.0/b/b.1/conv/Conv":      "a.0.b.1.conv",
		"/conv1/Conv":                 "conv1",
		"/Conv":                       "",
		"conv1":                       "",
		"":                            "",
	} {
		if got := Scope(node); got != want {
			t.Errorf("%q is of %q, want %q", node, got, want)
		}
	}
}

// TestSharedModels counts the layers of third-party networks.
func TestSharedModels(t *testing.T) {
	for name, want := range map[string][3]int{ // convolutions, dense, batch norms
		"pretrained/resnet20-cifar10.onnx":           {19, 1, 19},
		"pretrained/mobilenet_v1_0.25_imagenet.onnx": {28, 0, 27},
	} {
		data, err := os.ReadFile(datatest.Shared(t, name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := Parse(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got [3]int
		for _, l := range m.Layers {
			got[l.Kind]++
		}
		if got != want {
			t.Errorf("%s: %v layers, want %v", name, got, want)
		}
	}
}

// FuzzParse looks for files that make Parse panic, or return layers whose
// shapes belie their values.
func FuzzParse(f *testing.F) {
	good := model(f, every())
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Add(model(f, &onnxpb.GraphProto{Initializer: []*onnxpb.TensorProto{floats("w", []float32{1}, 1<<40, 1, 1, 1)},
		Node: []*onnxpb.NodeProto{node("Conv", "", []string{"x", "w"}, "y")}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Parse(data)
		if err != nil {
			return
		}
		for i, l := range m.Layers {
			if l.Follows >= i {
				t.Errorf("layer %d follows %d", i, l.Follows)
			}
			for _, w := range []*Tensor{l.Weight, l.Bias, l.Mean, l.Variance} {
				if w == nil {
					continue
				}
				n := 1
				for _, d := range w.Shape {
					n *= d
				}
				if n != len(w.Data) {
					t.Errorf("%q has %d values for %v", w.Name, len(w.Data), w.Shape)
				}
			}
		}
	})
}
