package warmstart

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

func TestSafetensors(t *testing.T) {
	inputs, want := expected(t)
	net := residual(t, 5)
	w, report := match(t, open(t, filepath.Join("..", "..", "testdata", "warmstart", "resnet.safetensors")), net)
	near(t, logits(t, net, w, inputs), want, 1e-5)
	if report.Format != Safetensors || report.Matching != "names" || report.Naming != "PyTorch" || len(report.SHA256) != 64 {
		t.Errorf("%+v", report)
	}
	if report.Values != report.Total || len(report.Missing) > 0 || len(report.Neutral) > 0 || len(report.Warnings) > 0 {
		t.Errorf("%s; missing %v", report.Summary(), report.Missing)
	}
	for _, s := range report.Skipped {
		if !strings.HasSuffix(s.Name, ".num_batches_tracked") {
			t.Errorf("skipped %v", s)
		}
	}
	rows, err := report.Rows(net)
	if err != nil || len(rows) != len(report.Loaded)+len(report.Skipped) || rows[0][0] != "conv1.weight" || rows[0][1] != "loaded" {
		t.Errorf("%v, %v", rows, err)
	}
}

// TestFolded loads a file in which PyTorch's exporter has folded every batch
// norm, and whose tensors have numbers for names.
func TestFolded(t *testing.T) {
	inputs, want := expected(t)
	net := residual(t, 5)
	w, report := match(t, open(t, filepath.Join("..", "..", "testdata", "warmstart", "folded.onnx")), net)
	near(t, logits(t, net, w, inputs), want, 1e-5)
	if report.Format != ONNX || report.Matching != "names" || len(report.Neutral) != 3*6 || len(report.Missing) > 0 || len(report.Skipped) > 0 {
		t.Errorf("%+v", report)
	}
	if len(report.Warnings) != 1 || !strings.Contains(report.Warnings[0], "neutral") {
		t.Errorf("warnings %q", report.Warnings)
	}
}

// nameless removes the names of nodes and of initializers from an ONNX file.
func nameless(t *testing.T, path string) *Source {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var m onnxpb.ModelProto
	if err := proto.Unmarshal(data, &m); err != nil {
		t.Fatal(err)
	}
	names := make(map[string]string)
	for i, p := range m.Graph.Initializer {
		names[p.GetName()] = fmt.Sprint(i)
		p.Name = proto.String(fmt.Sprint(i))
	}
	for _, n := range m.Graph.Node {
		n.Name = nil
		for i, in := range n.Input {
			if to, ok := names[in]; ok {
				n.Input[i] = to
			}
		}
	}
	if data, err = proto.Marshal(&m); err != nil {
		t.Fatal(err)
	}
	src, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func TestStructure(t *testing.T) {
	inputs, want := expected(t)
	net := residual(t, 5)
	src := nameless(t, filepath.Join("..", "..", "testdata", "warmstart", "folded.onnx"))
	w, report := match(t, src, net)
	near(t, logits(t, net, w, inputs), want, 1e-5)
	if report.Matching != "structure" || report.Naming != "" || len(report.Missing) > 0 || len(report.Neutral) != 18 {
		t.Errorf("%+v", report)
	}

	// Batch norms that are there go with their convolutions.
	data, err := export.Marshal(net, w, export.Options{KeepBatchNorm: true})
	if err != nil {
		t.Fatal(err)
	}
	w, report = match(t, nameless(t, saved(t, "kept.onnx", data)), net)
	near(t, logits(t, net, w, inputs), want, 1e-5)
	if report.Matching != "structure" || len(report.Missing) > 0 || len(report.Neutral) > 0 {
		t.Errorf("%+v", report)
	}

	// A shape of which the file has another number is left alone.
	larger := residual(t, 9)
	_, report = match(t, src, larger)
	if len(report.Missing) != 2 || !strings.Contains(report.Missing[0].Reason, "5 classes") {
		t.Errorf("missing %v", report.Missing)
	}
}

func TestClassifierOfOtherClasses(t *testing.T) {
	net := residual(t, 7)
	initial := seeded(t, net)
	w, report, err := open(t, filepath.Join("..", "..", "testdata", "warmstart", "resnet.safetensors")).Match(net, initial, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w["fc.weight"], initial["fc.weight"]) || !slices.Equal(w["fc.bias"], initial["fc.bias"]) {
		t.Error("the classifier's weights have changed")
	}
	if len(report.Missing) != 2 || report.Missing[0].Name != "fc.weight" || !strings.Contains(report.Missing[0].Reason, "5 classes in the file and 7 in the network") {
		t.Errorf("missing %v", report.Missing)
	}
	if at := slices.IndexFunc(report.Skipped, func(s Tensor) bool { return s.Name == "fc.weight" }); at < 0 || !strings.Contains(report.Skipped[at].Reason, "5 classes") {
		t.Errorf("skipped %v", report.Skipped)
	}
	if report.Values != report.Total-7*6-7 {
		t.Errorf("%s", report.Summary())
	}
	if slices.Equal(w["conv1.weight"], initial["conv1.weight"]) {
		t.Error("the seeded weights were changed, or nothing was loaded")
	}
}

// TestClassNames leaves the classifier out when as many classes have other
// names.
func TestClassNames(t *testing.T) {
	net := residual(t, 2)
	data, err := export.Marshal(net, seeded(t, net), export.Options{Classes: []string{"cat", "dog"}})
	if err != nil {
		t.Fatal(err)
	}
	src, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		classes []string
		missing int
	}{{[]string{"cat", "dog"}, 0}, {[]string{"dog", "cat"}, 2}, {nil, 0}} {
		_, report, err := src.Match(net, seeded(t, net), Options{Classes: test.classes})
		if err != nil || len(report.Missing) != test.missing {
			t.Errorf("%q: missing %v, %v", test.classes, report.Missing, err)
		}
	}
}

