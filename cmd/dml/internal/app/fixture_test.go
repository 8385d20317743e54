package app

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
)

// kept are folders that several tests start from, such as students that were
// trained: they are made once, and held in memory.
var kept = struct {
	sync.Mutex
	folders map[string]fstest.MapFS
}{folders: make(map[string]fstest.MapFS)}

// copyOf gives the test a folder of its own, as made under that name.
func copyOf(t *testing.T, name string, fill func(dir string)) string {
	t.Helper()
	kept.Lock()
	defer kept.Unlock()
	dir := t.TempDir()
	if folder, there := kept.folders[name]; there {
		if err := os.CopyFS(dir, folder); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	fill(dir)
	folder := make(fstest.MapFS)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		within, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		folder[filepath.ToSlash(within)] = &fstest.MapFile{Data: data, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	kept.folders[name] = folder
	return dir
}
