package dataset

import (
	"context"
	"io/fs"
	"path"
	"path/filepath"

	"github.com/deepmutual/dml/internal/pixels"
)

// files is a Dataset whose images are files, told apart by their content and
// decoded at each call of Image in the size they are stored in.
type files struct {
	name    string
	fsys    fs.FS
	root    string // path of fsys: errors put it before names that are not absolute
	classes []string
	names   []string // within the file system
	labels  []int
}

func (f *files) Name() string      { return f.name }
func (f *files) Classes() []string { return f.classes }
func (f *files) Len() int          { return len(f.names) }
func (f *files) Label(i int) int   { return f.labels[i] }

// Image returns an error that is a *DataError and wraps pixels' reason.
func (f *files) Image(i int) (Image, error) {
	m, err := f.decode(f.names[i])
	if err != nil {
		name := f.names[i]
		if !filepath.IsAbs(name) {
			name = path.Join(f.root, name)
		}
		return Image{}, &DataError{File: name, Record: -1, Err: err}
	}
	return Image(m), nil
}

func (f *files) decode(name string) (pixels.Image, error) {
	file, err := f.fsys.Open(name)
	if err != nil {
		return pixels.Image{}, err
	}
	defer file.Close()                                   // opened for reading: nothing is lost if this fails
	return pixels.DecodeFrom(context.Background(), file) // bounded by the limits on what is decoded
}
