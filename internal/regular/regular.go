// Package regular opens regular files only. Others that a path can lead to, such
// as pipes and devices, could block for ever, or never end.
package regular

import (
	"errors"
	"fmt"
	"io"
	"os"
)

// ErrNot is wrapped by errors about paths that lead to something else.
var ErrNot = errors.New("it is a folder or special file")

// Check tells whether path leads to a file.
func Check(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s: %w", path, ErrNot)
	}
	return nil
}

// Open opens a file to read.
func Open(path string) (*os.File, error) {
	if err := Check(path); err != nil {
		return nil, err
	}
	return os.Open(path)
}

// Read reads a file.
func Read(path string) ([]byte, error) {
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	return io.ReadAll(f)
}
