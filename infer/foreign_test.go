//go:build cgo

package infer

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// floatTensor describes a float32 tensor; dimensions are numbers, or names of
// dynamic ones.
func floatTensor(name string, dims ...any) *onnxpb.ValueInfoProto {
	shape := &onnxpb.TensorShapeProto{}
	for _, d := range dims {
		dim := &onnxpb.TensorShapeProto_Dimension{}
		switch d := d.(type) {
		case int:
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(d)}
		case string:
			dim.Value = &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: d}
		}
		shape.Dim = append(shape.Dim, dim)
	}
	return &onnxpb.ValueInfoProto{Name: proto.String(name), Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{
		TensorType: &onnxpb.TypeProto_Tensor{ElemType: proto.Int32(int32(onnxpb.TensorProto_FLOAT)), Shape: shape}}}}
}

// oneNode returns a model that applies a unary operator, as another tool might
// write it.
func oneNode(t testing.TB, op string, inputs []*onnxpb.ValueInfoProto, outputs ...*onnxpb.ValueInfoProto) []byte {
	t.Helper()
	g := &onnxpb.GraphProto{Name: proto.String("g"), Input: inputs, Output: outputs}
	for _, out := range outputs {
		g.Node = append(g.Node, &onnxpb.NodeProto{OpType: proto.String(op), Input: []string{inputs[0].GetName()}, Output: []string{out.GetName()}})
	}
	data, err := proto.Marshal(&onnxpb.ModelProto{
		IrVersion: proto.Int64(8), Graph: g,
		OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: proto.Int64(17)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// foreign returns a model without our names or metadata.
func foreign(t testing.TB) []byte {
	return oneNode(t, "Relu", []*onnxpb.ValueInfoProto{floatTensor("x", "n", 2, 3)}, floatTensor("y", "n", 2, 3))
}

func TestForeign(t *testing.T) {
	m := openBytes(t, foreign(t), Options{})
	if info := m.Info(); !info.Foreign || info.Channels != 6 || info.Height != 0 || info.Classes != nil || info.Features != 0 {
		t.Errorf("%+v", info)
	}
	got, err := m.Run(context.Background(), []float32{-1, 2, -3, 4, -5, 6, 7, -8, 9, -10, 11, -12}, 2)
	if want := []float32{0, 2, 0, 4, 0, 6, 7, 0, 9, 0, 11, 0}; err != nil || !slices.Equal(got.Logits, want) || got.Probabilities != nil || got.Embedding != nil {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := m.Predict(context.Background(), FromImage(picture(4, 4, 1))); !errors.Is(err, ErrNoMetadata) || !strings.Contains(err.Error(), "Run") {
		t.Errorf("Predict: %v", err)
	}
	if _, err := m.Embed(context.Background(), FromImage(picture(4, 4, 1))); !errors.Is(err, ErrNoMetadata) || !strings.Contains(err.Error(), "model of ") {
		t.Errorf("Embed: %v", err)
	}
}

func TestForeignInterfaces(t *testing.T) {
	x := func(dims ...any) []*onnxpb.ValueInfoProto { return []*onnxpb.ValueInfoProto{floatTensor("x", dims...)} }

	named := openBytes(t, oneNode(t, "Relu", x("n", 2), floatTensor("other", "n", 2), floatTensor("embedding", "n", 2)), Options{})
	got, err := named.Run(context.Background(), []float32{-1, 1}, 1)
	if err != nil || got.Logits != nil || !slices.Equal(got.Embedding, []float32{0, 1}) || named.Info().Features != 2 {
		t.Errorf("an output found by name: %+v, %v", got, err)
	}

	fixed := openBytes(t, oneNode(t, "Relu", x(2, 2), floatTensor("y", 2, 2)), Options{})
	if got, err := fixed.Run(context.Background(), []float32{-1, 1, 2, -2}, 2); err != nil || fixed.Info().Batch != 2 || !slices.Equal(got.Logits, []float32{0, 1, 2, 0}) {
		t.Errorf("fixed batch: %+v, %v", got, err)
	}
	if got, err := fixed.Run(context.Background(), []float32{-1, 1, 2, -2, 3, 4}, 3); err != nil || got.N != 3 || !slices.Equal(got.Logits, []float32{0, 1, 2, 0, 3, 4}) {
		t.Errorf("another batch: %+v, %v", got, err)
	}

	// NonZero has as many columns as its input has entries that are not zero,
	// so the size of this output is known only after a run.
	dynamic := openBytes(t, castNonZero(t), Options{})
	for range 3 {
		got, err := dynamic.Run(context.Background(), []float32{0, 3, 0, 5}, 2)
		if want := []float32{0, 1, 1, 1}; err != nil || !slices.Equal(got.Logits, want) {
			t.Errorf("dynamic output: %+v, %v, want %v", got, err, want)
		}
	}

	needRuntime(t)
	integers := floatTensor("x", "n", 2)
	integers.GetType().GetTensorType().ElemType = proto.Int32(int32(onnxpb.TensorProto_INT64))
	for name, data := range map[string][]byte{
		"two inputs":     oneNode(t, "Relu", append(x("n", 2), floatTensor("z", "n", 2)), floatTensor("y", "n", 2)),
		"dynamic sample": oneNode(t, "Relu", x("n", 2, "h"), floatTensor("y", "n", 2, "h")),
		"integer input":  oneNode(t, "Relu", []*onnxpb.ValueInfoProto{integers}, floatTensor("y", "n", 2)),
	} {
		if _, err := OpenBytes(Options{}, data); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// castNonZero returns a model whose output is float(NonZero(x)): the row and
// the column of each entry that is not zero.
func castNonZero(t testing.TB) []byte {
	t.Helper()
	data, err := proto.Marshal(&onnxpb.ModelProto{
		IrVersion: proto.Int64(8), OpsetImport: []*onnxpb.OperatorSetIdProto{{Version: proto.Int64(17)}},
		Graph: &onnxpb.GraphProto{Name: proto.String("g"),
			Input: []*onnxpb.ValueInfoProto{floatTensor("x", "n", 2)}, Output: []*onnxpb.ValueInfoProto{floatTensor("y", 2, "k")},
			Node: []*onnxpb.NodeProto{
				{OpType: proto.String("NonZero"), Input: []string{"x"}, Output: []string{"i"}},
				{OpType: proto.String("Cast"), Input: []string{"i"}, Output: []string{"y"}, Attribute: []*onnxpb.AttributeProto{{
					Name: proto.String("to"), Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(int64(onnxpb.TensorProto_FLOAT))}}},
			}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestPretrained classifies real images with a network of another origin.
func TestPretrained(t *testing.T) {
	needRuntime(t)
	model := datatest.Shared(t, "pretrained", "resnet32-cifar10.onnx")
	records, err := os.ReadFile(datatest.Shared(t, "cifar10-lossless4k.bin"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Open(Options{}, model)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if info := m.Info(); !info.Foreign || info.Channels != 3 || info.Height != 32 || info.Width != 32 {
		t.Errorf("%+v", info)
	}
	const n, size = 200, 3 * 32 * 32
	mean, std := []float32{.485, .456, .406}, []float32{.229, .224, .225}
	batch := make([]float32, n*size)
	for i := range n {
		for j, v := range records[i*(size+1)+1 : (i+1)*(size+1)] {
			c := j / (32 * 32)
			batch[i*size+j] = (float32(v)/255 - mean[c]) / std[c]
		}
	}
	out, err := m.Run(context.Background(), batch, n)
	if err != nil {
		t.Fatal(err)
	}
	right := 0
	for i := range n {
		row := out.Logits[i*10 : (i+1)*10]
		if slices.Index(row, slices.Max(row)) == int(records[i*(size+1)]) {
			right++
		}
	}
	if right != n { // the data's README: 1.0000 on the first 200
		t.Errorf("%d of %d right", right, n)
	}
}
