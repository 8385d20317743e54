//go:build unix

package training

import (
	"runtime"
	"syscall"
)

// peakMemory returns the most memory, in bytes, that the process has held; 0 if
// the system does not tell.
func peakMemory() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	if runtime.GOOS == "darwin" || runtime.GOOS == "ios" {
		return int64(usage.Maxrss)
	}
	return int64(usage.Maxrss) * 1024
}
