package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrTarget is wrapped by the errors about paths at which there can be no file.
var ErrTarget = errors.New("no place for a file")

// CheckTarget tells beforehand whether a file can be put at path: the folder is there,
// and what is at path, if anything, is a file. It makes nothing, so that a folder
// that may not be written to, or a full disk, are told by Create and Write.
func CheckTarget(path string) error {
	_, err := resolve(path)
	return err
}

// resolve follows links, so that a file replaces what a link leads to and not the
// link. Folders are refused, and above all devices and pipes: to rename a file
// over /dev/null takes it away from the whole machine.
func resolve(path string) (string, error) {
	if path == "" {
		return "", fmt.Errorf("%w: the path is empty", ErrTarget)
	}
	info, err := os.Stat(path) // before the links: that of /dev/stdout leads to a pipe without a name
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path, checkFolder(path)
	case err != nil:
		return "", fmt.Errorf("creating %s: %w", path, err)
	case info.IsDir():
		return "", fmt.Errorf("%s: %w: it is a folder", path, ErrTarget)
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s: %w: it is a device or another special file", path, ErrTarget)
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", fmt.Errorf("creating %s: %w", path, err)
	}
	return target, nil
}

// checkFolder insists on the folder of a file that is not there yet.
func checkFolder(path string) error {
	dir := filepath.Dir(path)
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("creating %s: %w: the folder %s does not exist: %w", path, ErrTarget, dir, fs.ErrNotExist)
	case err != nil:
		return fmt.Errorf("creating %s: %w", path, err)
	case !info.IsDir():
		return fmt.Errorf("creating %s: %w: %s is not a folder", path, ErrTarget, dir)
	}
	return nil
}
