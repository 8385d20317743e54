// Package files is how files are written and read: whole or not at all, by one
// writer at a time, and regular files only.
//
// Everything that changes the disk is an operation of a System, so that a test
// can let any of them fail, write short, or be the last before a crash.
package files

import (
	"io"
	"io/fs"
	"os"
)

// System is the few operations that change files. OS is the operating system's.
type System interface {
	// Create makes a file with exactly those permissions, to read and write. The
	// error wraps fs.ErrExist where there is something at path.
	Create(path string, perm fs.FileMode) (Handle, error)
	// Open opens a file to read and write, and makes it where there is none.
	Open(path string, perm fs.FileMode) (Handle, error)
	Rename(from, to string) error
	Remove(path string) error
	Mkdir(path string, perm fs.FileMode) error
	// SyncDir makes what was created, renamed and removed in a folder durable.
	SyncDir(path string) error
}

// Handle is an open file.
type Handle interface {
	io.ReadWriteSeeker
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	// Sync makes the content durable, not the name: that is SyncDir's.
	Sync() error
}

// OS is the operating system's files.
type OS struct{}

// Create implements System.
func (OS) Create(path string, perm fs.FileMode) (Handle, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Chmod(perm); err != nil {
		_ = f.Close() // empty and unwanted
		_ = os.Remove(path)
		return nil, err
	}
	return f, nil
}

// Open implements System.
func (OS) Open(path string, perm fs.FileMode) (Handle, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, perm)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Rename implements System.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove implements System.
func (OS) Remove(path string) error { return os.Remove(path) }

// Mkdir implements System.
func (OS) Mkdir(path string, perm fs.FileMode) error { return os.Mkdir(path, perm) }

// SyncDir implements System. Where a system cannot open or sync folders, it does
// nothing: what is renamed there is still whole or absent.
func (OS) SyncDir(path string) error {
	if dir, err := os.Open(path); err == nil {
		_ = dir.Sync()
		_ = dir.Close()
	}
	return nil
}
