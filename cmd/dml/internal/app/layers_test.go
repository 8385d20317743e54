package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/training"
	"github.com/deepmutual/dml/models"
)

// ownArchitecture leaves input and classes to the data.
const ownArchitecture = `{"layers": [
 {"name": "conv", "kind": "conv", "conv": {"out": 16, "kernel": [3, 3], "stride": [2, 2], "padding": "same_upper"}},
 {"name": "bn", "kind": "batch_norm"},
 {"name": "relu", "kind": "activation"},
 {"name": "mean", "kind": "global_avg_pool"},
 {"name": "linear", "kind": "dense", "dense": {"bias": true}}
]}`

func TestModelsOfOneArchitecture(t *testing.T) {
	file := filepath.Join(t.TempDir(), "own.json")
	writeFile(t, file, []byte(ownArchitecture))
	out := mustRun(t, "models", file, "--input", "3x160x64", "--classes", "751").stdout
	var rows []string
	for line := range strings.Lines(out) {
		rows = append(rows, strings.Join(strings.Fields(line), " "))
	}
	want := []string{"LAYER KIND READS OUTPUT PARAMETERS",
		"conv conv input 16x80x32 432", "bn batch_norm conv 16x80x32 32", "relu activation bn 16x80x32",
		"mean global_avg_pool relu 16", "linear dense mean 751 12,767", "",
		"own for images 3x160x64 and 751 classes: 13,231 parameters, 1,117,936 multiply-adds, 16 features"}
	if strings.Join(rows, "\n") != strings.Join(want, "\n") {
		t.Errorf("models %s printed\n%s", file, out)
	}
	var info training.NetworkInfo
	if err := json.Unmarshal([]byte(mustRun(t, "models", "wrn-16-4", "--json").stdout), &info); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, l := range info.Layers {
		sum += l.Parameters
	}
	if info.Name != "wrn-16-4" || info.Input != (models.Shape{C: 3, H: 32, W: 32}) || info.Classes != 10 ||
		info.Embedding != models.Vector(256) || info.Parameters == 0 || sum != info.Parameters {
		t.Errorf("wrn-16-4: %+v", info)
	}

	broken := filepath.Join(t.TempDir(), "broken.json")
	writeFile(t, broken, []byte(strings.Replace(ownArchitecture, "same_upper", "same", 1)))
	for _, tc := range []struct {
		code int
		want string
		args []string
	}{
		{exitFailure, `layer "conv" (conv): padding "same" is unknown`, []string{broken}},
		{exitFailure, "no such file", []string{file + ".json"}},
		{exitFailure, "wrn-28-10", []string{"wrn-28-x"}},
		{exitUsage, `"second"`, []string{"resnet8", "second"}},
		{exitUsage, "--input needs", []string{"--input", "3x32x32"}},
		{exitUsage, "CxHxW", []string{file, "--input", "32x32"}},
		{exitUsage, "CxHxW", []string{file, "--input", "3x32x32x"}},
		{exitUsage, "CxHxW", []string{file, "--input", "3x-32x32"}},
	} {
		r := dml(t, append([]string{"models"}, tc.args...)...)
		if r.code != tc.code || !strings.Contains(r.stderr, tc.want) || r.stdout != "" {
			t.Errorf("models %v: exit code %d, want %d; %q lacks %q", tc.args, r.code, tc.code, r.stderr, tc.want)
		}
	}
}

// TestTrainOwnArchitecture: a path is an architecture, and a run goes on and is
// evaluated from other folders, evaluated even without the file.
func TestTrainOwnArchitecture(t *testing.T) {
	needRuntime(t)
	data, dir := mnistFolder(t, 60, 12), t.TempDir()
	t.Chdir(dir)
	writeFile(t, "own.json", []byte(ownArchitecture))
	args := func(arch string, more ...string) []string {
		return append([]string{"train", "--data", data, "--student", arch, "--student", "convnet", "--batch", "16",
			"--lr", "0.05", "--backend", "ref", "--out", dir, "--quiet"}, more...)
	}
	mustRun(t, args("own.json", "--epochs", "1")...)
	run := filepath.Join(dir, "dml-own-convnet")
	exists(t, filepath.Join(run, "own-1", "best.ckpt"))
	t.Chdir(t.TempDir())
	config := filepath.Join(run, "config.yaml")
	lengthen := func(from, to string) {
		writeFile(t, config, []byte(strings.Replace(string(must(os.ReadFile(config))), "epochs: "+from, "epochs: "+to, 1)))
	}
	lengthen("1", "2")
	mustRun(t, "train", "--resume", run, "--quiet")
	lengthen("2", "3")

	writeFile(t, filepath.Join(dir, "own.json"), []byte(strings.Replace(ownArchitecture, "16", "8", 1)))
	if r := dml(t, "train", "--resume", run, "--quiet"); r.code != exitFailure || !strings.Contains(r.stderr, "own") {
		t.Errorf("resumed with another file: exit code %d\n%s", r.code, r.stderr)
	}
	if err := os.Remove(filepath.Join(dir, "own.json")); err != nil {
		t.Fatal(err)
	}
	if r := dml(t, "train", "--resume", run, "--quiet"); r.code != exitFailure || !strings.Contains(r.stderr, "own.json: no such file") {
		t.Errorf("resumed without the file: exit code %d\n%s", r.code, r.stderr)
	}
	mustRun(t, "export", run, "--backend", "ref")
	exists(t, filepath.Join(run, "onnx", "own-1.onnx"))
	mustRun(t, "eval", run)

	// A missing or broken file is told before anything is written.
	writeFile(t, filepath.Join(dir, "broken.json"), []byte(strings.Replace(ownArchitecture, "same_upper", "same", 1)))
	for arch, want := range map[string]string{"own.json": "own.json: no such file", filepath.Join(dir, "broken.json"): `layer "conv" (conv): padding`} {
		if r := dml(t, args(arch, "--epochs", "1", "--name", "never")...); r.code != exitFailure || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: exit code %d\n%s", arch, r.code, r.stderr)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "never")); !os.IsNotExist(err) {
		t.Errorf("a run's folder was made: %v", err)
	}
}
