package run

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

const (
	teacherClasses = 4
	teacherSize    = 3 * 8 * 10 // of a sample
)

// teacherState is a student of colour images that are not square.
func teacherState(t *testing.T) train.State {
	t.Helper()
	if _, err := ortlib.Find(""); err != nil {
		t.Skipf("skipped: %v", err)
	}
	net, err := models.Build("convnet", models.Shape{C: 3, H: 8, W: 10}, teacherClasses)
	if err != nil {
		t.Fatal(err)
	}
	weights, err := net.Init(3)
	if err != nil {
		t.Fatal(err)
	}
	return train.State{Name: "teacher", Network: net, Weights: weights, Classes: []string{"a", "b", "c", "d"},
		Norm: dataset.Norm{Mean: []float32{.5, .4, .3}, Std: []float32{.25, .2, .3}}}
}

// teacherFile writes the student as an ONNX file, changed by other hands.
func teacherFile(t *testing.T, st train.State, changes ...func(*onnxpb.ModelProto)) string {
	t.Helper()
	data, err := export.Marshal(st.Network, st.Weights, export.Options{Classes: st.Classes, Mean: st.Norm.Mean, Std: st.Norm.Std})
	if err != nil {
		t.Fatal(err)
	}
	var m onnxpb.ModelProto
	if err := proto.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change(&m)
	}
	if data, err = proto.Marshal(&m); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "teacher.onnx")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func foreign(m *onnxpb.ModelProto) { m.MetadataProps = nil }

// only leaves one output, under another name.
func only(output, name string) func(*onnxpb.ModelProto) {
	return func(m *onnxpb.ModelProto) {
		for _, out := range m.Graph.Output {
			if out.GetName() == output {
				m.Graph.Output = []*onnxpb.ValueInfoProto{out}
			}
		}
		if output == name {
			return
		}
		m.Graph.Output[0].Name = proto.String(name)
		m.Graph.Node = append(m.Graph.Node, &onnxpb.NodeProto{OpType: proto.String("Identity"), Input: []string{output}, Output: []string{name}})
	}
}

// fixedBatch makes the batch of inputs and outputs a number.
func fixedBatch(n int64) func(*onnxpb.ModelProto) {
	return func(m *onnxpb.ModelProto) {
		for _, v := range append(m.Graph.Input[:1:1], m.Graph.Output...) {
			v.Type.GetTensorType().Shape.Dim[0].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: n}
		}
	}
}

// channelsLast makes the file take its images as [n, H, W, C].
func channelsLast(m *onnxpb.ModelProto) {
	in := m.Graph.Input[0]
	plain := in.GetName()
	in.Name = proto.String("nhwc")
	dims := in.Type.GetTensorType().Shape.Dim
	in.Type.GetTensorType().Shape.Dim = []*onnxpb.TensorShapeProto_Dimension{dims[0], dims[2], dims[3], dims[1]}
	m.Graph.Node = append([]*onnxpb.NodeProto{{OpType: proto.String("Transpose"), Input: []string{"nhwc"}, Output: []string{plain},
		Attribute: []*onnxpb.AttributeProto{{Name: proto.String("perm"), Type: onnxpb.AttributeProto_INTS.Enum(), Ints: []int64{0, 3, 1, 2}}}}}, m.Graph.Node...)
}

func posteriors(logits []float32) []float64 {
	out := make([]float64, len(logits))
	for at := 0; at < len(logits); at += teacherClasses {
		var sum float64
		for c := range teacherClasses {
			out[at+c] = math.Exp(float64(logits[at+c]))
			sum += out[at+c]
		}
		for c := range teacherClasses {
			out[at+c] /= sum
		}
	}
	return out
}

