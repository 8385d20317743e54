package ranking

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/deepmutual/dml/internal/files"
)

// ErrExtension is wrapped by Save's error for a file that is neither .html nor
// .png.
var ErrExtension = errors.New("unknown kind of file")

// Kind tells what a page is written as, "html" or "png", by a file's name.
func Kind(path string) (string, error) {
	switch ext := strings.ToLower(filepath.Ext(path)); ext {
	case ".html", ".htm":
		return "html", nil
	case ".png":
		return "png", nil
	default:
		return "", fmt.Errorf("%s: %w: a page is written as .html or .png", path, ErrExtension)
	}
}

// Save writes a page to a file, as HTML or PNG by its name. The file is whole
// or absent.
func Save(ctx context.Context, path string, p Page) (err error) {
	kind, err := Kind(path)
	if err != nil {
		return err
	}
	f, err := files.Create(path, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Discard()) }()
	out := bufio.NewWriter(f)
	write := WriteHTML
	if kind == "png" {
		write = WritePNG
	}
	if err := write(ctx, out, p); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return f.Commit()
}
