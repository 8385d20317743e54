package app

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/setup"
	"github.com/deepmutual/dml/cmd/dml/internal/training"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

func TestModels(t *testing.T) {
	for classes, want := range map[string]string{"10": "464,154", "100": "470,004"} {
		out := mustRun(t, "models", "--classes", classes).stdout
		for line := range strings.Lines(out) {
			if strings.HasPrefix(line, "resnet32 ") && !(strings.Contains(line, want) && strings.Contains(line, "3x32x32")) {
				t.Errorf("%s classes: %q lacks %s", classes, line, want)
			}
		}
		if !strings.Contains(out, "resnet32 ") || !strings.Contains(out, "convnet ") {
			t.Errorf("models printed %q", out)
		}
	}
	var infos []training.ModelInfo
	if err := json.Unmarshal([]byte(mustRun(t, "models", "--json").stdout), &infos); err != nil {
		t.Fatal(err)
	}
	if len(infos) < 6 || infos[0].Parameters == 0 || infos[0].MultiplyAdds == 0 {
		t.Errorf("models --json: %+v", infos)
	}
}

// The table's memory is that of the JSON, which is train.PlanMemory's; that the
// plan is what training allocates is train's test.
func TestModelsMemory(t *testing.T) {
	plan := func(batch string) map[string]training.ModelInfo {
		t.Helper()
		var infos []training.ModelInfo
		if err := json.Unmarshal([]byte(mustRun(t, "models", "--batch", batch, "--backend", "ref", "--json").stdout), &infos); err != nil {
			t.Fatal(err)
		}
		byName := make(map[string]training.ModelInfo)
		for _, i := range infos {
			byName[i.Name] = i
		}
		return byName
	}
	small, large := plan("32"), plan("64")
	for name, i := range large {
		s := small[name].Memory
		m := i.Memory
		if m == nil || s == nil || m.Batch != 64 || m.Backend != "ref" {
			t.Fatalf("%s: no plan for 64 by ref: %+v", name, m)
		}
		if m.Total != m.Memory.Total() || m.Weights < 4*int64(i.Parameters) || m.Optimizer != 4*int64(i.Parameters) {
			t.Errorf("%s: %+v does not fit %d parameters", name, m, i.Parameters)
		}
		if m.Weights != s.Weights || m.Gradients != s.Gradients || m.Activations <= s.Activations || m.Evaluation <= s.Evaluation {
			t.Errorf("%s: %+v for a batch of 64, %+v for 32", name, m, s)
		}
	}
	resnet := large["resnet32"].Memory
	for line := range strings.Lines(mustRun(t, "models", "--batch", "64", "--backend", "ref").stdout) {
		if strings.HasPrefix(line, "resnet32 ") && !strings.Contains(line, " "+training.Mebibytes(resnet.Total)+" ") {
			t.Errorf("%q lacks %s MiB", line, training.Mebibytes(resnet.Total))
		}
	}
	if out := mustRun(t, "models").stdout; strings.Contains(out, "MEMORY") {
		t.Errorf("models plans memory unasked: %q", out)
	}
}

func TestHelp(t *testing.T) {
	if out := mustRun(t).stdout; !strings.Contains(out, "dml doctor") {
		t.Errorf("dml alone printed %q", out)
	}
	for _, verb := range []string{"train", "export", "infer", "eval", "models", "doctor", "demo", "runtime install", "reid extract", "reid eval",
		"reid synth", "reid rank", "reid same", "reid calibrate", "reid gallery", "reid gallery create", "reid gallery add", "reid gallery search", "reid gallery rm", "reid gallery info"} {
		r := mustRun(t, append(strings.Fields(verb), "--help")...)
		if !strings.Contains(r.stdout, "dml "+verb) || r.stderr != "" {
			t.Errorf("help of %s: %+v", verb, r)
		}
		if strings.Contains(r.stdout, "`") || strings.Contains(r.stdout, "(default: false)") {
			t.Errorf("help of %s has marks that are for the library: %s", verb, r.stdout)
		}
	}
	if out := mustRun(t, "--version").stdout; !strings.HasPrefix(out, "dml version ") {
		t.Errorf("--version printed %q", out)
	}
}

