package files

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// failing is OS until its operation number at, which fails: a write after half of
// its bytes.
type failing struct {
	OS
	at   int
	done []string
}

var errInjected = errors.New("injected")

func (f *failing) do(name string, do func() error) error {
	f.done = append(f.done, name)
	if len(f.done)-1 == f.at {
		return errInjected
	}
	return do()
}

func (f *failing) Create(path string, perm fs.FileMode) (h Handle, err error) {
	err = f.do("create", func() error { h, err = f.OS.Create(path, perm); return err })
	return failingHandle{h, f}, err
}
func (f *failing) Rename(from, to string) error {
	return f.do("rename", func() error { return f.OS.Rename(from, to) })
}
func (f *failing) SyncDir(path string) error {
	return f.do("sync folder", func() error { return f.OS.SyncDir(path) })
}

type failingHandle struct {
	Handle
	f *failing
}

func (h failingHandle) Write(p []byte) (n int, err error) {
	err = h.f.do("write", func() error { n, err = h.Handle.Write(p); return err })
	if errors.Is(err, errInjected) {
		n, _ = h.Handle.Write(p[:len(p)/2])
	}
	return n, err
}
func (h failingHandle) Sync() error { return h.f.do("sync", h.Handle.Sync) }
func (h failingHandle) Close() error {
	return h.f.do("close", h.Handle.Close)
}

// TestWriteFileFails fails each operation in turn: the file is as it was, or, when
// the name could not be made durable, new; nothing else is left.
func TestWriteFileFails(t *testing.T) {
	steps := []string{"create", "write", "sync", "close", "rename", "sync folder"}
	for at := range len(steps) + 1 {
		dir := t.TempDir()
		path := filepath.Join(dir, "file")
		if err := os.WriteFile(path, []byte("old"), 0o644); err != nil {
			t.Fatal(err)
		}
		system := &failing{at: at}
		err := Writer{system}.WriteFile(path, []byte("new one"), 0o644)
		if failed := at < len(steps); errors.Is(err, errInjected) != failed || failed && !strings.Contains(err.Error(), path) && at > 0 {
			t.Errorf("operation %d: %v", at, err)
		}
		want := "old"
		if at >= slices.Index(steps, "sync folder") {
			want = "new one"
			if !slices.Equal(system.done, steps) {
				t.Errorf("the operations are %q", system.done)
			}
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("operation %d failed: the file is %q, %v, want %q", at, got, err, want)
		}
		if got := names(t, dir); len(got) != 1 {
			t.Errorf("operation %d failed: left behind: %v", at, got)
		}
	}
}
