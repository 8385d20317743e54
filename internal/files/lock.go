package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/gofrs/flock"
)

// ErrHeld says that another process, or another Lock of this one, holds a lock.
var ErrHeld = errors.New("held by another process")

// Lock is held from TakeLock to Release. The system gives it back when the
// process ends, however it ends.
type Lock struct{ f *flock.Flock }

// TakeLock locks the file at path, which it makes if there is none, or fails at
// once with ErrHeld. Locks are advisory: they bind those who take them.
func TakeLock(path string) (*Lock, error) {
	if err := CheckRegular(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f := flock.New(path, flock.SetFlag(os.O_CREATE|os.O_RDWR), flock.SetPermissions(0o644))
	switch got, err := f.TryLock(); {
	case err != nil:
		return nil, fmt.Errorf("locking %s: %w", path, err)
	case !got:
		return nil, fmt.Errorf("%s: %w", path, ErrHeld)
	}
	// Whoever held the lock may have removed the file meanwhile; a lock on a
	// file without a name protects nothing.
	held, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if named, err := os.Stat(path); err != nil || !os.SameFile(held, named) {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, ErrHeld), f.Close())
	}
	return &Lock{f}, nil
}

// Release gives the lock back, and leaves the file.
func (l *Lock) Release() error { return l.f.Close() }
