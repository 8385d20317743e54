package run

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/verify"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

func TestExportFormats(t *testing.T) {
	states := []train.State{state(t, "one", 1), state(t, "two", 2)}
	validation := datatest.Random(t, 23, 3, dataset.Shape{Channels: 1, Height: 12, Width: 12}, 7)
	dir := t.TempDir()
	for name, tc := range map[string]struct {
		format export.Options
		rows   int // of the student's and the cohort's accuracy
		cohort int
	}{
		"plain":     {export.Options{}, 1, 3},
		"pixels":    {export.Options{Uint8Input: true, Batch: 4}, 1, 3},
		"half":      {export.Options{Half: true}, 1, 3},
		"logits":    {export.Options{Outputs: []string{export.Logits}}, 1, 2},
		"embedding": {export.Options{Outputs: []string{export.Embedding}}, 0, 0},
	} {
		opts := FileOptions{Inputs: ramp(3 * 144), Samples: 3, Format: tc.format, Validation: validation}
		check := func(path string, rows int, report ExportReport, err error) {
			t.Helper()
			info, statErr := os.Stat(path)
			if err != nil || statErr != nil || report.Path != path || report.Samples != 3 || report.Bytes != int(info.Size()) {
				t.Fatalf("%s: %+v, %v, %v", name, report, err, statErr)
			}
			if tc.format.Half != (report.Float32Bytes > report.Bytes) || !tc.format.Half && report.Deviation > verify.DefaultTolerance {
				t.Errorf("%s: %+v", name, report)
			}
			if (report.Accuracy == nil) != (rows == 0) || rows > 0 && (len(report.Accuracy.Rows) != rows || report.Accuracy.Images != 23) {
				t.Fatalf("%s: %+v", name, report.Accuracy)
			}
			if rows > 0 && !tc.format.Half {
				for _, row := range report.Accuracy.Rows {
					if row.File != row.Trained {
						t.Errorf("%s: %+v", name, row)
					}
				}
			}
		}
		path := filepath.Join(dir, name, "one.onnx")
		report, err := ExportStudent(t.Context(), path, states[0], opts)
		check(path, tc.rows, report, err)
		path = filepath.Join(dir, name, "cohort.onnx")
		report, err = ExportCohort(t.Context(), path, states, opts)
		check(path, tc.cohort, report, err)
	}
}

// TestCohortLeavesNoUnverifiedFile: one student of it is not what it should be.
func TestCohortLeavesNoUnverifiedFile(t *testing.T) {
	states := []train.State{state(t, "one", 1), state(t, "two", 2)}
	path := filepath.Join(t.TempDir(), "cohort.onnx")
	opts := FileOptions{Inputs: ramp(3 * 144), Samples: 3}
	bad := slices.Clone(opts.Inputs)
	bad[150] = float32(math.NaN())
	if _, err := ExportCohort(t.Context(), path, states, FileOptions{Inputs: bad, Samples: 3}); !errors.Is(err, verify.ErrMismatch) {
		t.Errorf("outputs that are not finite passed: %v", err)
	}
	if _, err := ExportCohort(t.Context(), path, nil, opts); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a cohort of none: %v", err)
	}
	states[1].Norm = dataset.Norm{Mean: []float32{.4}, Std: []float32{.25}}
	if _, err := ExportCohort(t.Context(), path, states, opts); err == nil || !strings.Contains(err.Error(), "another normalisation") {
		t.Errorf("students of two normalisations: %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was left: %v", err)
	}
}

