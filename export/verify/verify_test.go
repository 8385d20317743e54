//go:build cgo

package verify

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/models"
)

func needRuntime(t *testing.T) {
	t.Helper()
	if _, err := ortlib.Find(""); err != nil {
		t.Skipf("skipped: %v", err)
	}
}

// trained returns weights in which no layer is trivial.
func trained(t *testing.T, net *models.Network, seed uint64) models.Weights {
	t.Helper()
	w, err := net.Init(seed)
	if err != nil {
		t.Fatal(err)
	}
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(seed, 1))
	for _, p := range params {
		for i := range w[p.Name] {
			switch p.Role {
			case models.RoleGamma, models.RoleRunningVar:
				w[p.Name][i] = 0.5 + rng.Float32()
			case models.RoleBeta, models.RoleBias, models.RoleRunningMean:
				w[p.Name][i] = rng.Float32() - 0.5
			}
		}
	}
	return w
}

func gaussian(n int, seed uint64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 2))
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// reference runs the slow forward pass on random inputs.
func reference(t *testing.T, net *models.Network, w models.Weights, samples int) (Reference, [][]float64) {
	t.Helper()
	size := net.Input.Size()
	ref := Reference{Samples: Samples{N: samples, Inputs: gaussian(samples*size, 9)}}
	var all []float32
	var embeddings [][]float64
	for i := range samples {
		logits, embedding := forward(t, net, w, ref.Inputs[i*size:(i+1)*size])
		for _, v := range logits {
			all = append(all, float32(v))
		}
		embeddings = append(embeddings, embedding)
	}
	ref.Outputs = map[string][]float32{export.Logits: all}
	return ref, embeddings
}

