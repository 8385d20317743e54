package embedder

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/reid"
)

var _ reid.Embedder = (*Embedder)(nil)

// students writes two ONNX files of different students.
func students(t *testing.T, opts export.Options) []string {
	t.Helper()
	if _, err := ortlib.Find(""); err != nil {
		t.Skipf("skipped: %v", err)
	}
	dir := t.TempDir()
	net := exporttest.Network(t, "resnet8", models.Shape{C: 3, H: 16, W: 8}, 3)
	var paths []string
	for i, name := range []string{"a.onnx", "b.onnx"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, exporttest.Student(t, net, uint64(i+1), opts), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func opened(t *testing.T, paths []string, opts Options) *Embedder {
	t.Helper()
	e, err := Open(paths, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// lopsided is a picture whose mirror image is another.
func lopsided() *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, 8, 16))
	for i := range 8 * 16 {
		img.Set(i%8, i/8, color.NRGBA{uint8(i%8) * 30, uint8(i), uint8(i%8) * 5, 255})
	}
	return img
}

// TestFeatures compares the features with those of the models alone, and the
// ways to give an image with each other.
func TestFeatures(t *testing.T) {
	paths := students(t, export.Options{})
	img := lopsided()
	var data bytes.Buffer
	if err := png.Encode(&data, img); err != nil {
		t.Fatal(err)
	}
	cohort, err := infer.Open(infer.Options{}, paths...)
	if err != nil {
		t.Fatal(err)
	}
	defer cohort.Close()
	want, err := cohort.Embed(t.Context(), infer.FromImage(img))
	if err != nil {
		t.Fatal(err)
	}
	plain, flipped := opened(t, paths, Options{}), opened(t, paths, Options{Flip: true})
	for _, e := range []*Embedder{plain, flipped} {
		decoded, err := e.EmbedImages(t.Context(), img)
		if err != nil {
			t.Fatal(err)
		}
		if same := reflect.DeepEqual(decoded, want); same == e.Recipe().Flip {
			t.Errorf("flip %v: features as of the models alone: %v", e.Recipe().Flip, same)
		}
		if len(decoded[0]) != e.Recipe().Dim {
			t.Errorf("%d features, the recipe says %d", len(decoded[0]), e.Recipe().Dim)
		}
		encoded, err := e.Embed(t.Context(), infer.FromBytes(data.Bytes()))
		if err != nil || !reflect.DeepEqual(encoded, decoded) {
			t.Errorf("flip %v: of bytes %v, %v, of the image %v", e.Recipe().Flip, encoded, err, decoded)
		}
		if _, err := e.Embed(t.Context(), infer.FromBytes([]byte("no image"))); !errors.Is(err, infer.ErrImage) {
			t.Errorf("%v, want infer.ErrImage", err)
		}
		var faults *infer.ImagesError
		some, err := e.Embed(t.Context(), infer.FromBytes([]byte("no image")), infer.FromBytes(data.Bytes()))
		if !errors.As(err, &faults) || faults.Errs[0] == nil || faults.Errs[1] != nil || some[0] != nil || !reflect.DeepEqual(some[1], decoded[0]) {
			t.Errorf("flip %v: one of two: %v, %v", e.Recipe().Flip, some, err)
		}
	}
}

// TestFingerprint wants another one for each thing that changes features, and
// the same where nothing does.
func TestFingerprint(t *testing.T) {
	paths := students(t, export.Options{})
	first := opened(t, paths, Options{}).Fingerprint()
	if again := opened(t, paths, Options{}).Fingerprint(); again != first {
		t.Errorf("%s, then %s", first, again)
	}
	if more := opened(t, paths, Options{Infer: infer.Options{Threads: 1}}).Fingerprint(); more != first {
		t.Errorf("%s with one thread, %s without a limit", more, first)
	}
	seen := map[string]string{first: "plain"}
	for name, e := range map[string]*Embedder{
		"flip":    opened(t, paths, Options{Flip: true}),
		"one":     opened(t, paths[:1], Options{}),
		"swapped": opened(t, []string{paths[1], paths[0]}, Options{}),
	} {
		if other, known := seen[e.Fingerprint()]; known {
			t.Errorf("%s has the fingerprint of %s", name, other)
		}
		seen[e.Fingerprint()] = name
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := Open([]string{"a.onnx"}, Options{Infer: infer.Options{Ensemble: infer.Ensemble{AverageEmbeddings: true}}}); !errors.Is(err, reid.ErrOptions) {
		t.Errorf("averaged: %v, want reid.ErrOptions", err)
	}
	paths := students(t, export.Options{Outputs: []string{export.Logits}})
	if _, err := Open(paths, Options{}); !errors.Is(err, infer.ErrNoOutput) {
		t.Errorf("without embeddings: %v, want infer.ErrNoOutput", err)
	}
	if _, err := Open([]string{filepath.Join(t.TempDir(), "none.onnx")}, Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}
