package dataset

import (
	"io/fs"
	"path"
	"path/filepath"

	"github.com/deepmutual/dml/internal/pixels"
)

// File is a labelled image file.
type File struct {
	Name  string // within the file system
	Label int
}

// Files is a Dataset whose images are JPEG and PNG files, told apart by their
// content and decoded at each call of Image in the size they are stored in.
type Files struct {
	name    string
	fsys    fs.FS
	root    string
	classes []string
	files   []File
}

// NewFiles returns a Dataset over files of fsys. Errors put root, the path of
// fsys, before names that are not absolute. Labels must be indices into
// classes. It keeps the slices, not copies.
func NewFiles(name string, fsys fs.FS, root string, classes []string, files []File) *Files {
	return &Files{name: name, fsys: fsys, root: root, classes: classes, files: files}
}

// Name implements Dataset.
func (f *Files) Name() string { return f.name }

// Classes implements Dataset.
func (f *Files) Classes() []string { return f.classes }

// Len implements Dataset.
func (f *Files) Len() int { return len(f.files) }

// Label implements Dataset.
func (f *Files) Label(i int) int { return f.files[i].Label }

// File returns the name of sample i's file within the file system.
func (f *Files) File(i int) string { return f.files[i].Name }

// Image implements Dataset. The error is a *DataError that wraps pixels'
// reason.
func (f *Files) Image(i int) (Image, error) {
	m, err := f.decode(f.files[i].Name)
	if err != nil {
		name := f.files[i].Name
		if !filepath.IsAbs(name) {
			name = path.Join(f.root, name)
		}
		return Image{}, &DataError{File: name, Record: -1, Err: err}
	}
	return m, nil
}

func (f *Files) decode(name string) (Image, error) {
	file, err := f.fsys.Open(name)
	if err != nil {
		return Image{}, err
	}
	defer file.Close() // opened for reading: nothing is lost if this fails
	return pixels.DecodeFrom(file)
}
