//go:build cgo

package infer

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"strings"
	"testing"

	ort "github.com/yalue/onnxruntime_go"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/models"
)

func TestSeveral(t *testing.T) {
	needRuntime(t)
	in := models.Shape{C: 3, H: 16, W: 12}
	opts := tinyOptions()
	first := saved(t, "a.onnx", exporttest.Student(t, exporttest.Network(t, "convnet", in, 3), 1, opts))
	second := saved(t, "b.onnx", exporttest.Student(t, exporttest.Network(t, "resnet8", in, 3), 2, opts))
	c, err := Open(Options{}, first, second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	info := c.Info()
	if info.Architecture != "convnet+resnet8" || info.Students != 2 || info.Features != 128 || info.Path != "" || info.Dataset != "pets" {
		t.Errorf("%+v", info)
	}
	if s := c.Networks(); len(s) != 2 || s[1].Path != second || s[1].Features != 64 {
		t.Errorf("students %+v", s)
	}

	n := 3
	batch := noise(n*in.Size(), 1)
	var each []Outputs
	for _, path := range []string{first, second} {
		m, err := Open(Options{}, path)
		if err != nil {
			t.Fatal(err)
		}
		out, err := m.Run(context.Background(), batch, n)
		if err != nil {
			t.Fatal(err)
		}
		each = append(each, out)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	got, err := c.Run(context.Background(), batch, n)
	students := got.Students
	if err != nil || got.N != n || got.Logits != nil || len(students) != 2 || len(got.Embedding) != n*128 {
		t.Fatalf("%+v, %d students, %v", got, len(students), err)
	}
	near := func(a, b float32) bool { return math.Abs(float64(a-b)) < 1e-4 }
	for i := range n {
		for k := range 3 {
			if want := (each[0].Probabilities[i*3+k] + each[1].Probabilities[i*3+k]) / 2; !near(got.Probabilities[i*3+k], want) {
				t.Errorf("sample %d class %d: %v, want %v", i, k, got.Probabilities[i*3+k], want)
			}
		}
		for s, o := range each {
			for k := range 64 {
				// Of length 1 each, and of equal weight.
				want := float64(o.Embedding[i*64+k]) / length(o.Embedding[i*64:(i+1)*64]) * math.Sqrt(.5)
				if !near(got.Embedding[i*128+s*64+k], float32(want)) || !near(students[s].Embedding[i*64+k], o.Embedding[i*64+k]) {
					t.Fatalf("sample %d student %d feature %d", i, s, k)
				}
			}
		}
	}

	images := []Image{FromImage(picture(12, 16, 1)), FromImage(picture(30, 20, 2))}
	p, err := c.Predict(context.Background(), images...)
	if err != nil {
		t.Fatal(err)
	}
	single := make([][]Prediction, 2)
	for s, path := range []string{first, second} {
		m, err := Open(Options{}, path)
		if err != nil {
			t.Fatal(err)
		}
		if single[s], err = m.Predict(context.Background(), images...); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	for i := range images {
		for k := range 3 {
			if want := (single[0][i].Probabilities[k] + single[1][i].Probabilities[k]) / 2; !near(p[i].Probabilities[k], want) {
				t.Errorf("image %d class %d: %v, want %v", i, k, p[i].Probabilities[k], want)
			}
		}
	}
	v, err := c.Embed(context.Background(), images...)
	if err != nil || len(v) != 2 || len(v[0]) != 128 {
		t.Fatalf("%d vectors, %v", len(v), err)
	}
	if l := length(v[1]); math.Abs(l-1) > 1e-5 {
		t.Errorf("length %v", l)
	}
	if _, err := c.Run(context.Background(), batch, n+1); !errors.Is(err, ErrWrongInput) {
		t.Errorf("wrong size: %v", err)
	}
}

func TestSeveralFaults(t *testing.T) {
	needRuntime(t)
	in := models.Shape{C: 3, H: 16, W: 12}
	opts := tinyOptions()
	file := func(in models.Shape, change func(*export.Options)) string {
		o := opts
		change(&o)
		return saved(t, "a.onnx", exporttest.Student(t, exporttest.Network(t, "convnet", in, 3), 1, o))
	}
	same := file(in, func(*export.Options) {})
	for name, tc := range map[string]struct {
		path string
		is   error
		text string
	}{
		"size":    {file(models.Shape{C: 3, H: 16, W: 16}, func(*export.Options) {}), ErrMismatch, "inputs"},
		"mean":    {file(in, func(o *export.Options) { o.Mean = nil }), ErrMismatch, "means"},
		"std":     {file(in, func(o *export.Options) { o.Std = nil }), ErrMismatch, "standard deviations"},
		"classes": {file(in, func(o *export.Options) { o.Classes = []string{"cat", "emu", "dog"} }), ErrMismatch, "classes"},
		"missing": {same + ".missing", fs.ErrNotExist, "missing"},
		"foreign": {saved(t, "foreign.onnx", foreign(t)), ErrNoMetadata, "foreign.onnx"},
	} {
		if _, err := Open(Options{}, same, tc.path); !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(Options{}); !errors.Is(err, ErrMismatch) {
		t.Errorf("none: %v", err)
	}
	m, err := Open(Options{}, same)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{}, backendOf(m), backendOf(m)); !errors.Is(err, ErrMismatch) {
		t.Errorf("the same model twice: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if ort.IsInitialized() {
		t.Error("failed openings left models open")
	}
}
