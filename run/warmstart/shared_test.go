package warmstart

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/pixels"
	"github.com/deepmutual/dml/models"
)

// realImages returns the first n CIFAR-10 images, scaled to a side and normalised
// as (x/255 - mean) / std.
func realImages(t *testing.T, n, side int, mean, std []float32) []float32 {
	t.Helper()
	const size = 32 * 32
	records, err := os.ReadFile(datatest.Shared(t, "cifar10-lossless4k.bin"))
	if err != nil {
		t.Fatal(err)
	}
	normalizer, err := pixels.NewNormalizer(pixels.Norm{Mean: mean, Std: std}, 3)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]float32, n*3*side*side)
	for i := range n {
		planes := records[i*(3*size+1)+1 : (i+1)*(3*size+1)]
		img := pixels.Image{Width: 32, Height: 32, Channels: 3, Pix: make([]uint8, 3*size)}
		for c := range 3 {
			for j := range size {
				img.Pix[j*3+c] = planes[c*size+j]
			}
		}
		if err := normalizer.Apply(out[i*3*side*side:(i+1)*3*side*side], pixels.Fit(img, 3, side, side)); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// runtimeOutputs runs an ONNX file on ONNX Runtime.
func runtimeOutputs(t *testing.T, path string, inputs []float32, n int) infer.Outputs {
	t.Helper()
	m, err := infer.Open(infer.Options{}, path)
	if errors.Is(err, infer.ErrNoRuntime) {
		t.Skipf("skipped: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	out, err := m.Run(t.Context(), inputs, n)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPretrainedResNets compares with ONNX Runtime on real images, and counts
// the right answers: these networks know their training images.
func TestPretrainedResNets(t *testing.T) {
	for _, depth := range []int{20, 32, 44, 56} {
		t.Run(fmt.Sprint(depth), func(t *testing.T) {
			path := datatest.Shared(t, "pretrained", fmt.Sprintf("resnet%d-cifar10.onnx", depth))
			net, err := models.Build(fmt.Sprintf("resnet%d", depth), models.Shape{C: 3, H: 32, W: 32}, 10)
			if err != nil {
				t.Fatal(err)
			}
			const n = 16
			inputs := realImages(t, n, 32, []float32{.485, .456, .406}, []float32{.229, .224, .225})
			want := runtimeOutputs(t, path, inputs, n).Logits
			w, report := match(t, open(t, path), net)
			near(t, logits(t, net, w, inputs), want, 1e-4)
			if report.Naming != "PyTorch" || report.Values != report.Total || len(report.Skipped) > 0 || len(report.Warnings) > 0 {
				t.Errorf("%s: skipped %v", report.Summary(), report.Skipped)
			}
		})
	}
}

func softmax(logits []float32, classes int) []float32 {
	var out []float32
	for row := range slices.Chunk(logits, classes) {
		most, sum := float64(slices.Max(row)), 0.0
		for _, v := range row {
			sum += math.Exp(float64(v) - most)
		}
		for _, v := range row {
			out = append(out, float32(math.Exp(float64(v)-most)/sum))
		}
	}
	return out
}

var ones = []float32{.5, .5, .5} // (x/255 - 0.5) / 0.5 is x/127.5 - 1

func TestPretrainedMobileNets(t *testing.T) {
	for _, width := range []string{"0.25", "0.75"} {
		t.Run(width, func(t *testing.T) {
			path := datatest.Shared(t, "pretrained", "mobilenet_v1_"+width+"_imagenet.onnx")
			net, err := models.Build("mobilenet"+width+"-tf", models.Shape{C: 3, H: 224, W: 224}, 1000)
			if err != nil {
				t.Fatal(err)
			}
			const n = 4
			inputs := realImages(t, n, 224, ones, ones)
			want := runtimeOutputs(t, path, inputs, n).Probabilities
			w, report := match(t, open(t, path), net)
			near(t, softmax(logits(t, net, w, inputs), 1000), want, 1e-4)
			if report.Naming != "Keras MobileNet" || report.Values != report.Total || len(report.Warnings) > 0 {
				t.Errorf("%s: missing %v", report.Summary(), report.Missing)
			}
			for _, s := range report.Skipped {
				if !strings.HasPrefix(s.Name, "relu6/") {
					t.Errorf("skipped %v", s)
				}
			}
		})
	}
}

// TestPartialMobileNet loads a file without the last block and the classifier.
func TestPartialMobileNet(t *testing.T) {
	path := datatest.Shared(t, "pretrained", "mobilenet_v1_1.0_imagenet_partial.onnx")
	net, err := models.Build("mobilenet-tf", models.Shape{C: 3, H: 224, W: 224}, 10)
	if err != nil {
		t.Fatal(err)
	}
	w, report := match(t, open(t, path), net)
	var missing []string
	for _, m := range report.Missing {
		missing = append(missing, m.Name)
	}
	if want := []string{"block13.pointwise.weight", "block13.bn2.weight", "block13.bn2.bias", "block13.bn2.running_mean",
		"block13.bn2.running_var", "linear.weight", "linear.bias"}; !slices.Equal(missing, want) {
		t.Errorf("missing %q", missing)
	}
	if initial := seeded(t, net); !slices.Equal(w["block13.pointwise.weight"], initial["block13.pointwise.weight"]) {
		t.Error("a missing parameter has lost its seeded value")
	}

	// What was loaded computes the file's feature map.
	cut := *net
	for i, l := range cut.Layers {
		if l.Name == "block13.relu1" {
			cut.Layers = append(slices.Clone(cut.Layers[:i+1]), models.Layer{Name: "features", Kind: models.KindFlatten, Inputs: []string{l.Name}})
			break
		}
	}
	cut.Logits, cut.Embedding, cut.Classes = "features", "features", 1024*7*7
	if err := cut.Validate(); err != nil {
		t.Fatal(err)
	}
	inputs := realImages(t, 1, 224, ones, ones)
	want := runtimeOutputs(t, path, inputs, 1).Logits
	w, _ = match(t, open(t, path), &cut)
	near(t, logits(t, &cut, w, inputs), want, 1e-4)
}

// TestOtherNetwork: a few layers of equal shape make no match.
func TestOtherNetwork(t *testing.T) {
	src := open(t, datatest.Shared(t, "osnet_x0_25_msmt17.onnx"))
	net, err := models.Build("mobilenet0.25", models.Shape{C: 3, H: 224, W: 224}, 10)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = src.Match(net, seeded(t, net), Options{})
	if !errors.Is(err, ErrNothingMatched) {
		t.Errorf("another network was taken: %v", err)
	}
	t.Log(err)
}

// TestFoldedResNet loads a pretrained network after this toolkit's export has
// folded its batch norms.
func TestFoldedResNet(t *testing.T) {
	path := datatest.Shared(t, "pretrained", "resnet20-cifar10.onnx")
	net, err := models.Build("resnet20", models.Shape{C: 3, H: 32, W: 32}, 10)
	if err != nil {
		t.Fatal(err)
	}
	inputs := realImages(t, 8, 32, []float32{.485, .456, .406}, []float32{.229, .224, .225})
	w, _ := match(t, open(t, path), net)
	folded := exported(t, net, w)
	again, report := match(t, open(t, folded), net)
	near(t, logits(t, net, again, inputs), runtimeOutputs(t, path, inputs, 8).Logits, 1e-4)
	if len(report.Neutral) != 3*19 || len(report.Missing) > 0 || len(report.Warnings) != 1 {
		t.Errorf("%s: missing %v, warnings %q", report.Summary(), report.Missing, report.Warnings)
	}
}
