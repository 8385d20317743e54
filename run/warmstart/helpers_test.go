package warmstart

import (
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// residual is the network of testdata/warmstart/make.py, for that many classes.
func residual(t testing.TB, classes int) *models.Network {
	t.Helper()
	b := models.NewBuilder("residual", models.Shape{C: 3, H: 8, W: 8}, classes)
	conv := func(name, in string, out, kernel, stride int) string {
		return b.Conv(name, in, models.Conv{Out: out, Kernel: models.Square(kernel), Stride: models.Square(stride), Pad: models.PadAll(kernel / 2)})
	}
	block := func(p, in string, out, stride int, down bool) string {
		x := b.ReLU(p+"relu1", b.BatchNorm(p+"bn1", conv(p+"conv1", in, out, 3, stride), models.BatchNorm{}))
		x = b.BatchNorm(p+"bn2", conv(p+"conv2", x, out, 3, 1), models.BatchNorm{})
		if down {
			in = b.BatchNorm(p+"downsample.1", conv(p+"downsample.0", in, out, 1, stride), models.BatchNorm{})
		}
		return b.ReLU(p+"relu2", b.Add(p+"add", x, in))
	}
	x := b.ReLU("relu", b.BatchNorm("bn1", conv("conv1", b.Input(), 4, 3, 1), models.BatchNorm{}))
	x = block("layer2.0.", block("layer1.0.", x, 4, 1, false), 6, 2, true)
	pooled := b.GlobalAvgPool("pool", x)
	net, err := b.Build(b.Dense("fc", pooled, models.Dense{Out: classes, Bias: true}), pooled)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

func seeded(t testing.TB, net *models.Network) models.Weights {
	t.Helper()
	w, err := net.Init(7)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func open(t testing.TB, path string) *Source {
	t.Helper()
	src, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func match(t testing.TB, src *Source, net *models.Network) (models.Weights, *Report) {
	t.Helper()
	w, report, err := src.Match(net, seeded(t, net), Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := net.CheckWeights(w); err != nil {
		t.Fatal(err)
	}
	return w, report
}

// logits runs a network as training evaluates it.
func logits(t testing.TB, net *models.Network, w models.Weights, inputs []float32) []float32 {
	t.Helper()
	st := train.State{Name: net.Name, Network: net, Weights: w, Norm: dataset.Norm{Mean: make([]float32, net.Input.C)}}
	out, err := train.Logits(st, inputs, len(inputs)/net.Input.Size(), train.EvaluateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// expected returns the inputs and the logits that PyTorch computed.
func expected(t testing.TB) (inputs, want []float32) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "testdata", "warmstart", "expected.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	tensors, err := safetensorsOf(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range tensors {
		switch s.name {
		case "input":
			inputs = s.data
		case "logits":
			want = s.data
		}
	}
	return inputs, want
}

// near reports the first value that is further away than the tolerance.
func near(t testing.TB, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) || len(got) == 0 {
		t.Fatalf("%d values, want %d", len(got), len(want))
	}
	worst := 0.0
	for i := range got {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if !(d <= tolerance) {
			t.Fatalf("value %d is %g, want %g", i, got[i], want[i])
		}
		worst = max(worst, d)
	}
	t.Logf("%d values, at most %.2g apart", len(got), worst)
}
