//go:build unix

package extract

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// lock claims a folder of partial work for this process; closing the file, or
// the end of the process, gives it back.
func lock(partial string) (*os.File, error) {
	path := filepath.Join(partial, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrBusy
		}
		return nil, errors.Join(fmt.Errorf("%s: %w", partial, err), f.Close())
	}
	// Whoever held the lock may have finished and removed the folder meanwhile.
	held, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if there, err := os.Stat(path); err != nil || !os.SameFile(held, there) {
		return nil, errors.Join(fmt.Errorf("%s: %w", partial, ErrBusy), f.Close())
	}
	return f, nil
}
