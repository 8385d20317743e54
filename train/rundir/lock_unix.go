//go:build unix

package rundir

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lock claims the folder for this process; the system gives it back when the
// process ends, however it ends.
func (d *Dir) lock() error {
	f, err := os.OpenFile(d.file(lockFile), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrBusy
		}
		return errors.Join(fmt.Errorf("%s: %w", d.path, err), f.Close())
	}
	// Whoever held the lock may have removed the folder meanwhile; a lock on a
	// file without a name protects nothing.
	held, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if named, err := os.Stat(d.file(lockFile)); err != nil || !os.SameFile(held, named) {
		return errors.Join(fmt.Errorf("%s: %w", d.path, ErrBusy), f.Close())
	}
	d.locked = f
	return nil
}