// TestTeachersPosteriors: whatever a file gives, under whatever name, and
// however it wants its images, the posteriors are those of the student that it
// was made of.
func TestTeachersPosteriors(t *testing.T) {
	const samples = 7
	st := teacherState(t)
	inputs := make([]float32, samples*teacherSize)
	for i := range inputs {
		inputs[i] = float32(math.Sin(float64(i*i%1009)) * 2)
	}
	logits, err := train.Logits(st, inputs, samples, train.EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	want := posteriors(logits)
	norm := TeacherOptions{Norm: st.Norm}
	probabilities, ownLogits := norm, norm
	probabilities.Output, ownLogits.Output = OutputProbabilities, OutputLogits
	for name, tc := range map[string]struct {
		path string
		opts TeacherOptions
	}{
		"of the toolkit":                   {teacherFile(t, st), TeacherOptions{}},
		"of the toolkit, probabilities":    {teacherFile(t, st), TeacherOptions{Output: OutputProbabilities}},
		"of the toolkit, of batches of 3":  {teacherFile(t, st, fixedBatch(3)), TeacherOptions{}},
		"foreign logits":                   {teacherFile(t, st, foreign, only("logits", "logits")), norm},
		"foreign logits by another name":   {teacherFile(t, st, foreign, only("logits", "y")), norm},
		"foreign logits, said to be so":    {teacherFile(t, st, foreign, only("logits", "y")), ownLogits},
		"foreign probabilities":            {teacherFile(t, st, foreign, only("probabilities", "probabilities")), norm},
		"foreign probabilities, unnamed":   {teacherFile(t, st, foreign, only("probabilities", "y")), norm},
		"foreign probabilities, said":      {teacherFile(t, st, foreign, only("probabilities", "y")), probabilities},
		"foreign probabilities, misnamed":  {teacherFile(t, st, foreign, func(m *onnxpb.ModelProto) { rename(m, "logits", "inner") }, only("probabilities", "logits")), norm},
		"channels last":                    {teacherFile(t, st, foreign, channelsLast, only("logits", "y")), norm},
		"channels last, in batches of 4":   {teacherFile(t, st, foreign, channelsLast, only("probabilities", "y"), fixedBatch(4)), norm},
		"foreign logits, in batches of 16": {teacherFile(t, st, foreign, only("logits", "y"), fixedBatch(16)), norm},
	} {
		t.Run(name, func(t *testing.T) {
			teacher, err := OpenTeacher(tc.path, tc.opts)
			if err != nil {
				t.Fatal(err)
			}
			defer teacher.Close()
			info := teacher.Info()
			if info.Classes != teacherClasses || info.Input.Shape != (dataset.Shape{Channels: 3, Height: 8, Width: 10}) || info.Input.Norm.Mean[2] != .3 || info.Fingerprint == "" {
				t.Errorf("info %+v", info)
			}
			for range 2 {
				got := make([]float32, samples*teacherClasses)
				if err := teacher.Logits(got, inputs); err != nil {
					t.Fatal(err)
				}
				for i, p := range posteriors(got) {
					if !(math.Abs(p-want[i]) <= 1e-5) {
						t.Fatalf("posterior %d of sample %d is %g, want %g", i%teacherClasses, i/teacherClasses, p, want[i])
					}
				}
			}
			if err := teacher.Logits(make([]float32, teacherClasses), inputs); err == nil {
				t.Error("logits of one sample for seven are accepted")
			}
		})
	}
}

// rename gives a tensor another name wherever it occurs.
func rename(m *onnxpb.ModelProto, from, to string) {
	for _, n := range m.Graph.Node {
		for _, names := range [][]string{n.Input, n.Output} {
			for i := range names {
				if names[i] == from {
					names[i] = to
				}
			}
		}
	}
	for i, out := range m.Graph.Output {
		if out.GetName() == from {
			m.Graph.Output = append(m.Graph.Output[:i:i], m.Graph.Output[i+1:]...)
			break
		}
	}
}

func TestUnfitTeacherFiles(t *testing.T) {
	st := teacherState(t)
	norm := TeacherOptions{Norm: st.Norm}
	said := func(output string) TeacherOptions { return TeacherOptions{Norm: st.Norm, Output: output} }
	for name, tc := range map[string]struct {
		path string
		opts TeacherOptions
		want string
	}{
		"no such file":           {filepath.Join(t.TempDir(), "none.onnx"), norm, "none.onnx"},
		"no normalisation":       {teacherFile(t, st, foreign), TeacherOptions{}, "give teacher.mean and teacher.std"},
		"two normalisations":     {teacherFile(t, st), norm, "leave teacher.mean and teacher.std out"},
		"means of two channels":  {teacherFile(t, st, foreign), TeacherOptions{Norm: dataset.Norm{Mean: []float32{0, 0}, Std: []float32{1}}}, "teacher.mean, teacher.std"},
		"logits as distribution": {teacherFile(t, st, foreign, only("logits", "y")), said(OutputProbabilities), "do not sum to 1"},
		"features alone":         {teacherFile(t, st, foreign, only("embedding", "embedding")), norm, "no output of class scores"},
		"no logits":              {teacherFile(t, st, foreign, only("probabilities", "probabilities")), said(OutputLogits), "no output of logits"},
	} {
		teacher, err := OpenTeacher(tc.path, tc.opts)
		if err == nil {
			teacher.Close()
		}
		if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), tc.path) {
			t.Errorf("%s: %v, want it to name the file and say %q", name, err, tc.want)
		}
	}
}

// TestTeacherIsNormalisedByOneValue: one mean and deviation stand for all
// channels.
func TestTeacherIsNormalisedByOneValue(t *testing.T) {
	st := teacherState(t)
	teacher, err := OpenTeacher(teacherFile(t, st, foreign), TeacherOptions{Norm: dataset.Norm{Mean: []float32{.5}, Std: []float32{.25}}})
	if err != nil {
		t.Fatal(err)
	}
	defer teacher.Close()
	if n := teacher.Info().Input.Norm; len(n.Mean) != 3 || n.Mean[2] != .5 || len(n.Std) != 3 || n.Std[1] != .25 {
		t.Errorf("%+v", n)
	}
}
