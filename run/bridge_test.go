package run

import (
	"bytes"
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/export/verify"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// state is a student with its initial weights.
func state(t *testing.T, name string, seed uint64) train.State {
	t.Helper()
	if _, err := ortlib.Find(""); err != nil {
		t.Skipf("skipped: %v", err)
	}
	net, err := models.Build("convnet", models.Shape{C: 1, H: 12, W: 12}, 3)
	if err != nil {
		t.Fatal(err)
	}
	weights, err := net.Init(seed)
	if err != nil {
		t.Fatal(err)
	}
	return train.State{Name: name, Mode: train.ModeDML, Network: net, Weights: weights, Dataset: "random",
		Classes: []string{"class0", "class1", "class2"}, Norm: dataset.Norm{Mean: []float32{.5}, Std: []float32{.25}}}
}

func ramp(n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(i%17)/8 - 1
	}
	return v
}

func TestExportLeavesNoUnverifiedFile(t *testing.T) {
	st := state(t, "one", 1)
	path := filepath.Join(t.TempDir(), "sub", "one.onnx")
	bad := ramp(2 * 144)
	bad[150] = float32(math.NaN())
	if _, err := ExportStudent(t.Context(), path, st, FileOptions{Inputs: bad, Samples: 2}); !errors.Is(err, verify.ErrMismatch) {
		t.Errorf("logits that are not finite passed: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was left: %v", err)
	}
	good := FileOptions{Inputs: ramp(2 * 144), Samples: 2}
	if report, err := ExportStudent(t.Context(), path, st, good); err != nil || report.Deviation > verify.DefaultTolerance || report.Accuracy != nil {
		t.Fatalf("%+v, %v", report, err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ExportStudent(t.Context(), path, st, FileOptions{Inputs: bad, Samples: 2}); err == nil {
		t.Error("logits that are not finite passed")
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the earlier file was changed (%v)", err)
	}
}

// TestEvaluateFiles compares with the training code, on data whose size is no
// multiple of the batch.
func TestEvaluateFiles(t *testing.T) {
	states := []train.State{state(t, "one", 1), state(t, "two", 2)}
	var paths []string
	for _, st := range states {
		path := filepath.Join(t.TempDir(), st.Name+".onnx")
		if _, err := ExportStudent(t.Context(), path, st, FileOptions{Inputs: ramp(144), Samples: 1}); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	cohort, err := infer.Open(infer.Options{}, paths...)
	if err != nil {
		t.Fatal(err)
	}
	defer cohort.Close()
	ds := datatest.Random(t, 23, 3, dataset.Shape{Channels: 1, Height: 12, Width: 12}, 7)
	got, err := evaluateFiles(t.Context(), cohort, []string{"one", "two"}, ds, 8)
	if err != nil {
		t.Fatal(err)
	}
	want, err := train.Evaluate(t.Context(), states, ds, train.EvaluateOptions{Batch: 8})
	if err != nil {
		t.Fatal(err)
	}
	near := func(name string, a, b train.Scores) {
		if math.Abs(a.Accuracy-b.Accuracy) > 1e-9 || math.Abs(a.NLL-b.NLL) > 1e-5 || math.Abs(a.Entropy-b.Entropy) > 1e-5 {
			t.Errorf("%s: %+v in ONNX Runtime, %+v in training", name, a, b)
		}
	}
	for i := range want.Students {
		near(got.Students[i].Name, got.Students[i].Scores, want.Students[i].Scores)
	}
	near("ensemble", got.Ensemble, want.Ensemble)
}
