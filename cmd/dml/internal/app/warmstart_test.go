package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/run/rundir"
	"github.com/deepmutual/dml/run/warmstart"
	"github.com/deepmutual/dml/train"
)

// states returns the newest states of a run.
func states(t *testing.T, run string) []train.State {
	t.Helper()
	dir, err := rundir.Open(run)
	if err != nil {
		t.Fatal(err)
	}
	out, err := dir.LoadAll(rundir.Last)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWarmStart(t *testing.T) {
	data, out := mnistFolder(t, 60, 12), t.TempDir()
	common := []string{"train", "--data", data, "--mode", "independent", "--epochs", "1", "--batch", "16", "--backend", "ref", "--quiet", "--out", out}
	with := func(args ...string) []string { return append(slices.Clone(common), args...) }
	mustRun(t, with("--name", "first", "--student", "a=convnet")...)
	first := filepath.Join(out, "first")

	// An ONNX file for other classes.
	net, err := models.Build("convnet", models.Shape{C: 1, H: 12, W: 12}, 7)
	if err != nil {
		t.Fatal(err)
	}
	weights, err := net.Init(5)
	if err != nil {
		t.Fatal(err)
	}
	model, err := export.Marshal(net, weights, export.Options{KeepBatchNorm: true})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "seven.onnx")
	if err := os.WriteFile(file, model, 0o644); err != nil {
		t.Fatal(err)
	}

	// With a learning rate of next to nothing, the weights stay what they were.
	r := mustRun(t, with("--name", "second", "--student", "b=convnet", "--student", "c=convnet", "--student", "d=convnet", "--lr", "1e-20", "--weight-decay", "0",
		"--init", "b="+first, "--init", "c="+file)...)
	for _, want := range []string{"b: ", "best.ckpt (checkpoint), matched by names (PyTorch)", "c: ", "seven.onnx (ONNX)",
		"missing, with their seeded values: linear.weight (the classifier, of 7 classes in the file and 10 in the network), linear.bias", "skipped: linear.weight"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("the output lacks %q:\n%s", want, r.stderr)
		}
	}
	second := filepath.Join(out, "second")
	got := states(t, second)
	if !reflect.DeepEqual(got[0].Weights["conv2.weight"], states(t, first)[0].Weights["conv2.weight"]) {
		t.Error("b has not started from the first run")
	}
	if !reflect.DeepEqual(got[1].Weights["conv2.weight"], weights["conv2.weight"]) {
		t.Error("c has not started from the ONNX file")
	}

	var report warmstart.Report
	text, err := os.ReadFile(filepath.Join(second, "c", "init.json"))
	if err != nil || json.Unmarshal(text, &report) != nil || report.File != file || len(report.Missing) != 2 || report.SHA256 == "" || len(report.Loaded) == 0 {
		t.Errorf("init.json: %s, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(second, "d", "init.json")); err == nil {
		t.Error("a student that starts from its seed has an init.json")
	}
	cfg, err := run.ReadConfig(filepath.Join(second, "config.yaml"))
	if err != nil || cfg.Students[1].Init != file || cfg.Students[1].InitSHA256 != report.SHA256 || cfg.Students[2].Init != "" {
		t.Errorf("config.yaml: %+v, %v", cfg.Students, err)
	}

	// Resuming needs no file; the run knows which it was.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "train", "--resume", second, "--quiet")
	config := filepath.Join(second, "config.yaml")
	yaml, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(yaml), report.SHA256, strings.Repeat("0", 64), 1)
	if err := os.WriteFile(config, []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	if r := dml(t, "train", "--resume", second); r.code != exitFailure || !strings.Contains(r.stderr, "students[1].init_sha256") {
		t.Errorf("another file's run was resumed: %d, %s", r.code, r.stderr)
	}

	r = mustRun(t, with("--name", "third", "--student", "a=convnet", "--init", "a="+filepath.Join(first, "a"), "--init-table")...)
	for _, want := range []string{"PARAMETER OR TENSOR", "conv1.weight", "bn3.running_var"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("the table lacks %q:\n%s", want, r.stderr)
		}
	}
}

func TestWarmStartFaults(t *testing.T) {
	data, out := mnistFolder(t, 60, 12), t.TempDir()
	text := filepath.Join(t.TempDir(), "text.onnx")
	if err := os.WriteFile(text, []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	wide, err := models.Build("convnet", models.Shape{C: 3, H: 12, W: 12}, 3)
	if err != nil {
		t.Fatal(err)
	}
	weights, err := wide.Init(1)
	if err != nil {
		t.Fatal(err)
	}
	model, err := export.Marshal(wide, weights, export.Options{})
	if err != nil {
		t.Fatal(err)
	}
	colour := filepath.Join(t.TempDir(), "colour.onnx")
	if err := os.WriteFile(colour, model, 0o644); err != nil {
		t.Fatal(err)
	}
	pinned := filepath.Join(t.TempDir(), "pinned.yaml")
	if err := os.WriteFile(pinned, []byte("data: {path: "+data+"}\nmode: independent\nbackend: ref\nstudents:\n- {name: a, arch: convnet, init: "+
		colour+", init_sha256: \""+strings.Repeat("0", 64)+"\"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	student := []string{"train", "--data", data, "--mode", "independent", "--student", "convnet", "--batch", "16", "--backend", "ref", "--out", out}
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{append(slices.Clone(student), "--init", "file.onnx"), exitUsage, `"file.onnx" is not of the form STUDENT=FILE`},
		{append(slices.Clone(student), "--init", "convnet=x.onnx"), exitUsage, `there is no student "convnet"; the students are convnet-1`},
		{append(slices.Clone(student), "--init", "convnet-1=a", "--init", "convnet-1=b"), exitUsage, `student "convnet-1" has two files`},
		{append(slices.Clone(student), "--init", "convnet-1=none.onnx"), exitFailure, `the initial weights of student "convnet-1"`},
		{append(slices.Clone(student), "--init", "convnet-1="+text), exitFailure, "not an ONNX model"},
		{append(slices.Clone(student), "--init", "convnet-1="+colour), exitFailure, `"conv1.weight" is [16 3 3 3] in the file, "conv1.weight" is [16 1 3 3] in the network`},
		{[]string{"train", "--config", pinned, "--out", out}, exitFailure, "init_sha256 is 0000"},
	} {
		if r := dml(t, test.args...); r.code != test.code || !strings.Contains(r.stderr, test.want) {
			t.Errorf("%q: exit code %d, %s", test.args, r.code, r.stderr)
		}
	}
	if entries, err := os.ReadDir(out); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
