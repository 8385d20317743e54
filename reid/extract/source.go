package extract

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// Source is the images to make features of.
type Source struct {
	// Data describes it. Run sets its checksum.
	Data  features.Data
	Parts []Part
	// Root is the folder that the images' names are relative to.
	Root string
}

// Part is the images of one of features.Parts. Row.Name is a path, absolute or
// relative to Source.Root.
type Part struct {
	Name   string
	Images []features.Row
}

// SourceOptions of Open.
type SourceOptions struct {
	// Pattern of the file names of a folder. Default: recognised.
	Pattern *identities.Pattern
}

// What can be wrong with a source, besides reid.ErrEmpty and the errors of
// packages features and market1501; test with errors.Is.
var (
	ErrSplit = errors.New("bad split")
	ErrTrack = errors.New("no tracks")
)

// Open lists the images at path: of a folder in one of the layouts of package
// market1501 its queries, gallery and further images; of a folder of images
// that is not divided into these, all of them as the gallery; of a CSV file (see
// features.ReadList), whose paths are relative to its folder, the rows whose
// split is query, gallery or multi_query, leaving out train and val, or all as
// the gallery where no row has a split. Parts without images are errors, other
// than parts that are not there.
func Open(path string, opts SourceOptions) (*Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openFolder(path, opts)
	}
	return openList(path)
}

func openFolder(path string, opts SourceOptions) (*Source, error) {
	s := &Source{Data: features.Data{Path: path}, Root: path}
	fsys := os.DirFS(path)
	read := identities.Options{Root: filepath.ToSlash(path), Pattern: opts.Pattern, Missing: true}
	add := func(name string, part identities.Part) error {
		list, err := identities.List(fsys, part, read)
		if err != nil {
			return err
		}
		read.Pattern = list.Pattern // one for all parts
		rows := make([]features.Row, len(list.Images))
		for i, m := range list.Images {
			rows[i].Name, rows[i].Label = m.File, reid.Label{PID: reid.Number(m.PID), Camera: reid.Number(m.Camera)}
		}
		s.Parts = append(s.Parts, Part{name, rows})
		return nil
	}
	if !identities.Divided(fsys) {
		s.Data.Undivided = true
		err := add(features.Gallery, identities.Train)
		if errors.Is(err, identities.ErrEmpty) {
			err = fmt.Errorf("%s: %w: it holds no .jpg, .jpeg or .png file, nor the folders of Market-1501 or MSMT17", path, reid.ErrEmpty)
		}
		if err != nil {
			return nil, err
		}
	} else {
		var missing error
		for _, name := range features.Parts() {
			err := add(name, identities.Part(name))
			if errors.Is(err, identities.ErrPart) {
				missing = cmp.Or(missing, err)
				continue
			}
			if err != nil {
				return nil, err
			}
		}
		if len(s.Parts) == 0 {
			return nil, missing
		}
	}
	s.Data.Pattern = read.Pattern.String()
	s.Data.ZeroIsPerson = !read.Pattern.Distractor(identities.Name{PID: identities.Distractor})
	return s, nil
}

func openList(path string) (*Source, error) {
	rows, err := features.ReadList(path)
	if err != nil {
		return nil, err
	}
	s := &Source{Data: features.Data{Path: path, Undivided: true}, Root: filepath.Dir(path)}
	for _, r := range rows {
		s.Data.Undivided = s.Data.Undivided && r.Split == ""
	}
	parts := make(map[string][]features.Row)
	for _, r := range rows {
		split := r.Split
		switch split {
		case features.Query, features.Gallery, features.MultiQuery:
		case "train", "val":
			continue
		case "":
			if s.Data.Undivided {
				split = features.Gallery
				break
			}
			fallthrough
		default:
			return nil, &features.RowError{File: path, Line: r.Line, Err: fmt.Errorf("%w %.40q: use query, gallery or multi_query in all rows, or in none; rows of train and val are left out", ErrSplit, r.Split)}
		}
		r.Split = ""
		parts[split] = append(parts[split], r)
	}
	for _, name := range features.Parts() {
		if len(parts[name]) > 0 {
			s.Parts = append(s.Parts, Part{name, parts[name]})
		}
	}
	if len(s.Parts) == 0 {
		return nil, fmt.Errorf("%s: %w: no row is of the split query, gallery or multi_query", path, reid.ErrEmpty)
	}
	return s, nil
}

// file is the path of an image.
func (s *Source) file(r features.Row) string {
	if filepath.IsAbs(r.Name) {
		return r.Name
	}
	return filepath.Join(s.Root, filepath.FromSlash(r.Name))
}

// images counts those of all parts.
func (s *Source) images() int {
	n := 0
	for _, p := range s.Parts {
		n += len(p.Images)
	}
	return n
}

// checksums are of the listing and of the files' times of change. A file that
// is not there, or whose path leads nowhere, counts as one.
func (s *Source) checksums() (listing, times string, err error) {
	h, t := sha256.New(), sha256.New()
	put := func(h hash.Hash, values ...any) { fmt.Fprintf(h, "%q\n", values) } // which cannot fail
	for _, p := range s.Parts {
		for _, r := range p.Images {
			size := int64(-1)
			info, err := os.Stat(s.file(r))
			switch {
			case err == nil:
				size = info.Size()
				put(t, fmt.Sprint(info.ModTime().UnixNano()))
			case !broken(err):
				return "", "", err
			}
			put(h, p.Name, r.Name, fmt.Sprintf("%s %s %d", r.PID, r.Camera, size), r.Track, r.Time)
		}
	}
	return hex.EncodeToString(h.Sum(nil)), hex.EncodeToString(t.Sum(nil)), nil
}
