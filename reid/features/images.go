package features

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/reid"
)

// Images are the images to make features of.
type Images struct {
	// Data describes them, but for checksums.
	Data  Data
	Parts []ImagesPart
	// Root is the folder that the images' names are relative to.
	Root string
}

// ImagesPart is the images of one of Parts. Row.Name is a path, absolute or
// relative to Images.Root.
type ImagesPart struct {
	Name   string
	Images []Row
}

// ImagesOptions of OpenImages.
type ImagesOptions struct {
	// Pattern of the file names of a folder. Default: recognised.
	Pattern *identities.Pattern
}

// What can be wrong with images, besides reid.ErrEmpty and the errors of labels
// and of package identities; test with errors.Is.
var (
	ErrSplit = errors.New("bad split")
	ErrTrack = errors.New("no tracks")
)

// OpenImages lists the images at path, which is one of
//
//   - a folder in one of the layouts of package identities: its queries, gallery and
//     further images;
//   - a folder of images that is not divided into these: all of them are the
//     gallery;
//   - a CSV file (see ReadList), whose paths are relative to its folder: the rows
//     whose split is query, gallery or multi_query, leaving out train and val, or
//     all as the gallery where no row has a split.
//
// A part may be absent; one that is there without images is an error.
func OpenImages(path string, opts ImagesOptions) (*Images, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return openFolder(path, opts)
	}
	return openList(path)
}

func openFolder(path string, opts ImagesOptions) (*Images, error) {
	s := &Images{Data: Data{Path: path}}
	// The set may lie below, as in the folder that its archive was unpacked in.
	at, err := dataset.Recognise(path, dataset.Options{})
	switch {
	case errors.Is(err, dataset.ErrAmbiguous):
		return nil, err
	case err == nil && at.Kind == dataset.Market1501:
		path = at.Path
	}
	s.Root = path
	fsys := os.DirFS(path)
	read := identities.Options{Root: filepath.ToSlash(path), Pattern: opts.Pattern, Missing: true}
	add := func(name string, part identities.Part) error {
		list, err := identities.List(fsys, part, read)
		if err != nil {
			return err
		}
		read.Pattern = list.Pattern // one for all parts
		rows := make([]Row, len(list.Images))
		for i, m := range list.Images {
			rows[i].Name, rows[i].Label = m.File, reid.Label{PID: reid.Number(m.PID), Camera: reid.Number(m.Camera)}
		}
		s.Parts = append(s.Parts, ImagesPart{name, rows})
		return nil
	}
	if !identities.Divided(fsys) {
		s.Data.Undivided = true
		err := add(Gallery, identities.Train)
		if errors.Is(err, identities.ErrEmpty) {
			err = fmt.Errorf("%s: %w: it holds no file that is called like an image, nor the folders of Market-1501 or MSMT17", path, reid.ErrEmpty)
		}
		if err != nil {
			return nil, err
		}
	} else {
		var missing error
		for _, name := range Parts() {
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
	s.Data.ZeroIsIdentity = !read.Pattern.Distractor(identities.Name{PID: identities.Distractor})
	return s, nil
}

func openList(path string) (*Images, error) {
	rows, err := ReadList(path)
	if err != nil {
		return nil, err
	}
	s := &Images{Data: Data{Path: path, Undivided: true}, Root: filepath.Dir(path)}
	for _, r := range rows {
		s.Data.Undivided = s.Data.Undivided && r.Split == ""
	}
	first := make(map[string]Row, len(rows))
	for _, r := range rows {
		name := filepath.Clean(r.Name)
		before, listed := first[name]
		if listed && before.Label != r.Label {
			return nil, &RowError{File: path, Line: r.Line, Err: fmt.Errorf("%w: %.80q is of identity %s by camera %s here and of %s by %s in row %d",
				ErrRow, r.Name, r.PID, r.Camera, before.PID, before.Camera, before.Line)}
		}
		first[name] = r
	}
	parts := make(map[string][]Row)
	for _, r := range rows {
		split := r.Split
		switch split {
		case Query, Gallery, MultiQuery:
		case "train", "val":
			continue
		case "":
			if s.Data.Undivided {
				split = Gallery
				break
			}
			fallthrough
		default:
			return nil, &RowError{File: path, Line: r.Line, Err: fmt.Errorf("%w %.40q: use query, gallery or multi_query in all rows, or in none; rows of train and val are left out", ErrSplit, r.Split)}
		}
		r.Split = ""
		parts[split] = append(parts[split], r)
	}
	for _, name := range Parts() {
		if len(parts[name]) > 0 {
			s.Parts = append(s.Parts, ImagesPart{name, parts[name]})
		}
	}
	if len(s.Parts) == 0 {
		return nil, fmt.Errorf("%s: %w: no row is of the split query, gallery or multi_query", path, reid.ErrEmpty)
	}
	return s, nil
}

// file is the path of an image.
func (s *Images) file(r Row) string {
	if filepath.IsAbs(r.Name) {
		return r.Name
	}
	return filepath.Join(s.Root, filepath.FromSlash(r.Name))
}

// count counts those of all parts.
func (s *Images) count() int {
	n := 0
	for _, p := range s.Parts {
		n += len(p.Images)
	}
	return n
}

// imagesFile is the file of a folder of features that lists the images with
// their sizes and times of change, in nanoseconds since 1970.
const imagesFile = "images.csv"

// checksums sets those of d: of the listing with its labels, and of the images'
// sizes and times of change, which it returns as a CSV file. A file that is not
// there, or whose path leads nowhere, counts as one.
func (s *Images) checksums(d *Data) (listing []byte, err error) {
	h := sha256.New()
	var text bytes.Buffer
	out := csv.NewWriter(&text)
	err = out.Write([]string{"part", "name", "bytes", "modified"})
	for _, p := range s.Parts {
		for _, r := range p.Images {
			size, changed := int64(-1), ""
			info, statErr := os.Stat(s.file(r))
			switch {
			case statErr == nil:
				size, changed = info.Size(), strconv.FormatInt(info.ModTime().UnixNano(), 10)
			case !broken(statErr):
				return nil, statErr
			}
			fmt.Fprintf(h, "%q\n", []any{p.Name, r.Name, fmt.Sprintf("%s %s %d", r.PID, r.Camera, size), r.Track, r.Time}) // which cannot fail
			err = errors.Join(err, out.Write([]string{p.Name, r.Name, strconv.FormatInt(size, 10), changed}))
		}
	}
	out.Flush()
	d.SHA256, d.ImagesSHA256 = hex.EncodeToString(h.Sum(nil)), sha256Of(text.Bytes())
	return text.Bytes(), errors.Join(err, out.Error())
}

// ImageFiles returns image files, given by their paths, as queries. Their labels are
// read from their names where the pattern, which may be nil, fits; else they are
// unknown.
func ImageFiles(paths []string, pattern *identities.Pattern) *Images {
	rows := make([]Row, len(paths))
	for i, path := range paths {
		rows[i].Name = path
		if pattern == nil {
			continue
		}
		if name, err := pattern.Parse(filepath.ToSlash(path)); err == nil {
			rows[i].Label = reid.Label{PID: reid.Number(name.PID), Camera: reid.Number(name.Camera)}
		}
	}
	return &Images{Data: Data{Path: "the images"}, Parts: []ImagesPart{{Query, rows}}}
}
