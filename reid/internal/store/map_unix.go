//go:build linux || darwin || freebsd || netbsd || dragonfly

package store

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// canMap: what is written to a file shows in its mappings.
const canMap = true

func mapSegment(f *os.File, offset int64, length int) (*segment, error) {
	b, err := syscall.Mmap(int(f.Fd()), offset, length, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("mapping %s into memory: %w", f.Name(), err)
	}
	return &segment{
		data:  unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), length/4),
		unmap: func() error { return syscall.Munmap(b) },
	}, nil
}
