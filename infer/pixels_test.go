//go:build cgo

package infer

import (
	"context"
	"encoding/binary"
	"errors"
	"image"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

// normalising returns an exported student that takes 8-bit pixels [batch,
// height, width, channels] and normalises them itself.
func normalising(t testing.TB, model []byte, mean, std []float32, batch int) []byte {
	t.Helper()
	m := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(model, m); err != nil {
		t.Fatal(err)
	}
	g := m.Graph
	dims := g.Input[0].Type.GetTensorType().Shape.Dim
	dims[1], dims[2], dims[3] = dims[2], dims[3], dims[1]
	if batch > 0 {
		for _, v := range append(g.Output, g.Input...) {
			v.Type.GetTensorType().Shape.Dim[0].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(batch)}
		}
	}
	g.Input[0].Type.GetTensorType().ElemType = proto.Int32(int32(onnxpb.TensorProto_UINT8))
	for _, n := range g.Node {
		for i, name := range n.Input {
			if name == onnxmeta.Input {
				n.Input[i] = "normalised"
			}
		}
	}
	constant := func(name string, value func(c int) float32) {
		c := &onnxpb.TensorProto{Name: proto.String(name), DataType: proto.Int32(int32(onnxpb.TensorProto_FLOAT)), Dims: []int64{int64(len(mean))}}
		for i := range mean {
			c.RawData = binary.LittleEndian.AppendUint32(c.RawData, math.Float32bits(value(i)))
		}
		g.Initializer = append(g.Initializer, c)
	}
	constant("mean255", func(c int) float32 { return 255 * mean[c] })
	constant("std255", func(c int) float32 { return 255 * std[c] })
	node := func(op string, output string, attribute *onnxpb.AttributeProto, inputs ...string) *onnxpb.NodeProto {
		n := &onnxpb.NodeProto{OpType: proto.String(op), Input: inputs, Output: []string{output}}
		if attribute != nil {
			n.Attribute = []*onnxpb.AttributeProto{attribute}
		}
		return n
	}
	g.Node = append([]*onnxpb.NodeProto{
		node("Cast", "floats", &onnxpb.AttributeProto{Name: proto.String("to"), Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(int64(onnxpb.TensorProto_FLOAT))}, onnxmeta.Input),
		node("Sub", "centred", nil, "floats", "mean255"),
		node("Div", "scaled", nil, "centred", "std255"),
		node("Transpose", "normalised", &onnxpb.AttributeProto{Name: proto.String("perm"), Type: onnxpb.AttributeProto_INTS.Enum(), Ints: []int64{0, 3, 1, 2}}, "scaled"),
	}, g.Node...)
	for _, p := range m.MetadataProps {
		if p.GetKey() == onnxmeta.KeyNormalised {
			p.Value = proto.String("true")
		}
	}
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestUint8Input(t *testing.T) {
	opts := tinyOptions()
	in := models.Shape{C: 3, H: 16, W: 12}
	plain := exporttest.Student(t, exporttest.Network(t, "convnet", in, 3), 4, opts)
	reference := openBytes(t, plain, Options{})
	images := []Image{FromImage(picture(12, 16, 1)), FromImage(picture(40, 30, 2)), FromImage(picture(12, 16, 3)), FromImage(picture(5, 5, 4)), FromImage(picture(12, 16, 5))}
	want, err := reference.Predict(context.Background(), images...)
	if err != nil {
		t.Fatal(err)
	}
	wantVectors, err := reference.Embed(context.Background(), images...)
	if err != nil {
		t.Fatal(err)
	}
	var pixels []uint8
	for i := range 3 {
		src := picture(12, 16, uint64(2*i+1))
		for p := range 12 * 16 {
			pixels = append(pixels, src.Pix[4*p:4*p+3]...)
		}
	}
	wantRaw, err := reference.RunPixels(context.Background(), pixels, 3)
	if err != nil {
		t.Fatal(err)
	}
	if d := largest(wantRaw.part(0, 1).Probabilities, want[0].Probabilities); d > 1e-6 {
		t.Errorf("raw pixels and images differ by %v", d)
	}
	for _, batch := range []int{0, 2, 4} {
		m := openBytes(t, normalising(t, plain, opts.Mean, opts.Std, batch), Options{MaxBatch: 3})
		if info := m.Info(); !info.Uint8 || !info.NormalisedInGraph || info.Channels != 3 || info.Height != 16 || info.Width != 12 || info.Batch != batch {
			t.Errorf("%+v", info)
		}
		got, err := m.Predict(context.Background(), images...)
		if err != nil {
			t.Fatal(err)
		}
		vectors, err := m.Embed(context.Background(), images...)
		if err != nil {
			t.Fatal(err)
		}
		for i := range images {
			if d := max(largest(got[i].Probabilities, want[i].Probabilities), largest(vectors[i], wantVectors[i])); d > 1e-5 {
				t.Errorf("batch %d, image %d differs by %v", batch, i, d)
			}
		}
		raw, err := m.RunPixels(context.Background(), pixels, 3)
		if err != nil || largest(raw.Logits, wantRaw.Logits) > 1e-4 {
			t.Errorf("batch %d: %v, %v, %v", batch, raw.Logits, wantRaw.Logits, err)
		}
		if _, err := m.Run(context.Background(), make([]float32, in.Size()), 1); !errors.Is(err, ErrWrongInput) || !strings.Contains(err.Error(), "RunPixels") {
			t.Errorf("floats: %v", err)
		}
		var size *SizeError
		if _, err := m.RunPixels(context.Background(), pixels[1:], 3); !errors.Is(err, ErrWrongSize) || !errors.As(err, &size) || size.PerSample != in.Size() {
			t.Errorf("wrong size: %v", err)
		}
	}
	if _, err := OpenBytes(Options{}, plain, normalising(t, plain, opts.Mean, opts.Std, 0)); !errors.Is(err, ErrMismatch) {
		t.Errorf("both together: %v", err)
	}
}

// TestFixedBatch compares a model whose batch is fixed with the same of any.
func TestFixedBatch(t *testing.T) {
	in := models.Shape{C: 1, H: 8, W: 8}
	data := exporttest.Student(t, exporttest.Network(t, "convnet", in, 4), 1, export.Options{})
	free := openBytes(t, data, Options{})
	m := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(data, m); err != nil {
		t.Fatal(err)
	}
	for _, v := range append(m.Graph.Output, m.Graph.Input...) {
		v.Type.GetTensorType().Shape.Dim[0].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: 4}
	}
	fixedData, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	fixed := openBytes(t, fixedData, Options{})
	for _, n := range []int{1, 4, 7, 8} {
		batch := noise(n*in.Size(), uint64(n))
		want, err := free.Run(context.Background(), batch, n)
		if err != nil {
			t.Fatal(err)
		}
		got, err := fixed.Run(context.Background(), batch, n)
		if err != nil || got.N != n || largest(got.Logits, want.Logits) > 1e-5 || largest(got.Embedding, want.Embedding) > 1e-5 {
			t.Errorf("%d samples: %v, %v", n, got.N, err)
		}
	}
	images := []Image{FromImage(image.NewGray(image.Rect(0, 0, 8, 8))), FromImage(picture(8, 8, 1))}
	if p, err := fixed.Predict(context.Background(), images...); err != nil || len(p) != 2 {
		t.Errorf("%d predictions, %v", len(p), err)
	}
}

// largest is the largest difference between two lists, infinite where they are
// not of one length.
func largest(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var most float64
	for i := range a {
		most = max(most, math.Abs(float64(a[i]-b[i])))
	}
	return most
}
