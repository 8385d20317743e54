package files

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
)

// Writer writes whole files by a System. The zero Writer writes to OS.
type Writer struct{ System System }

func (w Writer) system() System { return cmp.Or[System](w.System, OS{}) }

// WriteFile is Writer.WriteFile on OS.
func WriteFile(path string, data []byte, perm fs.FileMode) error {
	return Writer{}.WriteFile(path, data, perm)
}

// Create is Writer.Create on OS.
func Create(path string, perm fs.FileMode) (*File, error) { return Writer{}.Create(path, perm) }

// WriteFile writes data to path with those permissions. On an error (a full
// disk, say) path is as it was before and nothing else is left behind.
func (w Writer) WriteFile(path string, data []byte, perm fs.FileMode) error {
	f, err := w.Create(path, perm)
	if err != nil {
		return err
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", path, err), f.Discard())
	}
	return f.Commit()
}

// File is a file under way: a temporary one beside its target, which is synced
// and then renamed over it. Exactly one of Commit and Discard ends it; Discard
// after Commit does nothing, so that it can be deferred.
type File struct {
	system    System
	handle    Handle
	tmp, path string
	done      bool
}

// Create starts a file that Commit puts at path, in a folder that exists. A link
// at path stays, and what it leads to is replaced; a folder, a device or another
// special file there is an error that wraps ErrTarget.
func (w Writer) Create(path string, perm fs.FileMode) (*File, error) {
	path, err := resolve(path)
	if err != nil {
		return nil, err
	}
	f := &File{system: w.system(), path: path}
	const attempts = 100 // at names that others may have: each has 64 random bits
	for range attempts {
		f.tmp = filepath.Join(filepath.Dir(path), fmt.Sprintf(".%s.%016x.tmp", filepath.Base(path), rand.Uint64()))
		if f.handle, err = f.system.Create(f.tmp, perm); !errors.Is(err, fs.ErrExist) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("creating %s: %w", path, err)
	}
	return f, nil
}

// Write appends to the temporary file.
func (f *File) Write(p []byte) (int, error) { return f.handle.Write(p) }

// Commit makes the content durable and visible under the path. On an error
// nothing is left behind, but where the last step failed, to make the name
// durable: then the file is there, and a crash may undo that.
func (f *File) Commit() error {
	for _, step := range []func() error{f.handle.Sync, f.handle.Close, func() error { return f.system.Rename(f.tmp, f.path) }} {
		if err := step(); err != nil {
			return errors.Join(fmt.Errorf("writing %s: %w", f.path, err), f.Discard())
		}
	}
	f.done = true
	if err := f.system.SyncDir(filepath.Dir(f.path)); err != nil {
		return fmt.Errorf("writing %s: %w", f.path, err)
	}
	return nil
}

// Discard removes the temporary file.
func (f *File) Discard() error {
	if f.done {
		return nil
	}
	f.done = true
	_ = f.handle.Close() // it may be closed already, and its content is unwanted
	return f.system.Remove(f.tmp)
}
