package dataset_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/internal/pixels"
)

func jpegFile(t testing.TB) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 6, 4)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestBrokenImage(t *testing.T) {
	good := jpegFile(t)
	fsys := fstest.MapFS{"a/1.jpg": {Data: good}}
	for name, data := range map[string][]byte{"a/2.jpg": good[:len(good)/2], "a/3.jpg": []byte("text"), "a/4.jpg": {}} {
		fsys[name] = &fstest.MapFile{Data: data}
	}
	s, err := dataset.OpenFS(fsys, dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, pixels.ErrCorrupt, pixels.ErrFormat, pixels.ErrFormat} {
		_, err := s.Train.Image(i)
		if !errors.Is(err, want) {
			t.Errorf("image %d: error %v, want %v", i, err, want)
		}
		if name := fmt.Sprintf("a/%d.jpg", i+1); want != nil && strings.Count(err.Error(), name) != 1 {
			t.Errorf("error %q does not name %s once", err, name)
		}
	}
}

// TestRealJPEGs reads the first few hundred files of the CIFAR-10 JPEGs.
func TestRealJPEGs(t *testing.T) {
	f, err := os.Open(datatest.Shared(t, "cifar10-jpeg.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	dir := t.TempDir()
	files := 0
	for r := tar.NewReader(f); files < 300; {
		h, err := r.Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		// The classes are sorted, so the first files are all of one: two folders
		// are made of it.
		name := filepath.Join(dir, fmt.Sprintf("class%d", files%2), path.Base(h.Name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o644); err != nil {
			t.Fatal(err)
		}
		files++
	}
	s, err := dataset.Open(dir, dataset.Options{TestFraction: 0.1})
	if err != nil {
		t.Fatal(err)
	}
	if s.Train.Len() != 270 || s.Test.Len() != 30 {
		t.Errorf("%d and %d images, want 270 and 30", s.Train.Len(), s.Test.Len())
	}
	shape, err := dataset.ShapeOf(s.Train)
	if err != nil || shape != (dataset.Shape{Channels: 3, Height: 32, Width: 32}) {
		t.Errorf("shape %v, error %v", shape, err)
	}
	if _, err := dataset.MeanStd(s.Train, 3, 0); err != nil { // decodes every image
		t.Error(err)
	}
}
