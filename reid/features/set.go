package features

import (
	"errors"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/reid"
)

// Set is loaded features.
type Set struct {
	// Query, Gallery and MultiQuery, nil where they were not asked for. Of data that
	// names no queries (Data.Undivided) Query is the Gallery itself.
	Query, Gallery, MultiQuery *SetPart
	// Recipe is how they were made; nil where nothing says it.
	Recipe *Recipe
	// Data that they were made of; the zero value for bare files.
	Data Data
	// Skipped images, which could not be read.
	Skipped []Skipped
	unmap   []func() error
}

// SetPart is the features of a part, with their labels and names.
type SetPart struct {
	reid.Set
	Rows []Row
	// List is the file that the Rows are from, or the folder of the images.
	List string
	// Root is the folder that the names of Rows are relative to, as far as they
	// are.
	Root string
	part string
}

// Close frees what is mapped into memory. The features cannot be used after it.
func (s *Set) Close() error {
	var errs []error
	for _, unmap := range s.unmap {
		errs = append(errs, unmap())
	}
	s.unmap = nil
	return errors.Join(errs...)
}

// Fingerprint is that of the recipe, "" where it is not known.
func (s *Set) Fingerprint() string {
	if s.Recipe == nil {
		return ""
	}
	return s.Recipe.Fingerprint()
}

// Part returns the part of a name, nil where it was not loaded.
func (s *Set) Part(name string) *SetPart {
	switch name {
	case Query:
		return s.Query
	case Gallery:
		return s.Gallery
	case MultiQuery:
		return s.MultiQuery
	}
	return nil
}

// name is for errors.
func (s *Set) name() string {
	for _, p := range []*SetPart{s.Gallery, s.Query, s.MultiQuery} {
		if p != nil {
			return p.Name
		}
	}
	return s.Data.Path
}

// Entries are the images of the part as those of a gallery. Faults are *RowErrors.
func (p *SetPart) Entries() ([]reid.Entry, error) { return Entries(p.List, p.Rows) }

// Open opens the file of an image.
func (p *SetPart) Open(i int) (io.ReadCloser, error) {
	path := filepath.FromSlash(p.Rows[i].Name)
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.Root, path)
	}
	f, err := files.Open(path)
	if errors.Is(err, fs.ErrNotExist) && p.part != "" {
		// Labels may name files without their folder.
		if f, again := files.Open(filepath.Join(p.Root, identities.Part(p.part).Folder(), filepath.Base(path))); again == nil {
			return f, nil
		}
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}
