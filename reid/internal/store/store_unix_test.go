//go:build unix

package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestCutWhileOpen cuts the file of features under a gallery that has it mapped:
// reading is an error, and no end of the program.
func TestCutWhileOpen(t *testing.T) {
	if !canMap {
		t.Skip("files are not mapped into memory on this system")
	}
	dir := made(t, 5000)
	s := opened(t, dir, systemMapper)
	defer s.Close()
	if err := check(s); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(dir, featuresFile), 0); err != nil {
		t.Fatal(err)
	}
	var damage *Damage
	if err := check(s); !errors.As(err, &damage) || filepath.Base(damage.File) != featuresFile {
		t.Errorf("%v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a panic of the caller's own was swallowed")
		}
	}()
	_ = s.View().Guard(func() error { panic("own") })
}

// TestFullDisk stands for a disk without room: the kernel refuses the write half
// way, here by the limit on file sizes. The gallery stays as it was, and goes on
// when there is room again.
func TestFullDisk(t *testing.T) {
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Skipf("file size limits cannot be read here: %v", err)
	}
	dir := made(t, 3)
	s := opened(t, dir, systemMapper)
	defer s.Close()
	if err := s.Lock(0); err != nil {
		t.Fatal(err)
	}
	limited := old
	for _, limit := range []uint64{logStart + 400, 1000} {
		limited.Cur = limit
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited); err != nil {
			t.Skipf("file size limits cannot be set here: %v", err)
		}
		err := grow(t, s, 3000)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
		if err == nil {
			t.Fatal("a write beyond the limit passed")
		}
		again := opened(t, dir, systemMapper)
		if err := errors.Join(check(s), check(again), again.Close()); err != nil || s.View().Rows() != 3 || again.View().Rows() != 3 {
			t.Fatal(err)
		}
	}
	if err := grow(t, s, 3000); err != nil {
		t.Fatal(err)
	}
	if err := check(s); err != nil || s.View().Rows() != 3003 {
		t.Errorf("%d rows, %v", s.View().Rows(), err)
	}
}
