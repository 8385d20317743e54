package imagefolder

import (
	"io/fs"
	"path"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/internal/pixels"
)

// Folder is a Dataset whose images are files, decoded at each call of Image in
// the size they are stored in.
type Folder struct {
	fsys    fs.FS
	root    string
	name    string
	classes []string
	samples []sample
	skipped int
}

type sample struct {
	file  string
	label int
}

// Name implements dataset.Dataset.
func (f *Folder) Name() string { return f.name }

// Classes implements dataset.Dataset.
func (f *Folder) Classes() []string { return f.classes }

// Len implements dataset.Dataset.
func (f *Folder) Len() int { return len(f.samples) }

// Label implements dataset.Dataset.
func (f *Folder) Label(i int) int { return f.samples[i].label }

// File returns the name of sample i's file within the file system read.
func (f *Folder) File(i int) string { return f.samples[i].file }

// Skipped is the number of files in class folders that are not images.
func (f *Folder) Skipped() int { return f.skipped }

// Image implements dataset.Dataset. The error is a *dataset.DataError that
// wraps pixels' reason.
func (f *Folder) Image(i int) (dataset.Image, error) {
	m, err := f.decode(f.samples[i].file)
	if err != nil {
		return dataset.Image{}, &dataset.DataError{File: path.Join(f.root, f.samples[i].file), Record: -1, Err: err}
	}
	return m, nil
}

func (f *Folder) decode(name string) (dataset.Image, error) {
	file, err := f.fsys.Open(name)
	if err != nil {
		return dataset.Image{}, err
	}
	defer file.Close() // opened for reading: nothing is lost if this fails
	return pixels.DecodeFrom(file)
}
