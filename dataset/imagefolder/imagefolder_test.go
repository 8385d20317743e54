package imagefolder_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/dataset/imagefolder"
	"github.com/deepmutual/dml/internal/pixels"
)

func picture(t testing.TB, format string, gray uint8) []byte {
	t.Helper()
	m := image.NewGray(image.Rect(0, 0, 6, 4))
	for i := range m.Pix {
		m.Pix[i] = gray
	}
	m.SetGray(0, 0, color.Gray{Y: gray / 2})
	var b bytes.Buffer
	var err error
	if format == "png" {
		err = png.Encode(&b, m)
	} else {
		err = jpeg.Encode(&b, m, &jpeg.Options{Quality: 100})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// tree makes a file system of PNGs with the given names; a trailing slash makes
// a folder.
func tree(t testing.TB, names ...string) fstest.MapFS {
	fsys := make(fstest.MapFS)
	for i, name := range names {
		if dir, ok := strings.CutSuffix(name, "/"); ok {
			fsys[dir] = &fstest.MapFile{Mode: fs.ModeDir | 0o755}
			continue
		}
		fsys[name] = &fstest.MapFile{Data: picture(t, "png", uint8(100+i))}
	}
	return fsys
}

// list tells the files and labels of a Folder.
func list(ds dataset.Dataset) []string {
	f, ok := ds.(*imagefolder.Folder)
	if !ok {
		return nil
	}
	var out []string
	for i := range f.Len() {
		out = append(out, fmt.Sprintf("%s=%d", f.File(i), f.Label(i)))
	}
	return out
}

func TestReadSplits(t *testing.T) {
	fsys := tree(t, "train/dog/b.png", "train/dog/a.PNG", "train/cat/1.png", "train/.git/x.png", "train/cat/.hidden.png",
		"valid/cat/1.png", "valid/dog/", "test/dog/x.png", "test/cat/", "extra/other/y.png", "README.png")
	fsys["train/cat/notes.txt"] = &fstest.MapFile{Data: []byte("not an image")}
	fsys["train/cat/tiny"] = &fstest.MapFile{Data: []byte{0xff}}
	fsys["train/cat/2.data"] = &fstest.MapFile{Data: picture(t, "jpeg", 50)}
	fsys["train/cat/3.png"] = &fstest.MapFile{Data: picture(t, "jpeg", 60)} // a JPEG in spite of its name
	if !imagefolder.Present(fsys) {
		t.Error("not recognised")
	}
	s, err := imagefolder.Read(fsys, imagefolder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		ds   dataset.Dataset
		name string
		want []string
	}{
		{s.Train, "imagefolder/train", []string{"train/cat/1.png=0", "train/cat/2.data=0", "train/cat/3.png=0", "train/dog/a.PNG=1", "train/dog/b.png=1"}},
		{s.Val, "imagefolder/val", []string{"valid/cat/1.png=0"}},
		{s.Test, "imagefolder/test", []string{"test/dog/x.png=1"}},
	} {
		if got := list(tt.ds); !slices.Equal(got, tt.want) || tt.ds.Name() != tt.name || !slices.Equal(tt.ds.Classes(), []string{"cat", "dog"}) {
			t.Errorf("%s has %v of %v, want %v", tt.ds.Name(), got, tt.ds.Classes(), tt.want)
		}
	}
	if got := s.Train.(*imagefolder.Folder).Skipped(); got != 2 {
		t.Errorf("%d files skipped, want 2", got)
	}
	for i := range s.Train.Len() {
		m, err := s.Train.Image(i)
		if err != nil || m.Width != 6 || m.Height != 4 || m.Channels != 1 {
			t.Errorf("image %d is %dx%dx%d, error %v", i, m.Channels, m.Height, m.Width, err)
		}
	}
}

func TestReadFlat(t *testing.T) {
	var names []string
	for _, class := range []string{"a", "b", "train"} { // a class may be called train
		for i := range 10 {
			names = append(names, fmt.Sprintf("%s/%d.png", class, i))
		}
	}
	fsys := tree(t, names...)
	whole, err := imagefolder.Read(fsys, imagefolder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if whole.Train.Len() != 30 || whole.Val != nil || whole.Test != nil || !slices.Equal(whole.Train.Classes(), []string{"a", "b", "train"}) {
		t.Errorf("without a fraction: %d samples of %v, val %v, test %v", whole.Train.Len(), whole.Train.Classes(), whole.Val, whole.Test)
	}

	opts := imagefolder.Options{TestFraction: 0.2, Seed: 4}
	parts, err := imagefolder.Read(fsys, opts)
	if err != nil {
		t.Fatal(err)
	}
	if parts.Train.Len() != 24 || parts.Test.Len() != 6 {
		t.Errorf("%d and %d samples, want 24 and 6", parts.Train.Len(), parts.Test.Len())
	}
	var pix [2][]byte
	for k := range pix {
		again, err := imagefolder.Read(fsys, opts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range again.Test.Len() {
			m, err := again.Test.Image(i)
			if err != nil {
				t.Fatal(err)
			}
			pix[k] = append(pix[k], m.Pix...)
		}
	}
	if !bytes.Equal(pix[0], pix[1]) {
		t.Error("the same seed gave two test splits")
	}
}

func TestReadErrors(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		opts  imagefolder.Options
		want  error
		says  string
	}{
		{"empty", nil, imagefolder.Options{}, imagefolder.ErrLayout, "/data/x"},
		{"files only", []string{"a.png"}, imagefolder.Options{}, imagefolder.ErrLayout, "/data/x"},
		{"no train", []string{"test/a/1.png", "val/a/1.png"}, imagefolder.Options{}, imagefolder.ErrLayout, "/data/x/train"},
		{"missing class", []string{"train/a/1.png", "train/b/1.png", "test/a/1.png"}, imagefolder.Options{}, imagefolder.ErrClasses, "/data/x/test: splits have different classes: b is missing"},
		{"new class", []string{"train/a/1.png", "val/a/1.png", "val/c/1.png"}, imagefolder.Options{}, imagefolder.ErrClasses, "/data/x/val: splits have different classes: c is not in"},
		{"two vals", []string{"train/a/1.png", "val/a/1.png", "valid/a/1.png"}, imagefolder.Options{}, nil, "both val and valid"},
		{"empty class", []string{"train/a/1.png", "train/b/"}, imagefolder.Options{}, imagefolder.ErrEmpty, "/data/x/train/b"},
		{"empty flat class", []string{"a/1.png", "b/"}, imagefolder.Options{}, imagefolder.ErrEmpty, "/data/x/b"},
		{"empty test", []string{"train/a/1.png", "test/a/"}, imagefolder.Options{}, imagefolder.ErrEmpty, "/data/x/test"},
		{"nested", []string{"a/1.png", "a/deep/2.png"}, imagefolder.Options{}, nil, "/data/x/a/deep"},
		{"fraction", []string{"a/1.png"}, imagefolder.Options{TestFraction: 1}, nil, "test fraction 1"},
		{"too few", []string{"a/1.png"}, imagefolder.Options{TestFraction: .5}, nil, "too few"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.opts.Root = "/data/x"
			s, err := imagefolder.Read(tree(t, tt.files...), tt.opts)
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got error %v, want %v saying %q", err, tt.want, tt.says)
			}
			if s != (dataset.Splits{}) {
				t.Error("data came with the error")
			}
		})
	}
}

func TestBrokenImage(t *testing.T) {
	fsys := tree(t, "a/1.png")
	good := picture(t, "jpeg", 90)
	for name, data := range map[string][]byte{"a/2.jpg": good[:len(good)/2], "a/3.jpg": []byte("text"), "a/4.jpg": {}} {
		fsys[name] = &fstest.MapFile{Data: data}
	}
	s, err := imagefolder.Read(fsys, imagefolder.Options{Root: "/data/x"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{nil, pixels.ErrCorrupt, pixels.ErrFormat, pixels.ErrFormat} {
		_, err := s.Train.Image(i)
		if !errors.Is(err, want) {
			t.Errorf("image %d: error %v, want %v", i, err, want)
		}
		if name := fmt.Sprintf("/data/x/a/%d.jpg", i+1); want != nil && strings.Count(err.Error(), name) != 1 {
			t.Errorf("error %q does not name %s once", err, name)
		}
	}
}

func TestSymlinks(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "real")
	if err := os.MkdirAll(filepath.Join(real, "a"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(real, "a", "1.png"), picture(t, "png", 9), 0o644); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(real, "a"), filepath.Join(data, "linked")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	s, err := imagefolder.Read(os.DirFS(data), imagefolder.Options{})
	if err != nil || s.Train.Len() != 1 || !slices.Equal(s.Train.Classes(), []string{"linked"}) {
		t.Fatalf("got %+v, error %v", s, err)
	}
	if _, err := s.Train.Image(0); err != nil {
		t.Error(err)
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
	s, err := imagefolder.Read(os.DirFS(dir), imagefolder.Options{Root: dir, TestFraction: 0.1})
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

// TestSpecialFiles: what is no regular file could block for ever when opened.
func TestSpecialFiles(t *testing.T) {
	image := &fstest.MapFile{Data: picture(t, "png", 9)}
	fsys := fstest.MapFS{"a/1.png": image, "b/1.png": image,
		"a/pipe": {Data: image.Data, Mode: fs.ModeNamedPipe}, "b/socket": {Mode: fs.ModeSocket}}
	splits, err := imagefolder.Read(fsys, imagefolder.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if f := splits.Train.(*imagefolder.Folder); f.Len() != 2 || f.Skipped() != 2 {
		t.Errorf("%d images and %d skipped, want 2 and 2", f.Len(), f.Skipped())
	}
	fsys["b/2.jpg"] = &fstest.MapFile{Mode: fs.ModeNamedPipe}
	if _, err := imagefolder.Read(fsys, imagefolder.Options{}); err == nil || !strings.Contains(err.Error(), "b/2.jpg: a special file") {
		t.Errorf("a pipe called like an image: %v", err)
	}
}

// TestNamesThatAreNotText: Linux allows any bytes in a name, an fs.FS does not.
func TestNamesThatAreNotText(t *testing.T) {
	for _, bad := range []string{"caf\xe9/1.png", "a/caf\xe9.png", "a/caf\xe9.txt"} {
		dir := t.TempDir()
		for _, name := range []string{"a/1.png", "b/1.png", bad} {
			file := filepath.Join(dir, filepath.FromSlash(name))
			err := os.MkdirAll(filepath.Dir(file), 0o755)
			if err == nil {
				err = os.WriteFile(file, picture(t, "png", 9), 0o644)
			}
			if err != nil {
				t.Skipf("skipped: this file system has no such names: %v", err)
			}
		}
		_, err := imagefolder.Read(os.DirFS(dir), imagefolder.Options{Root: dir})
		var data *dataset.DataError
		if !errors.As(err, &data) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), `"caf\xe9`) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
