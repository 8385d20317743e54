package inspect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/models"
)

func student(t testing.TB, arch string, opts export.Options) []byte {
	t.Helper()
	return exporttest.Student(t, exporttest.Network(t, arch, models.Shape{C: 3, H: 32, W: 32}, 4), 1, opts)
}

func inspected(t testing.TB, data []byte) *Report {
	t.Helper()
	r, err := Bytes(data)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestStudent(t *testing.T) {
	data := student(t, "resnet8", export.Options{Version: "1.2"})
	path := filepath.Join(t.TempDir(), "a.onnx")
	if err := export.WriteFile(path, data); err != nil {
		t.Fatal(err)
	}
	r, err := File(path)
	if err != nil {
		t.Fatal(err)
	}
	if r.Path != path || r.Bytes != int64(len(data)) || r.IRVersion != 8 || r.Producer != "deepmutual/dml 1.2" ||
		!slices.Equal(r.Opsets, []Opset{{"", 17}}) || r.Metadata["dml.architecture"] != "resnet8" || r.Faults != nil {
		t.Errorf("%+v", r)
	}
	if got := fmt.Sprint(r.Inputs, r.Outputs); got != "[{input float [batch 3 32 32]}] [{logits float [batch 4]} {probabilities float [batch 4]} {embedding float [batch 64]}]" {
		t.Error(got)
	}
	if r.Operators[0] != (Operator{Name: "Conv", Count: 9}) || len(r.Constants) != 1 || r.Constants[0].Type != "float" {
		t.Errorf("%+v %+v", r.Operators, r.Constants)
	}
	if r.Normalisation.Inside != No || !r.Infer.Runs || len(r.Infer.Notes) != 0 || !r.Gorgonia.Runs || len(r.Gorgonia.Outputs) != 3 {
		t.Errorf("%+v", r)
	}
}

// TestCohort: package infer gives each student's outputs, too.
func TestCohort(t *testing.T) {
	in := models.Shape{C: 3, H: 16, W: 16}
	r := inspected(t, exporttest.Cohort(t, export.Options{}, exporttest.Network(t, "resnet8", in, 4), exporttest.Network(t, "convnet", in, 4)))
	if want := []string{"probabilities", "embedding", "a/probabilities", "b/probabilities"}; !r.Infer.Runs || !slices.Equal(r.Infer.Outputs, want) {
		t.Errorf("infer %+v, want %v", r.Infer, want)
	}
	if notes := strings.Join(r.Gorgonia.Notes, "\n"); r.Gorgonia.Runs || !strings.Contains(notes, "Mean, which probabilities needs") {
		t.Errorf("infer/gorgonia %+v", r.Gorgonia)
	}
}

func TestSupport(t *testing.T) {
	for name, tc := range map[string]struct {
		data                    []byte
		inside                  string
		gorgonia                bool
		wantGorgonia, wantInfer string
	}{
		"uint8":     {student(t, "resnet8", export.Options{Uint8Input: true}), Yes, false, "uint8", ""},
		"half":      {student(t, "resnet8", export.Options{Half: true}), No, false, "float16", ""},
		"mobilenet": {student(t, "mobilenet0.25", export.Options{}), No, false, "Conv with groups", ""},
		"inception": {student(t, "inception0.25", export.Options{}), No, false, "Concat", ""},
		"same":      {student(t, "mobilenet0.25-tf", export.Options{}), No, false, "Clip", ""},
	} {
		r := inspected(t, tc.data)
		if r.Normalisation.Inside != tc.inside || r.Gorgonia.Runs != tc.gorgonia || !r.Infer.Runs ||
			!strings.Contains(strings.Join(r.Gorgonia.Notes, "\n"), tc.wantGorgonia) || !strings.Contains(strings.Join(r.Infer.Notes, "\n"), tc.wantInfer) {
			t.Errorf("%s: %+v, infer %+v, gorgonia %+v", name, r.Normalisation, r.Infer, r.Gorgonia)
		}
	}
}

// TestOtherModels changes a student's file into what others may hold.
func TestOtherModels(t *testing.T) {
	plain, normalising := student(t, "resnet8", export.Options{}), student(t, "resnet8", export.Options{Uint8Input: true})
	foreign := func(m *onnxpb.ModelProto) { m.MetadataProps = nil }
	var described onnxpb.ModelProto
	if err := proto.Unmarshal(plain, &described); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		data        []byte
		change      func(m *onnxpb.ModelProto)
		inside      string
		runs        bool
		note        string // of infer
		otherChecks func(r *Report) bool
	}{
		"foreign":        {plain, func(*onnxpb.ModelProto) {}, No, true, "preset", nil},
		"foreign, bytes": {normalising, func(*onnxpb.ModelProto) {}, Yes, true, "preset", nil},
		"foreign, in graph": {normalising, func(m *onnxpb.ModelProto) {
			m.Graph.Input[0].Type.GetTensorType().ElemType = proto.Int32(int32(onnxpb.TensorProto_FLOAT))
		}, Yes, true, "preset", nil},
		"two inputs": {plain, func(m *onnxpb.ModelProto) {
			m.Graph.Input = append(m.Graph.Input, &onnxpb.ValueInfoProto{Name: proto.String("mask")})
		}, No, false, "2 inputs", func(r *Report) bool { return r.Inputs[1].Type == "" && !r.Gorgonia.Runs }},
		"open size": {plain, func(m *onnxpb.ModelProto) {
			m.Graph.Input[0].Type.GetTensorType().Shape.Dim[2] = &onnxpb.TensorShapeProto_Dimension{}
		}, No, true, "only with a preset", func(r *Report) bool {
			return !r.Gorgonia.Runs && strings.Contains(r.Gorgonia.Notes[0], "[batch, 3, ?, 32]")
		}},
		"open size and metadata": {plain, func(m *onnxpb.ModelProto) {
			m.MetadataProps = described.MetadataProps
			m.Graph.Input[0].Type.GetTensorType().Shape.Dim[2] = &onnxpb.TensorShapeProto_Dimension{}
		}, No, false, "[batch, 3, ?, 32]", nil},
		"open channels": {plain, func(m *onnxpb.ModelProto) {
			for i := 1; i < 4; i++ {
				m.Graph.Input[0].Type.GetTensorType().Shape.Dim[i] = &onnxpb.TensorShapeProto_Dimension{}
			}
		}, No, false, "[batch, ?, ?, ?]", nil},
		"huge sample": {plain, func(m *onnxpb.ModelProto) {
			for i := 2; i < 4; i++ {
				m.Graph.Input[0].Type.GetTensorType().Shape.Dim[i].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: 1 << 32}
			}
		}, No, false, "at most", nil},
		"metadata of another size": {plain, func(m *onnxpb.ModelProto) {
			m.MetadataProps = described.MetadataProps
			m.Graph.Input[0].Type.GetTensorType().Shape.Dim[2].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: 64}
		}, No, false, "[batch [3 32 32]]", nil},
		"metadata of more classes": {plain, func(m *onnxpb.ModelProto) {
			m.MetadataProps = described.MetadataProps
			m.Graph.Output[0].Type.GetTensorType().Shape.Dim[1].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: 7}
		}, No, false, "for 4 classes", nil},
		"metadata of another format": {plain, func(m *onnxpb.ModelProto) {
			m.MetadataProps = []*onnxpb.StringStringEntryProto{{Key: proto.String("dml.format"), Value: proto.String("99")}}
		}, No, false, "newer format", nil},
		"outputs of numbers": {plain, func(m *onnxpb.ModelProto) {
			for _, out := range m.Graph.Output {
				out.Type.GetTensorType().Shape.Dim = nil
			}
		}, No, false, "no float32 output", nil},
		"newer operators": {plain, func(m *onnxpb.ModelProto) { m.OpsetImport[0].Version = proto.Int64(ortlib.NewestOpset + 1) }, No, false, "newer than", nil},
		"newer format":    {plain, func(m *onnxpb.ModelProto) { m.IrVersion = proto.Int64(99) }, No, false, "version 99 of the file format is newer than 13", nil},
		"huge batch": {plain, func(m *onnxpb.ModelProto) {
			m.Graph.Input[0].Type.GetTensorType().Shape.Dim[0].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: 1e9}
		}, No, false, "fixed batch of 1000000000 samples", nil},
		"function": {plain, func(m *onnxpb.ModelProto) {
			n := m.Graph.Node[1]
			m.Functions = append(m.Functions, &onnxpb.FunctionProto{Domain: proto.String("my.house"), Name: proto.String("Relu"),
				Node: []*onnxpb.NodeProto{{OpType: proto.String("Abs")}}})
			n.OpType, n.Domain = proto.String("Relu"), proto.String("my.house")
		}, No, true, "preset", func(r *Report) bool {
			return slices.Contains(r.Operators, Operator{Name: "Abs", Count: 1}) && !r.Gorgonia.Runs
		}},
		"sparse weight": {plain, func(m *onnxpb.ModelProto) {
			g := m.Graph
			for i, w := range g.Initializer {
				if w.GetName() == g.Node[0].Input[1] {
					g.Initializer = slices.Delete(g.Initializer, i, i+1)
					g.SparseInitializer = append(g.SparseInitializer, &onnxpb.SparseTensorProto{Values: w, Dims: w.Dims})
					return
				}
			}
		}, No, true, "preset", func(r *Report) bool { return r.Faults == nil && !r.Gorgonia.Runs }},
		"own operator": {plain, func(m *onnxpb.ModelProto) { m.Graph.Node[2].Domain = proto.String("my.house") }, No, false, "my.house",
			func(r *Report) bool { return !r.Gorgonia.Runs }},
		"no node": {plain, func(m *onnxpb.ModelProto) { m.Graph.Node = nil }, Perhaps, false, "faulty",
			func(r *Report) bool { return len(r.Faults) == 3 }},
		"external": {plain, func(m *onnxpb.ModelProto) {
			t := m.Graph.Initializer[0]
			t.RawData, t.DataLocation = nil, onnxpb.TensorProto_EXTERNAL.Enum()
			t.ExternalData = []*onnxpb.StringStringEntryProto{{Key: proto.String("location"), Value: proto.String("w.bin")}}
		}, No, true, "other files", func(r *Report) bool { return slices.Equal(r.External, []string{"w.bin"}) && !r.Gorgonia.Runs }},
		"no output of ours": {plain, func(m *onnxpb.ModelProto) {
			m.MetadataProps, m.Graph.Output = described.MetadataProps, nil
			for _, n := range m.Graph.Node { // a cohort's file of logits alone looks so
				if n.Output[0] == "logits" {
					n.Output[0] = "a/logits"
				}
				for i := range n.Input {
					if n.Input[i] == "logits" {
						n.Input[i] = "a/logits"
					}
				}
			}
			out := proto.CloneOf(described.Graph.Output[0])
			out.Name = proto.String("a/logits")
			m.Graph.Output = append(m.Graph.Output, out)
		}, No, false, "none of the float32 outputs", func(r *Report) bool { return !r.Gorgonia.Runs }},
		"nested": {plain, func(m *onnxpb.ModelProto) {
			body := &onnxpb.GraphProto{Node: []*onnxpb.NodeProto{{OpType: proto.String("Inner")}}}
			m.Graph.Node[1].Attribute = append(m.Graph.Node[1].Attribute, &onnxpb.AttributeProto{Name: proto.String("body"), G: body})
		}, No, true, "preset", func(r *Report) bool { return slices.Contains(r.Operators, Operator{Name: "Inner", Count: 1}) }},
		"one output not for onnx-go": {plain, func(m *onnxpb.ModelProto) {
			m.Graph.Node[len(m.Graph.Node)-1].OpType = proto.String("LogSoftmax")
		}, No, true, "preset", func(r *Report) bool {
			return !r.Gorgonia.Runs && slices.Equal(r.Gorgonia.Notes,
				[]string{"onnx-go does not compute LogSoftmax, which probabilities needs; a file without that output would do"})
		}},
	} {
		var m onnxpb.ModelProto
		if err := proto.Unmarshal(tc.data, &m); err != nil {
			t.Fatal(err)
		}
		foreign(&m)
		tc.change(&m)
		data, err := proto.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		r := inspected(t, data)
		if r.Normalisation.Inside != tc.inside || r.Infer.Runs != tc.runs || !strings.Contains(strings.Join(r.Infer.Notes, "\n"), tc.note) ||
			tc.otherChecks != nil && !tc.otherChecks(r) {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestRefused(t *testing.T) {
	dir := t.TempDir()
	large := filepath.Join(dir, "large.onnx")
	if err := os.WriteFile(large, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxBytes+1); err != nil { // sparse
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text.onnx")
	if err := os.WriteFile(text, []byte("no protobuf"), 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		large: ErrTooLarge, text: export.ErrNotONNX, dir: export.ErrNotONNX, filepath.Join(dir, "none"): os.ErrNotExist,
	} {
		if _, err := File(path); !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	if _, err := Bytes([]byte{8, 8}); !errors.Is(err, export.ErrNotONNX) {
		t.Error(err)
	}
}

// TestExternalFiles: a file of weights must be there, beside the model.
func TestExternalFiles(t *testing.T) {
	dir := t.TempDir()
	model := func(location string) *Report {
		var m onnxpb.ModelProto
		if err := proto.Unmarshal(student(t, "resnet8", export.Options{}), &m); err != nil {
			t.Fatal(err)
		}
		w := m.Graph.Initializer[0]
		w.RawData, w.DataLocation = nil, onnxpb.TensorProto_EXTERNAL.Enum()
		w.ExternalData = []*onnxpb.StringStringEntryProto{{Key: proto.String("location"), Value: proto.String(location)}}
		data, err := proto.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, "model.onnx")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		r, err := File(path)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if err := os.WriteFile(filepath.Join(dir, "w.bin"), []byte("weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	for location, want := range map[string]string{"w.bin": "", "gone.bin": "is not there", ".": "is not there", "../w.bin": "outside", "/etc/passwd": "outside"} {
		r := model(location)
		if notes := strings.Join(r.Infer.Notes, "\n"); r.Infer.Runs != (want == "") || !strings.Contains(notes, want) || r.Gorgonia.Runs {
			t.Errorf("%s: %+v", location, r.Infer)
		}
	}
}

// TestShared inspects other people's models.
func TestShared(t *testing.T) {
	for name, want := range map[string]struct {
		inside   string
		gorgonia bool
	}{
		"osnet_x0_25_msmt17.onnx":                    {No, false},
		"pretrained/resnet20-cifar10.onnx":           {No, false}, // Slice and Pad
		"pretrained/mobilenet_v1_0.25_imagenet.onnx": {No, false},
	} {
		path := datatest.Shared(t, filepath.FromSlash(name))
		r, err := File(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %v %v; %+v; gorgonia %v", name, r.Inputs, r.Outputs, r.Normalisation, r.Gorgonia.Notes)
		if r.Normalisation.Inside != want.inside || r.Gorgonia.Runs != want.gorgonia || !r.Infer.Runs {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func FuzzBytes(f *testing.F) {
	for _, opts := range []export.Options{{}, {Uint8Input: true, Half: true}} {
		f.Add(exporttest.Student(f, exporttest.Network(f, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2), 1, opts))
	}
	f.Add([]byte{0x3a, 0})
	// Empty nodes, attributes and graphs in one another.
	f.Add([]byte{0x3a, 8, 0x0a, 6, 0x2a, 4, 0x32, 2, 0x0a, 0})
	f.Add([]byte(":\b00z\x042\x0200")) // a sparse tensor of nothing
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := Bytes(data)
		if (r == nil) == (err == nil) {
			t.Errorf("%+v, %v", r, err)
		}
	})
}