// TestUsageHint wants the help of the command that was meant.
func TestUsageHint(t *testing.T) {
	for line, want := range map[string]string{
		"frobnicate":                    "Run 'dml --help', or 'dml COMMAND --help', to see how it is used.",
		"--frobnicate":                  "dml: unknown flag --frobnicate\nRun 'dml --help', or",
		"infer cat.jpg":                 "dml: infer needs ONNX files, then images or folders of images\nRun 'dml infer --help' to",
		"train --frobnicate":            "dml: unknown flag --frobnicate\nRun 'dml train --help' to",
		"train --data x --epochs twice": "--epochs: \"twice\" is not a whole number\nRun 'dml train --help' to",
		"reid frobnicate":               "Run 'dml reid --help' to",
		"reid gallery --frobnicate add": "Run 'dml reid gallery add --help' to",
		"reid gallery rm --json train":  "Run 'dml reid gallery rm --help' to",
	} {
		if r := dml(t, strings.Fields(line)...); r.code != exitUsage || !strings.Contains(r.stderr, want) {
			t.Errorf("%s: %d, %q, want %q", line, r.code, r.stderr, want)
		}
	}
}

func TestDoctor(t *testing.T) {
	needRuntime(t)
	t.Setenv("DML_ONEDNN_LIBRARY", t.TempDir()+"/nowhere.so")
	var d setup.Diagnosis
	if err := json.Unmarshal([]byte(mustRun(t, "doctor", "--json").stdout), &d); err != nil {
		t.Fatal(err)
	}
	if root, err := ortlib.CacheRoot(); err != nil || d.Cache != root {
		t.Errorf("the cache folder is %q, not %q (%v)", d.Cache, root, err)
	}
	if !d.OK || d.OneDNN.Found || d.OneDNN.Fix != "unset DML_ONEDNN_LIBRARY" || !d.ONNXRuntime.Found || d.ONNXRuntime.Version == "" || d.Cores < 1 {
		t.Errorf("%+v", d)
	}
	text := mustRun(t, "doctor").stdout
	for _, want := range []string{"nowhere.so", "type:  unset DML_ONEDNN_LIBRARY", d.ONNXRuntime.Library} {
		if !strings.Contains(text, want) {
			t.Errorf("doctor does not say %q:\n%s", want, text)
		}
	}
}

func TestRuntimeInstallHonoursEnvironment(t *testing.T) {
	lib, err := ortlib.Find("")
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	t.Setenv(ortlib.EnvLibrary, lib.Path)
	t.Setenv("PATH", "") // nothing can be fetched
	if out := mustRun(t, "runtime", "install").stdout; !strings.Contains(out, lib.Path) {
		t.Errorf("printed %q", out)
	}
	t.Setenv(ortlib.EnvLibrary, lib.Path+".gone")
	refused(t, dml(t, "runtime", "install"), lib.Path+".gone")
	t.Setenv(ortlib.EnvLibrary, "")
	refused(t, dml(t, "runtime", "install", "--sha256", "12"), "64")
}

func TestDemo(t *testing.T) {
	needRuntime(t)
	out := t.TempDir()
	r := mustRun(t, "demo", "--out", out, "--epochs", "1", "--reid-epochs", "1", "--limit", "120", "--backend", "ref")
	for _, want := range []string{"student-1", "student-2", "24,058", "ensemble", "1,000 test images", out, "80 queries", "of 60 others", "pixels", "78,540", "mAP"} {
		if !strings.Contains(r.stdout, want) {
			t.Errorf("the demonstration does not print %q:\n%s", want, r.stdout)
		}
	}
	for _, mode := range []string{"independent", "dml"} {
		exists(t, out+"/"+mode+"-student-1.onnx", out+"/"+mode+"-student-2.onnx")
	}
	_, try, found := strings.Cut(r.stdout, "Try the ensemble on it:  dml ")
	try, _, _ = strings.Cut(try, "\n")
	if answer := mustRun(t, strings.Fields(try)...).stdout; !found || !strings.Contains(answer, "sample.png") {
		t.Errorf("the command that is printed, %q, answers %q", try, answer)
	}
	exists(t, out+"/persons-student-1.onnx", out+"/persons-student-2.onnx", out+"/walkers/query", out+"/ranking.html")
	_, evaluate, found := strings.Cut(r.stdout, "Evaluate again, in full:  dml ")
	if answer := mustRun(t, strings.Fields(evaluate)...).stdout; !found || !strings.Contains(answer, "80 of 80 queries valid") {
		t.Errorf("the command that is printed, %q, answers %q", evaluate, answer)
	}
}

