package files

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrReplaced says that a path no longer leads to the folder, or to the file in
// it, that was opened: somebody moved it away, removed it, or put another there.
var ErrReplaced = errors.New("it is not the one that was opened: somebody has moved or replaced it")

// Folder is a folder that is held by its descriptor, not by its path: what is
// opened in it stays in it, wherever it is moved.
//
// Locks and open files belong to a folder that was there once, paths to whatever
// is there now. A writer that would go on by path asks Check before it commits.
type Folder struct {
	path string
	root *os.Root
	lock *Lock  // nil until Lock
	name string // of the lock
}

// OpenFolder holds a folder. Close it after use.
func OpenFolder(path string) (*Folder, error) {
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, err
	}
	return &Folder{path: filepath.Clean(path), root: root}, nil
}

// Path is where the folder was when it was opened.
func (f *Folder) Path() string { return f.path }

// Root opens files in the folder.
func (f *Folder) Root() *os.Root { return f.root }

// Lock takes the lock of that name in the folder, as TakeLock does. The error
// wraps ErrReplaced where the folder is no longer at its path.
func (f *Folder) Lock(name string) error {
	if err := f.Check(); err != nil {
		return err
	}
	lock, err := TakeLock(filepath.Join(f.path, name))
	if err != nil {
		return err
	}
	f.lock, f.name = lock, name
	return f.Check()
}

// Locked reports whether the folder's lock is held.
func (f *Folder) Locked() bool { return f.lock != nil }

// Check returns an error that wraps ErrReplaced unless the folder's path leads
// to the folder that is held, and each of these files' names, and the lock's, to
// the open file.
func (f *Folder) Check(files ...*os.File) error {
	held, err := f.root.Stat(".")
	if err != nil {
		return err
	}
	named, err := os.Stat(f.path)
	if err != nil || !os.SameFile(held, named) {
		return fmt.Errorf("%s: %w", f.path, ErrReplaced)
	}
	if f.lock != nil {
		if err := f.check(f.name, f.lock.f.Stat); err != nil {
			return err
		}
	}
	for _, file := range files {
		if err := f.check(filepath.Base(file.Name()), file.Stat); err != nil {
			return err
		}
	}
	return nil
}

func (f *Folder) check(name string, stat func() (os.FileInfo, error)) error {
	held, err := stat()
	if err != nil {
		return err
	}
	if named, err := f.root.Stat(name); err != nil || !os.SameFile(held, named) {
		return fmt.Errorf("%s: %w", filepath.Join(f.path, name), ErrReplaced)
	}
	return nil
}

// Unlock gives the lock back, if it is held.
func (f *Folder) Unlock() error {
	if f.lock == nil {
		return nil
	}
	lock := f.lock
	f.lock = nil
	return lock.Release()
}

// Close gives the lock back, and leaves the folder.
func (f *Folder) Close() error { return errors.Join(f.root.Close(), f.Unlock()) }
