package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/models"
	runs "github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/run/warmstart"
)

// TestWarmStart starts students from a checkpoint and from an ONNX file for
// other classes: with a learning rate of next to nothing, the weights stay what
// they were.
func TestWarmStart(t *testing.T) {
	out := t.TempDir()
	first, file := set(t, "trial", "runs", "trial"), filepath.Join(t.TempDir(), "seven.onnx")
	net := must(models.Build("convnet", models.Shape{C: 1, H: 12, W: 12}, 7))
	weights := must(net.Init(5))
	writeFile(t, file, must(export.Marshal(net, weights, export.Options{KeepBatchNorm: true})))
	r := mustRun(t, "train", "--data", digits(t), "--mode", "independent", "--epochs", "1", "--batch", "16", "--backend", "ref", "--quiet", "--out", out, "--name", "second",
		"--student", "b=convnet", "--student", "c=convnet", "--student", "d=convnet", "--lr", "1e-20", "--weight-decay", "0",
		"--init", "b="+filepath.Join(first, "second", "last.ckpt"), "--init", "c="+file)
	for _, want := range []string{"b: ", "last.ckpt (checkpoint), matched by names (PyTorch)", "c: ", "seven.onnx (ONNX)",
		"missing, with their seeded values: linear.weight (the classifier, of 7 classes in the file and 10 in the network), linear.bias", "skipped: linear.weight"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("the output lacks %q:\n%s", want, r.stderr)
		}
	}
	second := filepath.Join(out, "second")
	got := must(must(runs.Open(second)).States(runs.Last))
	taught := must(must(runs.Open(first)).States(runs.Last))
	if !reflect.DeepEqual(got[0].Weights["conv2.weight"], taught[1].Weights["conv2.weight"]) {
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
	config := filepath.Join(second, "config.yaml")
	yaml := string(must(os.ReadFile(config)))
	if !strings.Contains(yaml, "init: "+file) || strings.Count(yaml, "init_sha256: ") != 2 || !strings.Contains(yaml, report.SHA256) {
		t.Errorf("config.yaml: %s", yaml)
	}

	// Resuming needs no file; the run knows which it was.
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	mustRun(t, "train", "--resume", second, "--quiet")
	writeFile(t, config, []byte(strings.Replace(yaml, report.SHA256, strings.Repeat("0", 64), 1)))
	refused(t, dml(t, "train", "--resume", second), "students[1].init_sha256")
}