func TestFlagsFirst(t *testing.T) {
	commands := []*cli.Command{
		{Name: "verb", Flags: []cli.Flag{&cli.StringFlag{Name: "name", Aliases: []string{"n"}}, &cli.BoolFlag{Name: "yes"}}},
		{Name: "outer", Subcommands: []*cli.Command{{Name: "inner", Flags: []cli.Flag{&cli.IntFlag{Name: "k"}}}}},
	}
	for _, tc := range []struct{ in, want string }{
		{"verb a b", "verb -- a b"},
		{"verb a --name x b", "verb --name x -- a b"},
		{"verb a -n x --yes b", "verb -n x --yes -- a b"},
		{"verb a --name=x b", "verb --name=x -- a b"},
		{"verb a -- --yes", "verb -- a --yes"},
		{"verb - a", "verb -- - a"},
		{"verb a --help", "verb --help"},
		{"outer inner a -h", "outer inner -h"},
		{"--help verb", "--help verb --"},
		{"outer inner a --k 3", "outer inner --k 3 -- a"},
		{"stranger a --yes", "stranger a --yes"},
		{"--version", "--version"},
	} {
		got, err := flagsFirst(commands, strings.Fields(tc.in))
		if err != nil || !reflect.DeepEqual(got, strings.Fields(tc.want)) {
			t.Errorf("%s: %q, %v", tc.in, got, err)
		}
	}
	if _, err := flagsFirst(commands, []string{"verb", "a", "--name"}); err == nil {
		t.Error("a flag without its value passed")
	}
}

// TestAdviceCanBeCopied: command lines are printed with the program as it was
// called, and with quotes where a shell needs them.
func TestAdviceCanBeCopied(t *testing.T) {
	c := &console.Console{Program: "bin/dml"}
	for want, args := range map[string][]string{
		"bin/dml export runs/a-b_1":         {"export", "runs/a-b_1"},
		"bin/dml export 'my runs/it'\\''s'": {"export", "my runs/it's"},
		"bin/dml infer '' 'a*' Zürich":      {"infer", "", "a*", "Zürich"},
	} {
		if got := c.Command(args...); got != want {
			t.Errorf("%q: %s, want %s", args, got, want)
		}
	}
	var stdout, stderr bytes.Buffer
	if code := Run(t.Context(), []string{"./here/dml", "nonesuch"}, &stdout, &stderr); code != exitUsage || !strings.Contains(stderr.String(), "'./here/dml --help'") {
		t.Errorf("exit code %d, %s", code, stderr.String())
	}
}

// TestOneClassIsRemarked trains on classes that look the same.
func TestOneClassIsRemarked(t *testing.T) {
	data, out := t.TempDir(), t.TempDir()
	for _, name := range []string{"left", "right"} {
		for i := range 20 {
			writePNG(t, filepath.Join(data, name, strconv.Itoa(i)+".png"), 0)
		}
	}
	r := mustRun(t, small(data, out, "--epochs", "1", "--quiet")...)
	for _, want := range []string{"convnet-1 takes every validation image for the same class", "second takes", "--lr"} {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("no remark %q in %q", want, r.stderr)
		}
	}
}

// TestEvalBatchBeyondTheData: memory follows the images there are, not the
// batch asked for.
func TestEvalBatchBeyondTheData(t *testing.T) {
	out := t.TempDir()
	mustRun(t, small(mnistFolder(t, 60, 12), out, "--epochs", "1", "--quiet")...)
	run := filepath.Join(out, "trial")
	allocated := func(batch string) (uint64, string) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r := mustRun(t, "eval", run, "--batch", batch)
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc, r.stdout
	}
	fitting, want := allocated("12")
	if beyond, got := allocated("65536"); got != want || beyond > 2*fitting {
		t.Errorf("a batch of 65536 for 12 images allocates %d bytes, one of 12 %d; it prints\n%s\nthe other\n%s", beyond, fitting, got, want)
	}
}
