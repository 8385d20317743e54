package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLinksStay: what a link leads to is replaced; a link to nothing is itself.
func TestLinksStay(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "there", "file"), filepath.Join(dir, "link")
	if err := os.Mkdir(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("old"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Skipf("skipped: links cannot be made here: %v", err)
	}
	if err := WriteFile(link, []byte("new"), 0o644); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != "new" {
		t.Errorf("behind the link: %q, %v", got, err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(link, []byte("newer"), 0o644); err != nil {
		t.Errorf("a link to nothing: %v", err)
	}
	if got, err := os.ReadFile(link); err != nil || string(got) != "newer" {
		t.Errorf("at a link to nothing: %q, %v", got, err)
	}
}

func TestCheckTarget(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		file:                                     "",
		filepath.Join(dir, "new"):                "",
		"new-beside-the-test":                    "",
		"":                                       "empty",
		dir:                                      "it is a folder",
		filepath.Join(dir, "none", "new"):        "the folder " + filepath.Join(dir, "none") + " does not exist",
		filepath.Join(file, "new"):               "file",
		filepath.Join(dir, "none", "..", "file"): "",
	} {
		err := CheckTarget(path)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
	if err := CheckTarget(dir); !errors.Is(err, ErrTarget) {
		t.Errorf("%v", err)
	}
	if err := CheckTarget(filepath.Join(dir, "none", "new")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("Check left behind: %v", got)
	}
}
