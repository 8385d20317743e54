// Package raw is what the readers of formats hand to package dataset: where the
// images are, or their samples, and which class each is of.
package raw

import (
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Data is the parts of a data set. Val and Test are nil where it has none.
type Data struct {
	Classes          []string // a label is an index into it
	Train, Val, Test *Part
	// Undivided says that the data does not tell what is for testing, and leaves
	// that to the caller.
	Undivided bool
	// LeftAside are folders that belong to no part.
	LeftAside []string
	// Skipped files are not images: how many of each kind.
	Skipped map[string]int
}

// Part is labelled images: either files or, where Files is nil, samples in Pix,
// one image after another in HWC order.
type Part struct {
	Name   string // as in "mnist/train"
	Labels []int
	Files  []string // within the file system

	Channels, Height, Width int
	Pix                     []uint8
}

// Len is the number of images.
func (p *Part) Len() int {
	if p == nil {
		return 0
	}
	return len(p.Labels)
}

// Error says which file, and which part of it, is bad.
type Error struct {
	File   string
	Record int // 0-based image, label or line; -1 for none
	Row    int // 1-based line of a list, as an editor counts; 0 for none
	Err    error
}

func (e *Error) Error() string {
	switch {
	case e.Row > 0:
		return fmt.Sprintf("%s: row %d: %v", e.File, e.Row, e.Err)
	case e.Record >= 0:
		return fmt.Sprintf("%s: record %d (counted from 0): %v", e.File, e.Record, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.File, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// ImageName reports whether a file is called like an image that can be decoded.
func ImageName(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif":
		return true
	}
	return false
}

// KindOf is what a file that is left out is counted as: the end of its name.
func KindOf(name string) string {
	if ext := strings.ToLower(path.Ext(name)); ext != "" {
		return ext
	}
	return "no extension"
}

// Hidden reports whether a name starts with a dot.
func Hidden(name string) bool { return strings.HasPrefix(name, ".") }

// HasFolder reports whether name is a folder.
func HasFolder(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.IsDir()
}

// HasFile reports whether name is a regular file.
func HasFile(fsys fs.FS, name string) bool {
	info, err := fs.Stat(fsys, name)
	return err == nil && info.Mode().IsRegular()
}
