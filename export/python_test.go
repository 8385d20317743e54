package export

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/models"
)

// TestPythonChecker runs ONNX's own checker, with full shape inference, on
// every architecture and every variant of a file, and a cohort's file on ONNX's
// reference runtime. DML_PYTHON names the interpreter; python3 is the default.
func TestPythonChecker(t *testing.T) {
	python := os.Getenv("DML_PYTHON")
	if python == "" {
		python = "python3"
	}
	if out, err := exec.Command(python, "-c", "import onnx; print(onnx.__version__)").CombinedOutput(); err != nil {
		t.Skipf("skipped: %s has no onnx package (set DML_PYTHON to one that has): %v: %.100s", python, err, bytes.TrimSpace(out))
	} else {
		t.Logf("onnx %s", bytes.TrimSpace(out))
	}
	nets := []*models.Network{everyKind(t), build(t, "resnet8", models.Shape{C: 3, H: 33, W: 17}, 4)}
	for _, a := range models.Catalog() {
		if a.Name == "wrn-28-10" {
			a.Name = "wrn-10-2" // the same with fewer weights
		}
		nets = append(nets, build(t, a.Name, a.Input, 10))
	}
	dir, files := t.TempDir(), []string{}
	write := func(name string, model []byte) {
		path := filepath.Join(dir, name+".onnx")
		if err := WriteFile(path, model); err != nil {
			t.Fatal(err)
		}
		files = append(files, path)
	}
	for i, net := range nets {
		w := randomWeights(t, net, 1)
		write(fmt.Sprintf("%d", i), marshal(t, net, w, Options{}))
		write(fmt.Sprintf("%d-kept", i), marshal(t, net, w, Options{KeepBatchNorm: true}))
	}
	for name, opts := range variants() {
		for _, arch := range []string{"resnet8", "mobilenet0.25", "mobilenet0.25-tf", "inception0.25", "wrn-10-2"} {
			net := build(t, arch, models.Shape{C: 3, H: 32, W: 32}, 10)
			write(arch+"-"+name, marshal(t, net, randomWeights(t, net, 1), opts))
		}
		write("cohort-of-"+name, marshalCohort(t, cohortOf(t, "resnet8", "mobilenet0.25", "inception0.25"), opts))
	}
	write("cohort", marshalCohort(t, cohortOf(t, "resnet8", "convnet"), Options{Outputs: Outputs(), Uint8Input: true}))
	const script = `
import sys, numpy, onnx, onnx.reference
for path in sys.argv[1:]:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    known = {v.name for v in list(inferred.graph.value_info) + list(inferred.graph.output)}
    for node in inferred.graph.node:
        for out in node.output:
            assert out in known, (path, out)
images = numpy.arange(2 * 32 * 32 * 3, dtype=numpy.int64).reshape(2, 32, 32, 3) * 37 % 256
session = onnx.reference.ReferenceEvaluator(sys.argv[-1]) # the cohort
out = dict(zip([o.name for o in session.proto_.graph.output], session.run(None, {"input": images.astype(numpy.uint8)})))
each = [v for k, v in out.items() if k.endswith("/probabilities")]
assert len(each) == 2 and len(out) == 6, list(out)
numpy.testing.assert_allclose(out["probabilities"], sum(each) / 2, rtol=1e-5)
numpy.testing.assert_allclose((out["embedding"] ** 2).sum(axis=1), 1, rtol=1e-5)
print(len(sys.argv) - 1, "files")
`
	out, err := exec.Command(python, append([]string{"-c", script}, files...)...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), fmt.Sprintf("%d files", len(files))) {
		t.Errorf("%v\n%s", err, out)
	}
}
