package imagefolder_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/deepmutual/dml/dataset/internal/imagefolder"
	"github.com/deepmutual/dml/dataset/internal/raw"
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

// list tells the files and labels of a part.
func list(p *raw.Part) []string {
	var out []string
	for i, name := range p.Files {
		out = append(out, fmt.Sprintf("%s=%d", name, p.Labels[i]))
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
	s, err := imagefolder.Read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		part *raw.Part
		name string
		want []string
	}{
		{s.Train, "imagefolder/train", []string{"train/cat/1.png=0", "train/cat/2.data=0", "train/cat/3.png=0", "train/dog/a.PNG=1", "train/dog/b.png=1"}},
		{s.Val, "imagefolder/val", []string{"valid/cat/1.png=0"}},
		{s.Test, "imagefolder/test", []string{"test/dog/x.png=1"}},
	} {
		if got := list(tt.part); !slices.Equal(got, tt.want) || tt.part.Name != tt.name || !slices.Equal(s.Classes, []string{"cat", "dog"}) {
			t.Errorf("%s has %v of %v, want %v", tt.part.Name, got, s.Classes, tt.want)
		}
	}
	if want := map[string]int{".txt": 1, "no extension": 1}; !maps.Equal(s.Skipped, want) {
		t.Errorf("skipped %v, want %v", s.Skipped, want)
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
	whole, err := imagefolder.Read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if whole.Train.Len() != 30 || whole.Val != nil || whole.Test != nil || !whole.Undivided || !slices.Equal(whole.Classes, []string{"a", "b", "train"}) {
		t.Errorf("%d samples of %v, val %v, test %v", whole.Train.Len(), whole.Classes, whole.Val, whole.Test)
	}
}

func TestReadErrors(t *testing.T) {
	tests := []struct {
		name  string
		files []string
		want  error
		says  string
	}{
		{"empty", nil, imagefolder.ErrLayout, "."},
		{"files only", []string{"a.png"}, imagefolder.ErrLayout, "."},
		{"no train", []string{"test/a/1.png", "val/a/1.png"}, imagefolder.ErrLayout, "train"},
		{"missing class", []string{"train/a/1.png", "train/b/1.png", "test/a/1.png"}, imagefolder.ErrClasses, "test: splits have different classes: b is missing"},
		{"new class", []string{"train/a/1.png", "val/a/1.png", "val/c/1.png"}, imagefolder.ErrClasses, "val: splits have different classes: c is not in"},
		{"two vals", []string{"train/a/1.png", "val/a/1.png", "valid/a/1.png"}, nil, "both val and valid"},
		{"empty class", []string{"train/a/1.png", "train/b/"}, imagefolder.ErrEmpty, "train/b"},
		{"empty flat class", []string{"a/1.png", "b/"}, imagefolder.ErrEmpty, "b"},
		{"empty test", []string{"train/a/1.png", "test/a/"}, imagefolder.ErrEmpty, "test"},
		{"nested", []string{"a/1.png", "a/deep/2.png"}, nil, "a/deep"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := imagefolder.Read(tree(t, tt.files...))
			if err == nil || (tt.want != nil && !errors.Is(err, tt.want)) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got error %v, want %v saying %q", err, tt.want, tt.says)
			}
			if s.Train != nil {
				t.Error("data came with the error")
			}
		})
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
	s, err := imagefolder.Read(os.DirFS(data))
	if err != nil || s.Train.Len() != 1 || !slices.Equal(s.Classes, []string{"linked"}) {
		t.Fatalf("got %+v, error %v", s, err)
	}
}

// TestSpecialFiles: what is not a regular file could block for ever when opened.
func TestSpecialFiles(t *testing.T) {
	image := &fstest.MapFile{Data: picture(t, "png", 9)}
	fsys := fstest.MapFS{"a/1.png": image, "b/1.png": image,
		"a/pipe": {Data: image.Data, Mode: fs.ModeNamedPipe}, "b/socket": {Mode: fs.ModeSocket}}
	splits, err := imagefolder.Read(fsys)
	if err != nil {
		t.Fatal(err)
	}
	if splits.Train.Len() != 2 || splits.Skipped["no extension"] != 2 {
		t.Errorf("%d images and %v skipped, want 2 and 2", splits.Train.Len(), splits.Skipped)
	}
	fsys["b/2.jpg"] = &fstest.MapFile{Mode: fs.ModeNamedPipe}
	if _, err := imagefolder.Read(fsys); err == nil || !strings.Contains(err.Error(), "b/2.jpg: a special file") {
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
		_, err := imagefolder.Read(os.DirFS(dir))
		var data *raw.Error
		if !errors.As(err, &data) || !strings.Contains(err.Error(), `"caf\xe9`) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
