package app

import (
	"encoding/json"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

// students writes two students, the first of them without metadata too, and an
// image.
func students(t *testing.T) (first, second, foreign, picture string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	net, err := models.Build("convnet", models.Shape{C: 3, H: 16, W: 16}, 3)
	if err != nil {
		t.Fatal(err)
	}
	var files [][]byte
	for seed := range uint64(2) {
		w, err := net.Init(seed)
		if err != nil {
			t.Fatal(err)
		}
		data, err := export.Marshal(net, w, export.Options{Classes: []string{"cat", "dog", "emu"}, Mean: []float32{.5, .5, .5}, Std: []float32{.5, .5, .5}})
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, data)
	}
	m := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(files[0], m); err != nil {
		t.Fatal(err)
	}
	m.MetadataProps = nil
	bare, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	img := image.NewNRGBA(image.Rect(0, 0, 40, 30))
	for i := range img.Pix {
		img.Pix[i] = uint8(i) | uint8(i%4/3*255)
	}
	picture = filepath.Join(dir, "cat.png")
	f, err := os.Create(picture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
	return write("a.onnx", files[0]), write("b.onnx", files[1]), write("foreign.onnx", bare), picture
}

func TestInferForeign(t *testing.T) {
	needRuntime(t)
	first, second, foreign, picture := students(t)
	probabilities := func(args ...string) map[string]float64 {
		t.Helper()
		var out struct{ Images []inference.Classified }
		if err := json.Unmarshal([]byte(mustRun(t, append(append([]string{"infer"}, args...), "--json")...).stdout), &out); err != nil {
			t.Fatal(err)
		}
		p := make(map[string]float64)
		for _, s := range out.Images[0].Top {
			p[s.Label] = float64(s.Probability)
		}
		return p
	}
	want := probabilities(first, picture)
	if got := probabilities(foreign, picture, "--preprocess", "imagenet-tf"); len(got) != 3 || math.Abs(got["0"]-want["cat"]) > 1e-6 {
		t.Errorf("by a name: %v, want %v", got, want)
	}
	file := filepath.Join(t.TempDir(), "ours.yaml")
	text := "mean: [0.5, 0.5, 0.5]\nstd: [0.5, 0.5, 0.5]\nclasses: [cat, dog, emu]\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := probabilities(foreign, picture, "--preprocess", file); math.Abs(got["cat"]-want["cat"]) > 1e-6 {
		t.Errorf("by a file: %v, want %v", got, want)
	}
	other := probabilities(second, picture)
	mean := probabilities(first, second, picture, "--weights", "3,1")
	if d := mean["cat"] - (.75*want["cat"] + .25*other["cat"]); math.Abs(d) > 1e-6 {
		t.Errorf("weighted mean %v of %v and %v", mean, want, other)
	}
	joint := probabilities(first, second, picture, "--ensemble", "logits")
	product := math.Sqrt(want["cat"] * other["cat"])
	sum := product + math.Sqrt(want["dog"]*other["dog"]) + math.Sqrt(want["emu"]*other["emu"])
	if math.Abs(joint["cat"]-product/sum) > 1e-5 {
		t.Errorf("mean of logits: %v, want cat %v", joint, product/sum)
	}
	var vectors struct{ Images []inference.Embedded }
	if err := json.Unmarshal([]byte(mustRun(t, "infer", first, second, picture, "--embed", "--json").stdout), &vectors); err != nil || len(vectors.Images) != 1 || len(vectors.Images[0].Embedding) != 128 {
		t.Errorf("embeddings: %v, %v", vectors, err)
	}
	if fields := strings.Fields(mustRun(t, "infer", first, picture, "--embed").stdout); len(fields) != 65 || fields[0] != picture {
		t.Errorf("embeddings as text: %d fields", len(fields))
	}

	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("meen: [1]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		text string
	}{
		{[]string{foreign}, "--preprocess"},
		{[]string{foreign, "--preprocess", "imagnet"}, "torchreid, fastreid"},
		{[]string{foreign, "--preprocess", bad}, "bad.yaml"},
		{[]string{foreign, "--preprocess", "missing.yaml"}, "missing.yaml"},
		{[]string{first, "--preprocess", "imagenet"}, "without a preset"},
		{[]string{first, "--ensemble", "votes"}, "votes"},
		{[]string{first, "--weights", "1,2"}, "2 weights for 1 models"},
		{[]string{first, "--weights", "x"}, "x"},
		{[]string{first, "--provider", "Abacus,beads=10"}, "Abacus"},
		{[]string{first, "--provider", "CUDA,x"}, "KEY=VALUE"},
	} {
		r := dml(t, append([]string{"infer", tc.args[0], picture}, tc.args[1:]...)...)
		if r.code == exitOK || !strings.Contains(r.stderr, tc.text) {
			t.Errorf("%v: exit code %d, %s", tc.args, r.code, r.stderr)
		}
	}
}
