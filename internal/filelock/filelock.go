// Package filelock keeps two processes from writing the same files at once.
package filelock

import (
	"errors"
	"fmt"
	"os"
)

// ErrHeld says that another process, or another Lock of this one, holds a lock.
var ErrHeld = errors.New("held by another process")

// Lock is held from Take to Release. The system gives it back when the process
// ends, however it ends.
type Lock struct{ f *os.File }

// Take locks the file at path, which it makes if there is none, or fails at
// once with ErrHeld. Locks are advisory: they bind those who take them.
//
// Where the system has no such locks, as on Windows, Take only makes the file,
// and keeps nobody out.
func Take(path string) (*Lock, error) {
	return take(func() (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644) },
		func() (os.FileInfo, error) { return os.Stat(path) }, path)
}

func take(open func() (*os.File, error), stat func() (os.FileInfo, error), path string) (*Lock, error) {
	f, err := open()
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	// Whoever held the lock may have removed the file meanwhile; a lock on a
	// file without a name protects nothing.
	held, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if named, err := stat(); err != nil || !os.SameFile(held, named) {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, ErrHeld), f.Close())
	}
	return &Lock{f}, nil
}

// Release gives the lock back, and leaves the file.
func (l *Lock) Release() error { return l.f.Close() }
