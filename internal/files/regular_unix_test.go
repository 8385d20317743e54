//go:build unix

package files

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

// TestPipe would block for ever on a pipe that nobody writes to.
func TestPipe(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o644); err != nil {
		t.Skipf("skipped: named pipes cannot be made here: %v", err)
	}
	if _, err := Open(pipe); !errors.Is(err, ErrNotRegular) {
		t.Errorf("%v", err)
	}
}
