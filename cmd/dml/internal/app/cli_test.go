package app

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

// result is what a command line did.
type result struct {
	code           int
	stdout, stderr string
}

// dml runs a command line as the program does.
func dml(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := Run(t.Context(), append([]string{"dml"}, args...), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// mustRun fails the test where the command line does not succeed.
func mustRun(t *testing.T, args ...string) result {
	t.Helper()
	r := dml(t, args...)
	if r.code != exitOK {
		t.Fatalf("dml %s: exit code %d\n%s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r
}

// needRuntime skips a test that cannot do without ONNX Runtime.
func needRuntime(t *testing.T) {
	t.Helper()
	if _, err := ortlib.Find(""); err != nil {
		t.Skipf("skipped: %v", err)
	}
}

// digit draws a 12x12 image of class 0 (left half bright), 1 (right half) or 2
// (upper half), with some variation.
func digit(class, variant int) []byte {
	pix := make([]byte, 12*12)
	for y := range 12 {
		for x := range 12 {
			bright := class == 0 && x < 6 || class == 1 && x >= 6 || class == 2 && y < 6
			v := (x*31 + y*17 + variant*29) % 60
			if bright {
				v += 150
			}
			pix[y*12+x] = byte(v)
		}
	}
	return pix
}

// idx writes an IDX file of bytes.
func idx(t *testing.T, path string, dims []int, data []byte) {
	t.Helper()
	buf := binary.BigEndian.AppendUint32(nil, uint32(0x800+len(dims)))
	for _, d := range dims {
		buf = binary.BigEndian.AppendUint32(buf, uint32(d))
	}
	var out io.ReadWriter = new(bytes.Buffer)
	z := gzip.NewWriter(out)
	if _, err := z.Write(append(buf, data...)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	zipped, err := io.ReadAll(out)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, zipped)
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// mnistFolder writes MNIST files with train and test images of three classes.
func mnistFolder(t *testing.T, train, test int) string {
	t.Helper()
	dir := t.TempDir()
	for _, part := range []struct {
		prefix string
		n      int
	}{{"train", train}, {"t10k", test}} {
		var pix, labels []byte
		for i := range part.n {
			pix = append(pix, digit(i%3, i)...)
			labels = append(labels, byte(i%3))
		}
		idx(t, filepath.Join(dir, part.prefix+"-images-idx3-ubyte.gz"), []int{part.n, 12, 12}, pix)
		idx(t, filepath.Join(dir, part.prefix+"-labels-idx1-ubyte.gz"), []int{part.n}, labels)
	}
	return dir
}

func writePNG(t *testing.T, path string, class int) {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 12, 12))
	for i, v := range digit(class, 1) {
		img.Set(i%12, i/12, color.Gray{Y: v})
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, buf.Bytes())
}

// small is a command line that trains two students on data in a second.
func small(data, out string, more ...string) []string {
	return append([]string{"train", "--data", data, "--student", "convnet", "--student", "second=convnet",
		"--epochs", "3", "--batch", "16", "--lr", "0.05", "--backend", "ref", "--out", out, "--name", "trial"}, more...)
}

func exists(t *testing.T, paths ...string) {
	t.Helper()
	for _, path := range paths {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 {
			t.Errorf("%s is missing or empty: %v", path, err)
		}
	}
}

// evaluation is the JSON of dml eval, as documented.
type evaluation struct {
	Data     string `json:"data"`
	Split    string `json:"split"`
	Images   int    `json:"images"`
	Students []struct {
		Name     string   `json:"name"`
		Accuracy *float64 `json:"accuracy"`
		NLL      *float64 `json:"nll"`
		Entropy  *float64 `json:"entropy"`
		OneClass bool     `json:"one_class"`
	} `json:"students"`
	Ensemble struct {
		Accuracy *float64 `json:"accuracy"`
		NLL      *float64 `json:"nll"`
		Entropy  *float64 `json:"entropy"`
		OneClass bool     `json:"one_class"`
	} `json:"ensemble"`
}

func parseEvaluation(t *testing.T, text string) evaluation {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	var e evaluation
	if err := dec.Decode(&e); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return e
}

// TestWholeRoad trains, exports, evaluates and classifies.
func TestWholeRoad(t *testing.T) {
	needRuntime(t)
	data, out := mnistFolder(t, 120, 30), t.TempDir()
	trained := mustRun(t, small(data, out)...)
	run := filepath.Join(out, "trial")
	for _, want := range []string{"convnet-1", "second", "ensemble", "next: dml export " + run} {
		if !strings.Contains(trained.stdout, want) {
			t.Errorf("train printed no %q:\n%s", want, trained.stdout)
		}
	}
	if !strings.Contains(trained.stderr, "epoch 3/3  second  loss ") {
		t.Errorf("train showed no progress:\n%s", trained.stderr)
	}
	for _, name := range []string{"config.yaml", "metrics.jsonl", "results.csv", "convnet-1/best.ckpt", "convnet-1/last.ckpt", "second/best.ckpt", "second/last.ckpt"} {
		exists(t, filepath.Join(run, filepath.FromSlash(name)))
	}

	models := []string{filepath.Join(run, "onnx", "convnet-1.onnx"), filepath.Join(run, "onnx", "second.onnx")}
	exported := mustRun(t, "export", run, "--backend", "ref")
	if exported.stdout != strings.Join(models, "\n")+"\n" {
		t.Errorf("export printed %q", exported.stdout)
	}
	exists(t, models...)
	kept := filepath.Join(t.TempDir(), "kept")
	mustRun(t, "export", run, "--student", "second", "--checkpoint", "last", "--keep-bn", "--out", kept)
	if entries, err := os.ReadDir(kept); err != nil || len(entries) != 1 || entries[0].Name() != "second.onnx" {
		t.Errorf("export of one student wrote %v, %v", entries, err)
	}

	// The training code and ONNX Runtime agree about the same students.
	gorgonia := parseEvaluation(t, mustRun(t, "eval", run, "--data", data, "--split", "test", "--json").stdout)
	runtime := parseEvaluation(t, mustRun(t, append(append([]string{"eval"}, models...), "--data", data, "--json")...).stdout)
	if len(gorgonia.Students) != 2 || len(runtime.Students) != 2 {
		t.Fatalf("evaluated %d and %d students", len(gorgonia.Students), len(runtime.Students))
	}
	near := func(what string, a, b *float64) {
		if a == nil || b == nil || *a-*b > 1e-4 || *b-*a > 1e-4 {
			t.Errorf("%s: %v by the training code, %v by ONNX Runtime", what, a, b)
		}
	}
	for i := range gorgonia.Students {
		a, b := gorgonia.Students[i], runtime.Students[i]
		if a.Name != b.Name {
			t.Errorf("students %q and %q", a.Name, b.Name)
		}
		near(a.Name+" accuracy", a.Accuracy, b.Accuracy)
		near(a.Name+" nll", a.NLL, b.NLL)
		near(a.Name+" entropy", a.Entropy, b.Entropy)
	}
	near("ensemble accuracy", gorgonia.Ensemble.Accuracy, runtime.Ensemble.Accuracy)
	near("ensemble nll", gorgonia.Ensemble.NLL, runtime.Ensemble.NLL)
	near("ensemble entropy", gorgonia.Ensemble.Entropy, runtime.Ensemble.Entropy)
	if acc := gorgonia.Ensemble.Accuracy; acc != nil && *acc < 0.9 {
		t.Errorf("the ensemble's accuracy on trivial data is %g", *acc)
	}
	if table := mustRun(t, "eval", run).stdout; !strings.Contains(table, "ensemble") {
		t.Errorf("eval on the run's own data printed %q", table)
	}

	images := t.TempDir()
	writePNG(t, filepath.Join(images, "b", "left.png"), 0)
	writePNG(t, filepath.Join(images, "a", "upper"), 2) // no extension
	writeFile(t, filepath.Join(images, "notes.txt"), []byte("not an image"))
	var answer struct {
		Models []string
		Images []inference.Classified
	}
	if err := json.Unmarshal([]byte(mustRun(t, "infer", models[0], models[1], images, "--top", "2", "--json").stdout), &answer); err != nil {
		t.Fatal(err)
	}
	if len(answer.Models) != 2 || len(answer.Images) != 2 {
		t.Fatalf("infer answered %+v", answer)
	}
	for i, want := range []struct {
		name  string
		class int
	}{{"upper", 2}, {"left.png", 0}} {
		got := answer.Images[i]
		if filepath.Base(got.Image) != want.name || len(got.Top) != 2 || got.Top[0].Class != want.class {
			t.Errorf("image %d: %+v, want %+v", i, got, want)
		}
	}
	text := mustRun(t, "infer", models[0], filepath.Join(images, "b", "left.png"), "--top", "1").stdout
	if !strings.Contains(text, "left.png") || !strings.Contains(text, "%") || strings.Count(text, "\n") != 1 {
		t.Errorf("infer printed %q", text)
	}
}

// TestEvalSplits evaluates the parts of a flat folder of images.
func TestEvalSplits(t *testing.T) {
	needRuntime(t)
	flat, out := t.TempDir(), t.TempDir()
	for class, name := range []string{"left", "right", "upper"} {
		for i := range 20 {
			writePNG(t, filepath.Join(flat, name, fmt.Sprintf("%02d.png", i)), class)
		}
	}
	mustRun(t, small(flat, out, "--epochs", "1", "--quiet")...)
	run := filepath.Join(out, "trial")
	mustRun(t, "export", run)
	model := filepath.Join(run, "onnx", "second.onnx")
	measure := func(args ...string) evaluation {
		return parseEvaluation(t, mustRun(t, append(append([]string{"eval"}, args...), "--json")...).stdout)
	}
	nll := func(args ...string) float64 { return *measure(args...).Ensemble.NLL }
	divided := t.TempDir()
	for class, name := range []string{"left", "right", "upper"} {
		for _, file := range []string{"train/" + name + "/1.png", "test/" + name + "/1.png", "test/" + name + "/2.png"} {
			writePNG(t, filepath.Join(divided, filepath.FromSlash(file)), class)
		}
	}
	for _, tc := range []struct {
		args   []string
		split  string
		images int
	}{
		{[]string{model, "--data", flat}, "all", 60}, // no parts: nothing is left out
		{[]string{model, "--data", flat, "--split", "all", "--limit", "9"}, "all", 9},
		{[]string{model, "--data", flat, "--split", "test"}, "test", 6},
		{[]string{model, "--data", divided}, "test", 6},
		{[]string{model, "--data", divided, "--split", "train"}, "train", 3},
		{[]string{run}, "test", 6}, // as the run divided it
		{[]string{run, "--data", flat}, "test", 6},
		{[]string{run, "--split", "all"}, "all", 60},
		{[]string{run, "--data", divided}, "test", 6},
	} {
		e := measure(tc.args...)
		if e.Split != tc.split || e.Images != tc.images || e.Data == "" {
			t.Errorf("%v: measured on %d images, part %q of %q, want %d, %q", tc.args, e.Images, e.Split, e.Data, tc.images, tc.split)
		}
	}
	if text := mustRun(t, "eval", model, "--data", flat).stdout; !strings.HasPrefix(text, "On 60 images, all of "+flat+":\n") {
		t.Errorf("eval printed %q", text)
	}
	if text := mustRun(t, "eval", run).stdout; !strings.HasPrefix(text, "On 6 images, test part of "+flat+":\n") {
		t.Errorf("eval printed %q", text)
	}
	// Every image of a class is the same here, so all parts agree.
	want := nll(model, "--data", flat, "--split", "all")
	for _, args := range [][]string{
		{model, "--data", flat}, {model, "--data", flat, "--split", "train"}, {model, "--data", flat, "--split", "all", "--limit", "6"},
	} {
		if got := nll(args...); got < want-1e-6 || got > want+1e-6 {
			t.Errorf("%v: NLL %g, want %g", args, got, want)
		}
	}
	both := nll(run, "--split", "all")
	for _, args := range [][]string{{run}, {run, "--split", "val"}, {run, "--split", "train", "--data", flat}} {
		if got := nll(args...); got < both-1e-5 || got > both+1e-5 {
			t.Errorf("%v: NLL %g, want %g", args, got, both)
		}
	}
	refused(t, dml(t, "eval", model, "--data", flat, "--split", "val"), flat, "no val part", "a run was trained on")

	// A broken image is in all, and in one of the two parts.
	writeFile(t, filepath.Join(flat, "left", "07.png"), []byte("\x89PNG\r\n\x1a\nand then nothing"))
	refused(t, dml(t, "eval", model, "--data", flat, "--split", "all"), "07.png")
	failures := 0
	for _, split := range []string{"train", "test"} {
		if dml(t, "eval", model, "--data", flat, "--split", split).code != exitOK {
			failures++
		}
	}
	if failures != 1 {
		t.Errorf("the broken image is in %d of two parts", failures)
	}
	refused(t, dml(t, "eval", model, "--data", divided, "--split", "all"), "divided into parts")
}

// interruptAt cancels a context when text is printed.
type interruptAt struct {
	bytes.Buffer
	text   string
	cancel context.CancelFunc
}

func (w *interruptAt) Write(p []byte) (int, error) {
	if strings.Contains(string(p), w.text) {
		w.cancel()
	}
	return w.Buffer.Write(p)
}

// TestInterruptAndResume stops a run and continues it to the state of a run
// that nobody stopped.
func TestInterruptAndResume(t *testing.T) {
	data, whole, parts := mnistFolder(t, 60, 12), t.TempDir(), t.TempDir()
	mustRun(t, small(data, whole, "--quiet")...)

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stderr := &interruptAt{text: "epoch 1/3", cancel: cancel}
	var stdout bytes.Buffer
	run := filepath.Join(parts, "trial")
	code := Run(ctx, append([]string{"dml"}, small(data, parts)...), &stdout, stderr)
	if want := "interrupted in epoch 2, with the state saved; to continue: dml train --resume " + run; code != exitFailure || !strings.Contains(stderr.String(), want) {
		t.Fatalf("exit code %d, no %q in\n%s", code, want, stderr.String())
	}
	if strings.Contains(stdout.String(), "next:") {
		t.Errorf("an interrupted run printed %q", stdout.String())
	}

	if again := dml(t, small(data, parts)...); again.code != exitFailure || !strings.Contains(again.stderr, "--resume "+run) {
		t.Errorf("a run was begun over another: %+v", again)
	}
	if mixed := dml(t, "train", "--resume", run, "--epochs", "9"); mixed.code != exitUsage || !strings.Contains(mixed.stderr, "--epochs") {
		t.Errorf("--resume with other settings: %+v", mixed)
	}
	resumed := mustRun(t, "train", "--resume", run, "--quiet")
	if resumed.stderr != "" {
		t.Errorf("--quiet printed %q", resumed.stderr)
	}
	for _, name := range []string{"convnet-1/last.ckpt", "convnet-1/best.ckpt", "second/last.ckpt", "results.csv"} {
		a, errA := os.ReadFile(filepath.Join(whole, "trial", filepath.FromSlash(name)))
		b, errB := os.ReadFile(filepath.Join(run, filepath.FromSlash(name)))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s of the resumed run differs (%v, %v)", name, errA, errB)
		}
	}
	if finished := mustRun(t, "train", "--resume", run); !strings.Contains(finished.stdout, "ensemble") || !strings.Contains(finished.stderr, "already finished, with 3 epochs") {
		t.Errorf("resuming a finished run printed %q", finished.stdout)
	}
}

func TestConfigFileAndFlags(t *testing.T) {
	data, out := mnistFolder(t, 60, 12), t.TempDir()
	file := filepath.Join(t.TempDir(), "run.yaml")
	writeFile(t, file, []byte("name: fromfile\ndata:\n  path: "+data+"\nmode: independent\nstudents:\n- arch: convnet\n"+
		"epochs: 9\nbatch: 16\nbackend: ref\noptimizer:\n  momentum: 0.5\n  nesterov: true\n"))
	mustRun(t, "train", "--config", file, "--epochs", "1", "--nesterov=false", "--momentum", "0", "--out", out, "--quiet")
	text, err := os.ReadFile(filepath.Join(out, "fromfile", "config.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"epochs: 1\n", "mode: independent\n", "momentum: 0", "nesterov: false\n", "batch: 16\n", "seed: 1\n"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("config.yaml lacks %q:\n%s", want, text)
		}
	}
}