// TestOneFeature: the reference of an embedding of a single value.
func TestOneFeature(t *testing.T) {
	st := state(t, "narrow", 1)
	b := models.NewBuilder("narrow", models.Shape{C: 1, H: 12, W: 12}, 3)
	x := b.GlobalAvgPool("pool", b.Conv("conv", b.Input(), models.Conv{Out: 1, Kernel: models.Square(3)}))
	net, err := b.Build(b.Dense("dense", x, models.Dense{Out: 3}), x)
	if err != nil {
		t.Fatal(err)
	}
	if st.Weights, err = net.Init(3); err != nil {
		t.Fatal(err)
	}
	st.Network = net
	path := filepath.Join(t.TempDir(), "narrow.onnx")
	report, err := ExportStudent(t.Context(), path, st, FileOptions{Inputs: ramp(3 * 144), Samples: 3, Format: export.Options{Outputs: []string{export.Embedding}}})
	if err != nil || report.Output != export.Embedding {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestEvaluateFormats: exported files of every kind score as the students do.
func TestEvaluateFormats(t *testing.T) {
	st := state(t, "one", 1)
	ds := datatest.Random(t, 23, 3, dataset.Shape{Channels: 1, Height: 12, Width: 12}, 7)
	want, err := train.Evaluate(t.Context(), []train.State{st}, ds, train.EvaluateOptions{Batch: 8})
	if err != nil {
		t.Fatal(err)
	}
	for name, format := range map[string]export.Options{
		"pixels": {Uint8Input: true},
		"logits": {Outputs: []string{export.Logits}, Batch: 5},
	} {
		path := filepath.Join(t.TempDir(), "one.onnx")
		if _, err := ExportStudent(t.Context(), path, st, FileOptions{Inputs: ramp(144), Samples: 1, Format: format}); err != nil {
			t.Fatal(err)
		}
		got, err := scoresOf(t, ds, path)
		if err != nil || math.Abs(got.Ensemble.NLL-want.Ensemble.NLL) > 1e-5 || got.Students[0].Accuracy != want.Students[0].Accuracy {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
	path := filepath.Join(t.TempDir(), "embedding.onnx")
	if _, err := ExportStudent(t.Context(), path, st, FileOptions{Inputs: ramp(144), Samples: 1, Format: export.Options{Outputs: []string{export.Embedding}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := scoresOf(t, ds, path); err == nil || !strings.Contains(err.Error(), "no class scores") {
		t.Errorf("a file of embeddings: %v", err)
	}
	var both []string
	for _, name := range []string{"one", "two"} {
		path := filepath.Join(t.TempDir(), name+".onnx")
		if _, err := ExportStudent(t.Context(), path, st, FileOptions{Inputs: ramp(144), Samples: 1, Format: export.Options{Uint8Input: true}}); err != nil {
			t.Fatal(err)
		}
		both = append(both, path)
	}
	// The same student twice: its scores, and theirs together, are its own.
	got, err := scoresOf(t, ds, both...)
	if err != nil || len(got.Students) != 2 {
		t.Fatalf("two files of pixels: %+v, %v", got, err)
	}
	for _, s := range append(got.Students, train.NamedScores{Name: "ensemble", Scores: got.Ensemble}) {
		if math.Abs(s.NLL-want.Ensemble.NLL) > 1e-5 || s.Accuracy != want.Ensemble.Accuracy {
			t.Errorf("two files of pixels: %s: %+v, want %+v", s.Name, s.Scores, want.Ensemble)
		}
	}
}

// TestEvaluateCohortFile: one file gives the scores of all its students.
func TestEvaluateCohortFile(t *testing.T) {
	states := []train.State{state(t, "one", 1), state(t, "two", 2)}
	ds := datatest.Random(t, 23, 3, dataset.Shape{Channels: 1, Height: 12, Width: 12}, 7)
	want, err := train.Evaluate(t.Context(), states, ds, train.EvaluateOptions{Batch: 8})
	if err != nil {
		t.Fatal(err)
	}
	near := func(name string, a, b train.Scores) {
		t.Helper()
		if math.Abs(a.NLL-b.NLL) > 1e-5 || a.Accuracy != b.Accuracy {
			t.Errorf("%s: %+v, want %+v", name, a, b)
		}
	}
	written := func(format export.Options) string {
		path := filepath.Join(t.TempDir(), "cohort.onnx")
		if _, err := ExportCohort(t.Context(), path, states, FileOptions{Inputs: ramp(144), Samples: 1, Format: format}); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, format := range map[string]export.Options{
		"floats": {}, "pixels, fixed batch": {Uint8Input: true, Batch: 5}, "logits too": {Outputs: []string{export.Logits, export.Probabilities}},
	} {
		got, err := scoresOf(t, ds, written(format))
		if err != nil || len(got.Students) != 2 || got.Students[0].Name != "one" || got.Students[1].Name != "two" {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		for i := range got.Students {
			near(name, got.Students[i].Scores, want.Students[i].Scores)
		}
		near(name, got.Ensemble, want.Ensemble)
	}
	path := filepath.Join(t.TempDir(), "one.onnx")
	if _, err := ExportStudent(t.Context(), path, states[0], FileOptions{Inputs: ramp(144), Samples: 1}); err != nil {
		t.Fatal(err)
	}
	cohort := written(export.Options{})
	got, err := scoresOf(t, ds, cohort, path)
	if err != nil || len(got.Students) != 3 || got.Students[1].Name != cohort+"/two" || got.Students[2].Name != path {
		t.Fatalf("a cohort's file and a student's: %+v, %v", got, err)
	}
	near("beside another file", got.Students[1].Scores, want.Students[1].Scores)
	near("the other file", got.Students[2].Scores, want.Students[0].Scores)
}

func scoresOf(t *testing.T, ds dataset.Dataset, paths ...string) (train.Evaluation, error) {
	t.Helper()
	cohort, err := infer.Open(infer.Options{}, paths...)
	if err != nil {
		t.Fatal(err)
	}
	defer cohort.Close()
	return evaluateFiles(t.Context(), cohort, paths, ds, 8)
}

// TestExportNeedsSamples: without any there is nothing to verify on.
func TestExportNeedsSamples(t *testing.T) {
	path := filepath.Join(t.TempDir(), "student.onnx")
	for _, opts := range []FileOptions{{}, {Samples: 2}, {Inputs: []float32{1}}} {
		if _, err := ExportStudent(t.Context(), path, train.State{Name: "one"}, opts); err == nil || !strings.Contains(err.Error(), "FileOptions.Inputs") {
			t.Errorf("%+v: %v", opts, err)
		}
	}
}

// TestPixels: what asPixels takes back, the graph's normalisation restores.
func TestPixels(t *testing.T) {
	norm := dataset.Norm{Mean: []float32{.5, .4, .3}, Std: []float32{.2, .3, .4}}
	want := []uint8{0, 1, 2, 253, 254, 255} // [height, width, channels]
	inputs := make([]float32, 6)
	for c := range 3 {
		for x := range 2 {
			inputs[2*c+x] = (float32(want[3*x+c])/255 - norm.Mean[c]) / norm.Std[c]
		}
	}
	got, exact := asPixels(verify.Samples{N: 1, Inputs: inputs}, models.Shape{C: 3, H: 1, W: 2}, norm)
	if !slices.Equal(got.Pixels, want) || !slices.Equal(exact, inputs) || got.Inputs != nil {
		t.Errorf("%v %v, want %v %v", got.Pixels, exact, want, inputs)
	}
}
