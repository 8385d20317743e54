//go:build unix

package app

import (
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/inference"
)

// TestFindImages searches a folder with links, loops of them and special
// files.
func TestFindImages(t *testing.T) {
	dir, elsewhere := t.TempDir(), t.TempDir()
	writePNG(t, filepath.Join(dir, "a", "plain.png"), 0)
	writePNG(t, filepath.Join(elsewhere, "inside.png"), 0)
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
		found, err := inference.FindImages([]string{place})
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
	refused(t, dml(t, "infer", "model.onnx", fifo), fifo, "neither a file nor a folder")
	refused(t, dml(t, "infer", "model.onnx", os.DevNull), os.DevNull, "neither a file nor a folder")
	bin := filepath.Join(elsewhere, "train.bin")
	if err := syscall.Mkfifo(bin, 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, dml(t, small(bin, t.TempDir())...), bin, "neither a file nor a folder")
	needRuntime(t)
	refused(t, dml(t, "infer", fifo, filepath.Join(dir, "a", "plain.png")), fifo, "special file")
	refused(t, dml(t, "eval", fifo, "--data", dir), fifo, "special file")
}
