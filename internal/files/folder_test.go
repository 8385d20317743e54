//go:build unix

package files

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestFolderIsHeld moves and replaces a folder that is held, and files in it.
func TestFolderIsHeld(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"moved away":     func(path string) error { return os.Rename(path, path+".old") },
		"removed":        os.RemoveAll,
		"another folder": func(path string) error { return errors.Join(os.Rename(path, path+".old"), os.Mkdir(path, 0o755)) },
		"another lock":   func(path string) error { return replaceFile(filepath.Join(path, "lock")) },
		"no lock":        func(path string) error { return os.Remove(filepath.Join(path, "lock")) },
		"another file":   func(path string) error { return replaceFile(filepath.Join(path, "data")) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "folder")
			if err := os.Mkdir(path, 0o755); err != nil {
				t.Fatal(err)
			}
			f, err := OpenFolder(path)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			data, err := f.Root().Create("data")
			if err != nil {
				t.Fatal(err)
			}
			defer data.Close()
			if err := errors.Join(f.Lock("lock"), f.Check(data)); err != nil {
				t.Fatal(err)
			}
			if _, err := TakeLock(filepath.Join(path, "lock")); !errors.Is(err, ErrHeld) {
				t.Errorf("a second holder: %v", err)
			}
			if err := replace(path); err != nil {
				t.Fatal(err)
			}
			if err := f.Check(data); !errors.Is(err, ErrReplaced) {
				t.Errorf("after it was replaced: %v", err)
			}
		})
	}
}

func replaceFile(path string) error {
	return errors.Join(os.WriteFile(path+".new", nil, 0o644), os.Rename(path+".new", path))
}
