package export

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

// variants are options of every kind that a file may have.
func variants() map[string]Options {
	return map[string]Options{
		"uint8":     {Uint8Input: true, Mean: []float32{.5, .4, .3}, Std: []float32{.2, .2, .2}},
		"half":      {Half: true},
		"fixed":     {Batch: 3},
		"logits":    {Outputs: []string{Logits}},
		"embedding": {Outputs: []string{Embedding}, Uint8Input: true, Half: true, Batch: 1, KeepBatchNorm: true},
	}
}

func cohortOf(t testing.TB, names ...string) []Student {
	t.Helper()
	var students []Student
	for i, name := range names {
		net := build(t, name, models.Shape{C: 3, H: 32, W: 32}, 4)
		students = append(students, Student{Name: fmt.Sprintf("%s-%d", name, i+1), Network: net, Weights: randomWeights(t, net, uint64(i))})
	}
	return students
}

func marshalCohort(t testing.TB, students []Student, opts Options) []byte {
	t.Helper()
	data, err := MarshalCohort(students, opts)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// describe writes a value as in "uint8 input [batch 32 32 3]".
func describe(v *onnxpb.ValueInfoProto) string {
	tensor := v.Type.GetTensorType()
	var dims []string
	for _, d := range tensor.Shape.Dim {
		if d.GetDimParam() != "" {
			dims = append(dims, d.GetDimParam())
		} else {
			dims = append(dims, fmt.Sprint(d.GetDimValue()))
		}
	}
	kind := strings.ToLower(onnxpb.TensorProto_DataType(tensor.GetElemType()).String())
	return fmt.Sprintf("%s %s [%s]", kind, v.GetName(), strings.Join(dims, " "))
}

func metadata(t testing.TB, m *onnxpb.ModelProto) onnxmeta.Metadata {
	t.Helper()
	props := map[string]string{}
	for _, p := range m.MetadataProps {
		props[p.GetKey()] = p.GetValue()
	}
	meta, err := onnxmeta.Parse(props)
	if err != nil {
		t.Fatal(err)
	}
	return meta
}

func TestVariants(t *testing.T) {
	net := build(t, "resnet8", models.Shape{C: 3, H: 32, W: 32}, 4)
	w := randomWeights(t, net, 1)
	plain := len(marshal(t, net, w, Options{}))
	for name, want := range map[string][]string{
		"uint8":     {"uint8 input [batch 32 32 3]", "float logits [batch 4]", "float probabilities [batch 4]", "float embedding [batch 64]"},
		"half":      {"float input [batch 3 32 32]", "float logits [batch 4]", "float probabilities [batch 4]", "float embedding [batch 64]"},
		"fixed":     {"float input [3 3 32 32]", "float logits [3 4]", "float probabilities [3 4]", "float embedding [3 64]"},
		"logits":    {"float input [batch 3 32 32]", "float logits [batch 4]"},
		"embedding": {"uint8 input [1 32 32 3]", "float embedding [1 64]"},
	} {
		o := variants()[name]
		data := marshal(t, net, w, o)
		if again := marshal(t, net, w.Clone(), o); !bytes.Equal(data, again) {
			t.Errorf("%s: equal arguments gave different bytes", name)
		}
		if err := Check(data); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		m := parse(t, data)
		var got []string
		for _, v := range append(m.Graph.Input, m.Graph.Output...) {
			got = append(got, describe(v))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
		if meta := metadata(t, m); meta.NormalisedInGraph != o.Uint8Input || meta.Students != nil {
			t.Errorf("%s: metadata %+v", name, meta)
		}
		ops := operators(m)
		if (ops["Softmax"] == 1) != o.wants(Probabilities) || (ops["Gemm"] == 1) != (o.wants(Logits) || o.wants(Probabilities)) {
			t.Errorf("%s: what no output needs is there, or what one needs is not: %v", name, ops)
		}
		if o.Half && (len(data) > plain*6/10 || len(data) < plain*4/10) {
			t.Errorf("%s: %d bytes of %d", name, len(data), plain)
		}
	}
}

func TestMarshalCohort(t *testing.T) {
	students := cohortOf(t, "resnet8", "convnet")
	data := marshalCohort(t, students, Options{Mode: "dml"})
	if again := marshalCohort(t, students, Options{Mode: "dml"}); !bytes.Equal(data, again) {
		t.Error("equal arguments gave different bytes")
	}
	m := parse(t, data)
	var got []string
	for _, v := range append(m.Graph.Input, m.Graph.Output...) {
		got = append(got, describe(v))
	}
	want := []string{"float input [batch 3 32 32]", "float probabilities [batch 4]", "float embedding [batch 128]",
		"float resnet8-1/probabilities [batch 4]", "float convnet-2/probabilities [batch 4]"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if meta := metadata(t, m); !slices.Equal(meta.Students, []string{"resnet8-1", "convnet-2"}) || meta.Architecture != "resnet8+convnet" {
		t.Errorf("metadata %+v", meta)
	}
	joins := []string{"probabilities", "embedding/join", "embedding/norm", "embedding/bound", "embedding"}
	for _, n := range m.Graph.Node {
		owner, _, _ := strings.Cut(n.GetName(), "/")
		if owner != "resnet8-1" && owner != "convnet-2" && !slices.Contains(joins, n.GetName()) {
			t.Errorf("node %q is named after no student", n.GetName())
		}
	}
	if n := len(parse(t, marshalCohort(t, students, Options{Outputs: Outputs(), Uint8Input: true})).Graph.Output); n != 6 {
		t.Errorf("%d outputs with all logits, want 6", n)
	}
}

func TestOptionFaults(t *testing.T) {
	net := build(t, "resnet8", models.Shape{C: 3, H: 32, W: 32}, 4)
	w := randomWeights(t, net, 1)
	refused := func(err error, wants ...string) {
		t.Helper()
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v lacks %q", err, want)
			}
		}
	}
	_, err := Marshal(net, w, Options{Outputs: []string{"features", Logits, Logits}, Batch: -1})
	refused(err, `"features" is unknown`, `"logits" is asked for twice`, "-1")
	_, err = Marshal(net, w, Options{Outputs: []string{}})
	refused(err, "no output")
	large := w.Clone()
	large["linear.weight"][2] = 1e5
	_, err = Marshal(net, large, Options{Half: true})
	refused(err, "linear.weight", "100000", "float16")

	students := cohortOf(t, "resnet8", "convnet", "convnet")
	_, err = MarshalCohort(nil, Options{})
	refused(err, "no student")
	students[1].Name = students[0].Name
	students[2].Name = "a/b"
	_, err = MarshalCohort(students, Options{})
	refused(err, `"resnet8-1"`, `"a/b"`)
	students = cohortOf(t, "resnet8", "convnet")
	students[1].Network = build(t, "convnet", models.Shape{C: 1, H: 28, W: 28}, 10)
	_, err = MarshalCohort(students, Options{})
	refused(err, "1x28x28", "10 classes")
	students = cohortOf(t, "resnet8", "convnet")
	delete(students[1].Weights, "conv2.weight")
	students[0].Weights["conv1.weight"][0] = float32(math.NaN())
	_, err = MarshalCohort(students, Options{})
	refused(err, `student "convnet-2"`, "conv2.weight")
	students[1].Network = nil
	_, err = MarshalCohort(students, Options{})
	refused(err, "no network")
}

// TestCohortNames: students whose names the graph's own tensors would like.
func TestCohortNames(t *testing.T) {
	students := cohortOf(t, "convnet", "convnet", "convnet")
	for i, name := range []string{"input", "embedding", "probabilities"} {
		students[i].Name = name
	}
	if err := Check(marshalCohort(t, students, Options{Uint8Input: true, Half: true, Outputs: Outputs()})); err != nil {
		t.Error(err)
	}
}

// TestCheckFindsFaultsOfVariants: a float16 constant of the wrong size.
func TestCheckFindsFaultsOfVariants(t *testing.T) {
	net := build(t, "convnet", models.Shape{C: 1, H: 28, W: 28}, 4)
	m := parse(t, marshal(t, net, randomWeights(t, net, 1), Options{Half: true}))
	m.Graph.Initializer[0].RawData = m.Graph.Initializer[0].RawData[2:]
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := Check(data); err == nil || errors.Is(err, ErrNotONNX) || !strings.Contains(err.Error(), "conv1.weight.float16") {
		t.Error(err)
	}
}