// layerCases lists one-layer networks: every kind with every attribute. The
// layer's output is flattened to be both the embedding and, times a dense
// layer, the logits.
func layerCases() map[string]func(b *models.Builder, in string) string {
	conv := func(a models.Conv) func(*models.Builder, string) string {
		return func(b *models.Builder, in string) string { return b.Conv("layer", in, a) }
	}
	maxPool := func(a models.Pool) func(*models.Builder, string) string {
		return func(b *models.Builder, in string) string { return b.MaxPool("layer", in, a) }
	}
	avgPool := func(a models.Pool) func(*models.Builder, string) string {
		return func(b *models.Builder, in string) string { return b.AvgPool("layer", in, a) }
	}
	subsample := func(a models.Subsample) func(*models.Builder, string) string {
		return func(b *models.Builder, in string) string { return b.Subsample("layer", in, a) }
	}
	uneven := models.Pad{Top: 2, Left: 0, Bottom: 1, Right: 1}
	return map[string]func(b *models.Builder, in string) string{
		"conv 1x1":            conv(models.Conv{Out: 5, Kernel: models.Square(1)}),
		"conv bias":           conv(models.Conv{Out: 5, Kernel: models.Square(3), Pad: models.PadAll(1), Bias: true}),
		"conv stride":         conv(models.Conv{Out: 5, Kernel: models.Square(3), Stride: [2]int{2, 3}, Pad: models.PadAll(1)}),
		"conv uneven kernel":  conv(models.Conv{Out: 5, Kernel: [2]int{2, 5}, Pad: models.PadAll(2)}),
		"conv uneven padding": conv(models.Conv{Out: 5, Kernel: models.Square(3), Stride: models.Square(2), Pad: uneven}),
		"conv dilation":       conv(models.Conv{Out: 5, Kernel: models.Square(3), Dilation: [2]int{2, 1}, Pad: models.PadAll(1)}),
		"conv groups":         conv(models.Conv{Out: 9, Kernel: models.Square(3), Groups: 3, Bias: true}),
		"conv depthwise":      conv(models.Conv{Out: 6, Kernel: models.Square(3), Stride: models.Square(2), Pad: models.PadAll(1), Groups: 6}),
		"batch norm": func(b *models.Builder, in string) string {
			return b.BatchNorm("layer", in, models.BatchNorm{Epsilon: 0.1})
		},
		"conv and batch norm": func(b *models.Builder, in string) string {
			return b.BatchNorm("bn", b.Conv("layer", in, models.Conv{Out: 4, Kernel: models.Square(3), Groups: 2}), models.BatchNorm{})
		},
		"conv with bias and batch norm": func(b *models.Builder, in string) string {
			return b.BatchNorm("bn", b.Conv("layer", in, models.Conv{Out: 4, Kernel: models.Square(3), Bias: true}), models.BatchNorm{Epsilon: 1e-2})
		},
		"relu": func(b *models.Builder, in string) string { return b.ReLU("layer", in) },
		"bounded activation": func(b *models.Builder, in string) string {
			return b.Activation("layer", in, models.Activation{Max: 0.7})
		},
		"add": func(b *models.Builder, in string) string {
			return b.Add("layer", in, b.Conv("other", in, models.Conv{Out: 6, Kernel: models.Square(1)}))
		},
		"add itself": func(b *models.Builder, in string) string { return b.Add("layer", in, in) },
		"concat": func(b *models.Builder, in string) string {
			return b.Concat("layer", b.Conv("other", in, models.Conv{Out: 2, Kernel: models.Square(1)}), in)
		},
		"concat of three, one twice": func(b *models.Builder, in string) string {
			return b.Concat("layer", in, b.Conv("other", in, models.Conv{Out: 1, Kernel: models.Square(1)}), in)
		},
		"dropout": func(b *models.Builder, in string) string {
			return b.Dropout("layer", in, models.Dropout{Rate: 0.6})
		},
		"dense after concat": func(b *models.Builder, in string) string {
			return b.Dense("dense", b.Concat("layer", b.GlobalAvgPool("mean", in), b.Flatten("f", in)), models.Dense{Out: 4})
		},
		"max pool":              maxPool(models.Pool{Kernel: models.Square(2), Stride: models.Square(2)}),
		"max pool padded":       maxPool(models.Pool{Kernel: models.Square(3), Stride: [2]int{2, 1}, Pad: uneven}),
		"avg pool":              avgPool(models.Pool{Kernel: [2]int{2, 3}, Stride: models.Square(2)}),
		"avg pool padded":       avgPool(models.Pool{Kernel: models.Square(3), Stride: models.Square(2), Pad: uneven}),
		"avg pool counting pad": avgPool(models.Pool{Kernel: models.Square(3), Stride: models.Square(2), Pad: uneven, CountPad: true}),
		"global avg pool":       func(b *models.Builder, in string) string { return b.GlobalAvgPool("layer", in) },
		"flatten":               func(b *models.Builder, in string) string { return b.Flatten("layer", in) },
		"dense": func(b *models.Builder, in string) string {
			return b.Dense("layer", b.Flatten("f", in), models.Dense{Out: 4})
		},
		"dense bias": func(b *models.Builder, in string) string {
			return b.Dense("layer", b.Flatten("f", in), models.Dense{Out: 4, Bias: true})
		},
		"sigmoid":       func(b *models.Builder, in string) string { return b.Sigmoid("layer", in, models.Sigmoid{}) },
		"sigmoid, hard": func(b *models.Builder, in string) string { return b.Sigmoid("layer", in, models.Sigmoid{Hard: true}) },
		"multiply":      func(b *models.Builder, in string) string { return b.Multiply("layer", in, b.ReLU("r", in)) },
		"multiply, a gate": func(b *models.Builder, in string) string {
			squeezed := b.GlobalAvgPool("squeeze", in)
			gate := b.Sigmoid("gate", b.Dense("fc", squeezed, models.Dense{Out: 6, Bias: true}), models.Sigmoid{})
			return b.Multiply("layer", b.Multiply("first", in, gate), b.Shared("again", squeezed, "fc"))
		},
		"subsample":              subsample(models.Subsample{Stride: 2, Front: 3, Out: 12}),
		"subsample, odd strides": subsample(models.Subsample{Stride: 3, Out: 7}),
		"subsample, stride 1":    subsample(models.Subsample{Stride: 1, Front: 1, Out: 8}),
	}
}

func TestEveryKindAgainstDefinition(t *testing.T) {
	needRuntime(t)
	kinds := map[models.Kind]bool{}
	for name, layer := range layerCases() {
		b := models.NewBuilder("one-layer", models.Shape{C: 6, H: 9, W: 7}, 3)
		x := layer(b, b.Input())
		vector := x
		if !givesVector(name) {
			vector = b.Flatten("flat", x)
		}
		net, err := b.Build(b.Dense("scores", vector, models.Dense{Out: 3}), vector)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for _, l := range net.Layers {
			kinds[l.Kind] = true
		}
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, keep %t", name, keep), func(t *testing.T) { compareWithDefinition(t, net, keep) })
		}
	}
	for _, k := range models.Kinds() {
		if !kinds[k] {
			t.Errorf("no case for the kind %q", k)
		}
	}
}