// plain is a convolution with a batch norm and a classifier.
func plain(t *testing.T, epsilon float32, bias bool) *models.Network {
	t.Helper()
	b := models.NewBuilder("plain", models.Shape{C: 3, H: 8, W: 8}, 2)
	x := b.Conv("conv1", b.Input(), models.Conv{Out: 4, Kernel: models.Square(3), Bias: bias})
	x = b.GlobalAvgPool("pool", b.ReLU("relu", b.BatchNorm("bn1", x, models.BatchNorm{Epsilon: epsilon})))
	net, err := b.Build(b.Dense("linear", x, models.Dense{Out: 2}), x)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// TestOtherEpsilonAndBias loads weights of networks that are built a little
// differently; they compute the same.
func TestOtherEpsilonAndBias(t *testing.T) {
	inputs, _ := expected(t)
	for _, test := range []struct {
		name         string
		theirs, ours float32
		bias         bool
	}{
		{"smaller epsilon", 1e-3, 1e-5, false},
		{"larger epsilon", 1e-5, 0.25, false},
		{"bias before the batch norm", 1e-5, 1e-5, true},
		{"both", 1e-3, 1e-5, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			from := plain(t, test.theirs, test.bias)
			w := seeded(t, from)
			copy(w["bn1.running_var"], []float32{0.01, 0.5, 2, 1e-4})
			copy(w["bn1.running_mean"], []float32{0.1, -0.5, 0, 1})
			copy(w["conv1.bias"], []float32{1, -2, 3, 0})
			data, err := export.Marshal(from, w, export.Options{KeepBatchNorm: true})
			if err != nil {
				t.Fatal(err)
			}
			src, err := parse(data)
			if err != nil {
				t.Fatal(err)
			}
			net := plain(t, test.ours, false)
			got, report := match(t, src, net)
			want := logits(t, from, w, inputs)
			near(t, logits(t, net, got, inputs), want, 1e-5)
			if len(report.Missing) > 0 || len(report.Neutral) > 0 || len(report.Skipped) > 0 {
				t.Errorf("%+v", report)
			}
		})
	}
}

func TestNames(t *testing.T) {
	for tensor, want := range map[string][2]string{
		"conv1.weight":                             {"conv1", "weight"},
		"module.layer1.0.bn1.running_mean":         {"layer1.0.bn1", "running_mean"},
		"_orig_mod.module.fc.bias":                 {"fc", "bias"},
		"conv_dw_1_bn/moving_variance:0":           {"conv_dw_1_bn", "moving_variance"},
		"onnx::Conv_61":                            {"", "onnx::Conv_61"},
		"mobilenet/conv_pw_2/kernel":               {"mobilenet.conv_pw_2", "kernel"},
		"backbone.model.blocks.0.0.conv_dw.weight": {"blocks.0.0.conv_dw", "weight"},
	} {
		if layer, suffix := splitName(tensor); layer != want[0] || suffix != want[1] {
			t.Errorf("%q is %q of %q", tensor, suffix, layer)
		}
	}
	for from, want := range map[string]string{
		"conv1": "conv1", "conv1_bn": "bn1", "conv_dw_3": "block3.depthwise", "conv_dw_3_bn": "block3.bn1",
		"conv_pw_13": "block13.pointwise", "conv_pw_13_bn": "block13.bn2", "conv_preds": "conv_preds",
	} {
		if got := kerasMobileNet(from); got != want {
			t.Errorf("Keras %q is %q, want %q", from, got, want)
		}
	}
	for from, want := range map[string]string{
		"conv_stem": "conv1", "bn1": "bn1", "blocks.0.0.conv_dw": "block1.depthwise", "blocks.1.1.bn1": "block3.bn1",
		"blocks.3.5.conv_pw": "block11.pointwise", "blocks.4.1.bn2": "block13.bn2", "blocks.7.0.bn2": "blocks.7.0.bn2", "classifier": "classifier",
	} {
		if got := timmMobileNet(from); got != want {
			t.Errorf("timm %q is %q, want %q", from, got, want)
		}
	}
}

// TestTimmMobileNet renames a network's tensors to timm's and finds them all.
func TestTimmMobileNet(t *testing.T) {
	net, err := models.Build("mobilenet0.25", models.Shape{C: 3, H: 32, W: 32}, 4)
	if err != nil {
		t.Fatal(err)
	}
	rename := strings.NewReplacer("depthwise", "conv_dw", "pointwise", "conv_pw")
	src := &Source{Format: Safetensors}
	layers, err := layersOf(net, seeded(t, net))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		l.follows = -1
		switch l.name {
		case "conv1":
			l.name = "conv_stem"
		case "linear":
			l.name = "classifier"
		}
		var block int
		if n, _ := fmt.Sscanf(l.name, "block%d.", &block); n == 1 {
			_, part, _ := strings.Cut(l.name, ".")
			stage, first := 0, 1
			for i, begin := range []int{1, 2, 4, 6, 12} {
				if block >= begin {
					stage, first = i, begin
				}
			}
			l.name = fmt.Sprintf("blocks.%d.%d.%s", stage, block-first, rename.Replace(part))
		}
		src.layers = append(src.layers, l)
	}
	_, report := match(t, src, net)
	if report.Naming != "timm MobileNet" || report.Values != report.Total || len(report.Skipped) > 0 {
		t.Errorf("%s: missing %v", report.Summary(), report.Missing)
	}
}
