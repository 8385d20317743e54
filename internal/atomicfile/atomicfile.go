// Package atomicfile writes files that are either complete or absent: into a
// temporary file beside the target, synced, then renamed over it.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile writes data to path with those permissions. On an error (a full
// disk, say) path is as it was before and nothing else is left behind.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	f, err := Create(path, perm)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), f.Discard())
	}
	return f.Commit()
}

// File is a file under way. Exactly one of Commit and Discard ends it; Discard
// after Commit does nothing, so that it can be deferred.
type File struct {
	tmp  *os.File
	path string
	done bool
}

// Create starts a file that Commit puts at path, in a folder that exists. A link
// at path stays, and what it leads to is replaced; a folder, a device or another
// special file there is an error that wraps ErrTarget.
func Create(path string, perm fs.FileMode) (*File, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return nil, fmt.Errorf("creating %s: %w", path, err)
	}
	f := &File{tmp: tmp, path: path}
	if err := tmp.Chmod(perm); err != nil {
		return nil, errors.Join(fmt.Errorf("creating %s: %w", path, err), f.Discard())
	}
	return f, nil
}

// Write appends to the temporary file.
func (f *File) Write(p []byte) (int, error) { return f.tmp.Write(p) }

// Commit makes the content durable and visible under the path. On an error
// nothing is left behind.
func (f *File) Commit() error {
	if err := f.tmp.Sync(); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", f.path, err), f.Discard())
	}
	if err := f.tmp.Close(); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", f.path, err), f.Discard())
	}
	if err := os.Rename(f.tmp.Name(), f.path); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", f.path, err), f.Discard())
	}
	f.done = true
	// The rename itself is durable once the folder is synced; where a system
	// cannot sync folders the file is still whole or absent.
	if dir, err := os.Open(filepath.Dir(f.path)); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}

// Discard removes the temporary file.
func (f *File) Discard() error {
	if f.done {
		return nil
	}
	f.done = true
	_ = f.tmp.Close() // it may be closed already, and its content is unwanted
	return os.Remove(f.tmp.Name())
}
