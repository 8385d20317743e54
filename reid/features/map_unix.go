//go:build (linux || darwin || freebsd || netbsd || dragonfly) && (amd64 || arm64)

package features

import (
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

// canMap: files can be mapped into memory, and hold numbers as memory does.
const canMap = true

func mapFile(f *os.File, size int64) (data []byte, unmap func() error, err error) {
	data, err = syscall.Mmap(int(f.Fd()), 0, int(size), syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		return nil, nil, fmt.Errorf("mapping it into memory: %w", err)
	}
	return data, func() error { return syscall.Munmap(data) }, nil
}

func floatsOf(data []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(data))), len(data)/4)
}
