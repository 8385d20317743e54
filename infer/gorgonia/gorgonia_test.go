package gorgonia_test

import (
	"context"
	"errors"
	"image"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/infer/gorgonia"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

func student(t testing.TB, arch string, in models.Shape, opts export.Options) []byte {
	t.Helper()
	return exporttest.Student(t, exporttest.Network(t, arch, in, 10), 1, opts)
}

func noise(n int) []float32 {
	rng := rand.New(rand.NewPCG(1, 2))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

func largest(a, b []float32) float64 {
	if len(a) != len(b) || len(a) == 0 {
		return math.Inf(1)
	}
	var most float64
	for i := range a {
		most = max(most, math.Abs(float64(a[i]-b[i])))
	}
	return most
}

// TestAgreesWithONNXRuntime compares all outputs of every architecture that
// can be read; the others must be refused by the operators that are lacking.
func TestAgreesWithONNXRuntime(t *testing.T) {
	for _, tc := range []struct {
		arch    string
		side    int
		keep    bool
		refused []string
	}{
		{arch: "resnet8", side: 32, keep: true}, {arch: "resnet20", side: 32}, {arch: "resnet32", side: 32}, {arch: "wrn-16-1", side: 32},
		{arch: "convnet", side: 28},
		{arch: "mobilenet0.25", side: 32, refused: []string{"Conv with groups"}},
		{arch: "inception0.25", side: 32, refused: []string{"Concat"}},
	} {
		in := models.Shape{C: 3, H: tc.side, W: tc.side}
		data := student(t, tc.arch, in, export.Options{KeepBatchNorm: tc.keep})
		got, err := infer.OpenBytes(infer.Options{Engine: gorgonia.Engine{}}, data)
		var lacking *gorgonia.OperatorError
		if errors.As(err, &lacking) {
			t.Logf("%s: %v", tc.arch, err)
			if !errors.Is(err, infer.ErrUnsupported) {
				t.Errorf("%s: %v is not infer.ErrUnsupported", tc.arch, err)
			}
			for _, name := range tc.refused {
				if !slices.Contains(lacking.Operators, name) {
					t.Errorf("%s: %v lacks %q", tc.arch, lacking.Operators, name)
				}
			}
			if len(tc.refused) == 0 {
				t.Errorf("%s: refused: %v", tc.arch, err)
			}
			continue
		}
		if err != nil || len(tc.refused) > 0 {
			t.Fatalf("%s: %v, want a refusal of %q", tc.arch, err, tc.refused)
		}
		want, err := infer.OpenBytes(infer.Options{}, data)
		if errors.Is(err, infer.ErrNoRuntime) || errors.Is(err, infer.ErrRuntimeTooOld) {
			t.Skipf("skipped: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{1, 3, 1} {
			batch := noise(n * in.Size())
			a, err := got.Run(context.Background(), batch, n)
			if err != nil {
				t.Fatalf("%s: %v", tc.arch, err)
			}
			b, err := want.Run(context.Background(), batch, n)
			if err != nil {
				t.Fatal(err)
			}
			for i, pair := range [][2][]float32{{a.Logits, b.Logits}, {a.Probabilities, b.Probabilities}, {a.Embedding, b.Embedding}} {
				d, scale := largest(pair[0], pair[1]), max(1, largest(pair[1], make([]float32, len(pair[1]))))
				t.Logf("%s, %d samples: output %d differs by at most %.2g, of values up to %.3g", tc.arch, n, i, d, scale)
				if d > 1e-4*scale {
					t.Errorf("%s, %d samples: output %d differs by %v", tc.arch, n, i, d)
				}
			}
		}
		if err := errors.Join(got.Close(), want.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestFile uses it as any other model, and a file.
func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.onnx")
	opts := export.Options{Mean: []float32{.5, .5, .5}, Std: []float32{.2, .2, .2}}
	if err := os.WriteFile(path, student(t, "convnet", models.Shape{C: 3, H: 16, W: 16}, opts), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := infer.Open(infer.Options{Engine: gorgonia.Engine{}, TopK: 2}, path)
	if err != nil {
		t.Fatal(err)
	}
	if info := p.Info(); info.Path != path || info.Architecture != "convnet" || info.Height != 16 {
		t.Errorf("%+v", info)
	}
	img := infer.FromImage(image.NewGray(image.Rect(0, 0, 20, 20)))
	got, err := p.Predict(context.Background(), img, img)
	if err != nil || len(got) != 2 || len(got[0].Top) != 2 || !slices.Equal(got[0].Probabilities, got[1].Probabilities) {
		t.Errorf("%+v, %v", got, err)
	}
	if v, err := p.Embed(context.Background(), img); err != nil || len(v[0]) != 64 {
		t.Errorf("%v, %v", v, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := p.Predict(ctx, img); !errors.Is(err, infer.ErrCancelled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if _, err := p.Predict(context.Background(), img); !errors.Is(err, infer.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestForeignModels refuses by name what onnx-go lacks.
func TestForeignModels(t *testing.T) {
	for file, want := range map[string][]string{
		"osnet_x0_25_msmt17.onnx":                    {"Sigmoid", "Gather", "Shape"},
		"pretrained/mobilenet_v1_0.25_imagenet.onnx": {"Clip"},
		"pretrained/resnet20-cifar10.onnx":           {"Slice", "Pad"},
		"pretrained/mobilenet_v1_0.75_imagenet.onnx": {"Clip"},
	} {
		_, err := infer.Open(infer.Options{Engine: gorgonia.Engine{}}, datatest.Shared(t, file))
		var lacking *gorgonia.OperatorError
		if !errors.As(err, &lacking) {
			t.Errorf("%s: %v", file, err)
			continue
		}
		t.Logf("%v", err)
		for _, name := range want {
			if !slices.Contains(lacking.Operators, name) {
				t.Errorf("%s: %v lacks %q", file, lacking.Operators, name)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	good := student(t, "convnet", models.Shape{C: 3, H: 8, W: 8}, export.Options{})
	for name, tc := range map[string]struct {
		data []byte
		is   error
	}{
		"text":      {[]byte("hello"), infer.ErrNotONNX},
		"empty":     {nil, infer.ErrNotONNX},
		"truncated": {good[:len(good)/2], infer.ErrNotONNX},
	} {
		if _, err := infer.OpenBytes(infer.Options{Engine: gorgonia.Engine{}}, tc.data); !errors.Is(err, tc.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := infer.Open(infer.Options{Engine: gorgonia.Engine{}}, filepath.Join(t.TempDir(), "none.onnx")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
	if _, err := infer.Open(infer.Options{Engine: gorgonia.Engine{}}, t.TempDir()); !errors.Is(err, infer.ErrNotONNX) {
		t.Errorf("a folder: %v", err)
	}
	// A node of no operator and no input.
	m := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(good, m); err != nil {
		t.Fatal(err)
	}
	last := m.Graph.Node[len(m.Graph.Node)-1]
	last.OpType, last.Input = nil, nil
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := infer.OpenBytes(infer.Options{Engine: gorgonia.Engine{}}, data); !errors.Is(err, infer.ErrUnsupported) {
		t.Errorf("a node of nothing: %v", err)
	}
	// Attributes that onnx-go reads otherwise than ONNX says.
	for name, change := range map[string]*onnxpb.AttributeProto{
		"Conv of pads [0 0 1 1]":  {Name: proto.String("pads"), Ints: []int64{0, 0, 1, 1}},
		"Conv of dilations [2 2]": {Name: proto.String("dilations"), Ints: []int64{2, 2}},
		"Conv with groups":        {Name: proto.String("group"), I: proto.Int64(3)},
	} {
		m := new(onnxpb.ModelProto)
		if err := proto.Unmarshal(good, m); err != nil {
			t.Fatal(err)
		}
		for _, node := range m.Graph.Node {
			if node.GetOpType() == "Conv" {
				node.Attribute = append([]*onnxpb.AttributeProto{change}, node.Attribute...)
			}
		}
		data, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		var lacking *gorgonia.OperatorError
		if _, err := infer.OpenBytes(infer.Options{Engine: gorgonia.Engine{}}, data); !errors.As(err, &lacking) || !slices.Contains(lacking.Operators, name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
