package app

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/export/inspect"
	"github.com/deepmutual/dml/run"
)

// TestExportVariants exports one run in every way, and inspects the files.
func TestExportVariants(t *testing.T) {
	needRuntime(t)
	data, out := mnistFolder(t, 120, 30), t.TempDir()
	mustRun(t, small(data, out, "--quiet")...)
	runDir := filepath.Join(out, "trial")
	const compared = "accuracy on 12 validation images"
	for name, tc := range map[string]struct {
		args   []string
		said   []string
		file   string // looked into
		input  string
		output []string
	}{
		"plain": {nil, []string{"convnet-1: accuracy", "second: " + compared}, "onnx/second.onnx",
			"input float [batch 1 12 12]", []string{"logits", "probabilities", "embedding"}},
		"some outputs": {[]string{"--outputs", "embedding, logits"}, []string{compared}, "onnx/second.onnx",
			"input float [batch 1 12 12]", []string{"logits", "embedding"}},
		"all of it": {[]string{"--uint8-input", "--half", "--batch", "5", "--images", "3"},
			[]string{"accuracy on 3 validation images", "bytes with float16 weights", "with float32"}, "onnx/second.onnx",
			"input uint8 [5 12 12 1]", []string{"logits", "probabilities", "embedding"}},
		"cohort": {[]string{"--cohort"}, []string{"cohort, convnet-1: " + compared, "cohort, second: " + compared, "cohort, ensemble: " + compared}, "cohort.onnx",
			"input float [batch 1 12 12]", []string{"probabilities", "embedding", "convnet-1/probabilities", "second/probabilities"}},
		"cohort of pixels": {[]string{"--cohort", "--uint8-input", "--half", "--outputs", "logits"}, []string{"cohort, second: " + compared}, "cohort.onnx",
			"input uint8 [batch 12 12 1]", []string{"convnet-1/logits", "second/logits"}},
	} {
		to := t.TempDir()
		r := mustRun(t, append([]string{"export", runDir, "--backend", "ref", "--json", "--out", to}, tc.args...)...)
		t.Logf("%s:\n%s", name, r.stderr)
		for _, want := range tc.said {
			if !strings.Contains(r.stderr, want) {
				t.Errorf("%s: said %q, lacks %q", name, r.stderr, want)
			}
		}
		var reports []run.ExportReport
		if err := json.Unmarshal([]byte(r.stdout), &reports); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, filepath.Base(tc.file))
		last := reports[len(reports)-1]
		if last.Path != path || last.Bytes == 0 || last.Samples == 0 || last.Accuracy == nil {
			t.Errorf("%s: %+v", name, last)
		}
		for _, row := range last.Accuracy.Rows {
			if row.File < 0.5 || row.File-row.Trained > 0.1 || row.Trained-row.File > 0.1 {
				t.Errorf("%s: on trivial data %+v", name, row)
			}
		}
		var report inspect.Report
		if err := json.Unmarshal([]byte(mustRun(t, "export", "--check", path, "--json").stdout), &report); err != nil {
			t.Fatal(err)
		}
		in := report.Inputs[0]
		var outputs []string
		for _, o := range report.Outputs {
			outputs = append(outputs, o.Name)
		}
		if got := in.Name + " " + in.Type + " [" + strings.Join(in.Shape, " ") + "]"; got != tc.input || !slices.Equal(outputs, tc.output) || len(report.Faults) > 0 {
			t.Errorf("%s: %s, %q, %+v", name, got, outputs, report)
		}
		// infer gives no output that is one student's of a cohort's file.
		if want := slices.ContainsFunc(tc.output, func(o string) bool { return !strings.Contains(o, "/") }); report.Infer.Runs != want {
			t.Errorf("%s: that infer runs it is %v, want %v", name, report.Infer.Runs, want)
		}
	}

	// Without --out the cohort's file stays out of the folder of the students'.
	if got := mustRun(t, "export", runDir, "--cohort", "--images", "0").stdout; got != filepath.Join(runDir, "cohort.onnx")+"\n" {
		t.Errorf("the cohort's file is %q", got)
	}
	text := mustRun(t, "export", "--check", filepath.Join(runDir, "cohort.onnx")).stdout
	for _, want := range []string{"cohort.onnx, ", "operator set", "input, float [batch, 1, 12, 12]", "second/probabilities, float [batch, 10]",
		"1 ReduceL2", `dml.students = ["convnet-1","second"]`, "normalises", "can run it", "onnx-go does not compute ReduceL2"} {
		if !strings.Contains(text, want) {
			t.Errorf("--check lacks %q:\n%s", want, text)
		}
	}

	// The data is gone: it is said, and an error only for who asks for images.
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	r := mustRun(t, "export", runDir, "--student", "second")
	if !strings.Contains(r.stderr, "accuracies are not compared") || !strings.Contains(r.stderr, data) {
		t.Errorf("without data: %q", r.stderr)
	}
	refused(t, dml(t, "export", runDir, "--images", "5"), "cannot be compared", data)
}

func TestExportFlags(t *testing.T) {
	file := filepath.Join(t.TempDir(), "text.onnx")
	writeFile(t, file, []byte("no protobuf"))
	refused(t, dml(t, "export", "--check", file), file, "not an ONNX model")
	for _, tc := range []struct{ line, want string }{
		{"export run --outputs logits,features", `"features" is unknown`},
		{"export run --outputs logits,logits", "twice"},
		{"export run --batch 0", "not between 1"},
		{"export run --images -1", "negative"},
		{"export run --cohort --student a", "leave --student out"},
		{"export --check a.onnx run", "no run"},
		{"export --check a.onnx --half", "leave --half out"},
	} {
		r := dml(t, strings.Fields(tc.line)...)
		if r.code != exitUsage || !strings.Contains(r.stderr, tc.want) {
			t.Errorf("dml %s: exit code %d, %q", tc.line, r.code, r.stderr)
		}
	}
}
