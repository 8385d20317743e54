//go:build unix

package inference

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// TestFindImages searches a folder with links, loops of them and special
// files.
func TestFindImages(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	file := func(path string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("\x89PNG\r\n\x1a\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	file(filepath.Join(dir, "a", "plain.png"))
	file(filepath.Join(elsewhere, "inside.png"))
	fifo := filepath.Join(dir, "fifo.png")
	if err := syscall.Mkfifo(fifo, 0o644); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"a/up":     dir,
		"a/self":   "self",
		"b":        elsewhere,
		"b again":  elsewhere,
		"file":     filepath.Join(elsewhere, "inside.png"),
		"fifolink": fifo,
		"null":     os.DevNull,
		"gone":     filepath.Join(elsewhere, "nowhere.png"),
	} {
		if err := os.Symlink(target, filepath.Join(dir, filepath.FromSlash(link))); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"a/plain.png", "a/self", "b/inside.png", "file", "gone"}
	linked := filepath.Join(elsewhere, "linked")
	if err := os.Symlink(dir, linked); err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{dir, linked} {
		found, err := FindImages([]string{place})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, path := range found {
			name, err := filepath.Rel(place, path)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, filepath.ToSlash(name))
		}
		if !slices.Equal(names, want) {
			t.Errorf("in %s: %q, want %q", place, names, want)
		}
	}
}