func givesVector(name string) bool {
	return strings.HasPrefix(name, "global") || strings.HasPrefix(name, "flatten") || strings.HasPrefix(name, "dense")
}

func TestArchitecturesAgainstDefinition(t *testing.T) {
	needRuntime(t)
	for _, name := range []string{"convnet", "resnet8"} {
		net, err := models.Build(name, models.Shape{C: 3, H: 17, W: 12}, 5)
		if err != nil {
			t.Fatal(err)
		}
		for _, keep := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, keep %t", name, keep), func(t *testing.T) { compareWithDefinition(t, net, keep) })
		}
	}
}

func compareWithDefinition(t *testing.T, net *models.Network, keepBatchNorm bool) {
	t.Helper()
	w := trained(t, net, 3)
	data, err := export.Marshal(net, w, export.Options{KeepBatchNorm: keepBatchNorm})
	if err != nil {
		t.Fatal(err)
	}
	const samples = 3
	ref, embeddings := reference(t, net, w, samples)
	r, err := Bytes(context.Background(), data, ref, Options{Tolerance: 1e-5})
	if err != nil {
		t.Fatal(err)
	}
	if r.Samples != samples || r.Scale <= 0 {
		t.Errorf("%+v", r)
	}
	m, err := infer.OpenBytes(infer.Options{}, data)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out, err := m.Run(context.Background(), ref.Inputs, samples)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range embeddings {
		for j, want := range e {
			if got := float64(out.Embedding[i*len(e)+j]); math.Abs(got-want) > 1e-5*max(1, math.Abs(want)) {
				t.Fatalf("sample %d, feature %d: %v, want %v", i, j, got, want)
			}
		}
	}
}

// logits is a reference of so many zeros.
func logits(n int) map[string][]float32 {
	return map[string][]float32{export.Logits: make([]float32, n)}
}

func TestMismatch(t *testing.T) {
	needRuntime(t)
	net, err := models.Build("convnet", models.Shape{C: 1, H: 12, W: 12}, 4)
	if err != nil {
		t.Fatal(err)
	}
	w := trained(t, net, 1)
	data, err := export.Marshal(net, w, export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.onnx")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	ref, _ := reference(t, net, w, 5)
	good, err := File(context.Background(), path, ref, Options{BatchSize: 2})
	if err != nil || good.Relative() > DefaultTolerance || good.Tolerance != DefaultTolerance {
		t.Fatalf("%+v, %v", good, err)
	}

	// One weight is off a little.
	w["linear.bias"][2] += float32(3e-4 * good.Scale)
	other, err := export.Marshal(net, w, export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Bytes(context.Background(), other, ref, Options{})
	var mismatch *MismatchError
	if !errors.Is(err, ErrMismatch) || !errors.As(err, &mismatch) || mismatch.Report != r || r.Index != 2 ||
		math.Abs(r.Relative()-3e-4) > 1e-4 || !strings.Contains(err.Error(), "at 2") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := Bytes(context.Background(), other, ref, Options{Tolerance: 1e-3}); err != nil {
		t.Errorf("a wider tolerance: %v", err)
	}

	ref.Outputs[export.Logits][7] = float32(math.NaN())
	if _, err := File(context.Background(), path, ref, Options{}); !errors.Is(err, ErrMismatch) {
		t.Errorf("a reference that is not a number: %v", err)
	}
	for name, bad := range map[string]Reference{
		"none":         {},
		"no outputs":   {Samples: Samples{N: 1, Inputs: make([]float32, 144)}},
		"inputs":       {Samples{2, make([]float32, 3), nil}, logits(8)},
		"other inputs": {Samples{2, make([]float32, 6), nil}, logits(8)},
		"pixels":       {Samples{1, nil, make([]uint8, 144)}, logits(4)},
		"both":         {Samples{1, make([]float32, 144), make([]uint8, 144)}, logits(4)},
		"logits":       {Samples{1, make([]float32, 144), nil}, logits(5)},
		"other output": {Samples{1, make([]float32, 144), nil}, map[string][]float32{"other": make([]float32, 4)}},
	} {
		if _, err := File(context.Background(), path, bad, Options{}); err == nil || errors.Is(err, ErrMismatch) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Bytes(context.Background(), data[:50], ref, Options{}); !errors.Is(err, export.ErrNotONNX) {
		t.Errorf("truncated: %v", err)
	}
}
