// Package identities reads person re-identification data sets in the layout of
// Market-1501 (Zheng et al., ICCV 2015), whose file names tell who is seen by
// which camera, and those with names of their own: MSMT17, CUHK03-NP, PKU-Reid.
//
//	DIR/bounding_box_train/*   people to train on
//	DIR/query/*                the queries of the test
//	DIR/bounding_box_test/*    the gallery they are looked for in
//	DIR/gt_bbox/*              further images of the queries' people
//
// VeRi-776's image_train, image_query and image_test are read likewise.
// Images may lie in folders below these. MSMT17's list_train.txt and similar lists
// stand for the folders where they are there.
package identities

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/deepmutual/dml/dataset/internal/raw"
)

// Part is one of the sets that the protocol divides the images into.
type Part string

const (
	Train      Part = "train"
	Query      Part = "query"
	Gallery    Part = "gallery"
	MultiQuery Part = "multi_query" // all images of the queries' people
)

// Folder is that of the part's images in Market-1501's layout.
func (p Part) Folder() string { return places[p].folder }

// place is where a part lies.
type place struct {
	folder string
	veri   string   // the folder of VeRi-776
	lists  []string // of MSMT17
	below  []string // what its lists are relative to
}

// in is the folder in fsys, or empty.
func (p place) in(fsys fs.FS) string {
	for _, name := range []string{p.folder, p.veri} {
		if name != "" && raw.HasFolder(fsys, name) {
			return name
		}
	}
	return ""
}

// places are where the parts lie.
var places = map[Part]place{
	Train:      {"bounding_box_train", "image_train", []string{"list_train.txt", "list_val.txt"}, []string{"train", "mask_train_v2"}},
	Query:      {"query", "image_query", []string{"list_query.txt"}, []string{"test", "mask_test_v2"}},
	Gallery:    {"bounding_box_test", "image_test", []string{"list_gallery.txt"}, []string{"test", "mask_test_v2"}},
	MultiQuery: {"gt_bbox", "", nil, nil},
}

// What can be wrong with a folder; test with errors.Is.
var (
	ErrPart  = errors.New("the part is not there")
	ErrEmpty = errors.New("no images")
	ErrList  = errors.New("bad line")
)

// Options of List.
type Options struct {
	// Root is put before file names in errors: the path of the folder that is
	// read. Default: names relative to that folder.
	Root string
	// Pattern of the names. Default: the first of Patterns that fits the first
	// image.
	Pattern *Pattern
	// Missing lists also names in folders that lead to no file, such as links to
	// nothing, for callers that tell which images they cannot read. Default: they
	// are errors.
	Missing bool
}

// Image is an image of a person.
type Image struct {
	File string // within the file system
	Name
}

// Listing is the images of a part.
type Listing struct {
	Images  []Image // by file name, or in the list's order
	Pattern *Pattern
	Skipped map[string]int // files that are not called like images: how many, by the end of their names
}

// Present tells whether fsys is laid out as this package reads: it has one of
// the parts, or holds images of people itself.
func Present(fsys fs.FS) bool {
	if Divided(fsys) {
		return true
	}
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return false
	}
	first := ""
	for _, e := range entries {
		switch {
		case raw.Hidden(e.Name()):
		case e.IsDir():
			return false
		case first == "" && raw.ImageName(e.Name()):
			first = e.Name()
		}
	}
	return first != "" && Recognise(first) != nil
}

// Divided tells whether fsys has any of the parts; List takes a folder that has
// none as a whole, for Train.
func Divided(fsys fs.FS) bool {
	for _, p := range places {
		if p.in(fsys) != "" || len(p.lists) > 0 && raw.HasFile(fsys, p.lists[0]) {
			return true
		}
	}
	return false
}

// Aside lists the folders of the parts other than the given one.
func Aside(fsys fs.FS, part Part) []string {
	var out []string
	for _, other := range []Part{Train, Query, Gallery, MultiQuery} {
		if name := places[other].in(fsys); other != part && name != "" {
			out = append(out, name)
		}
	}
	return out
}

// List lists the images of a part, junk and distractors included. A folder
// without any of the parts whose images lie in it directly is all Train. Names
// that start with a dot are ignored; of the others those that are called like
// images, such as .jpg, must fit the pattern. Errors about the data are
// wrapped with the file's name.
func List(fsys fs.FS, part Part, opts Options) (Listing, error) {
	r := reader{fsys: fsys, root: opts.Root, missingToo: opts.Missing, out: Listing{Pattern: opts.Pattern, Skipped: make(map[string]int)}}
	place, ok := places[part]
	if !ok {
		return Listing{}, fmt.Errorf("unknown part %q: want train, query, gallery or multi_query", part)
	}
	var err error
	switch {
	case place.in(fsys) != "":
		err = r.folder(place.in(fsys))
	case len(place.lists) > 0 && raw.HasFile(fsys, place.lists[0]):
		err = r.lists(place.lists, place.below)
	case part == Train && !Divided(fsys):
		err = r.folder(".")
	default:
		return Listing{}, r.fail(".", -1, r.missing(part))
	}
	if err != nil {
		return Listing{}, err
	}
	if len(r.out.Images) == 0 {
		return Listing{}, r.fail(".", -1, fmt.Errorf("%w of the %s part", ErrEmpty, part))
	}
	return r.out, nil
}

type reader struct {
	fsys fs.FS
	root string
	out  Listing

	missingToo bool
}

func (r *reader) fail(file string, record int, err error) error {
	return &raw.Error{File: path.Join(r.root, file), Record: record, Err: err}
}

// missing says that a part is not there, and what to do.
func (r *reader) missing(part Part) error {
	p := places[part]
	want := "a folder " + p.folder
	if len(p.lists) > 0 {
		want += ", or MSMT17's " + p.lists[0]
	}
	for _, sub := range []string{"detected", "labeled"} { // CUHK03-NP holds the set twice
		if raw.HasFolder(r.fsys, path.Join(sub, p.folder)) {
			return fmt.Errorf("%w: looked for %s; give the folder %s in it", ErrPart, want, sub)
		}
	}
	return fmt.Errorf("%w: looked for %s", ErrPart, want)
}

// folder lists the images in dir and below it.
func (r *reader) folder(dir string) error {
	return fs.WalkDir(r.fsys, dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return r.fail(name, -1, err)
		}
		if !utf8.ValidString(name) {
			return r.fail(path.Dir(name), -1, fmt.Errorf("the name %q in it is not valid UTF-8: rename it", path.Base(name)))
		}
		if name != dir && raw.Hidden(e.Name()) {
			if e.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if e.IsDir() {
			return nil
		}
		if !raw.ImageName(name) {
			r.out.Skipped[raw.KindOf(name)]++
			return nil
		}
		kind := e.Type()
		if kind&fs.ModeSymlink != 0 {
			info, err := fs.Stat(r.fsys, name)
			switch {
			case err == nil:
				kind = info.Mode().Type()
			case !r.missingToo:
				return r.fail(name, -1, err)
			}
		}
		if !kind.IsRegular() && !r.missingToo { // opening it could block for ever
			return r.fail(name, -1, errors.New("no regular file, but called like an image: remove it"))
		}
		return r.add(name, name, -1)
	})
}

// add parses the name of an image; where it does not fit, the error is about a
// line of a list or about the file itself.
func (r *reader) add(name, where string, line int) error {
	if r.out.Pattern == nil {
		if r.out.Pattern = Recognise(name); r.out.Pattern == nil {
			return r.fail(where, line, fmt.Errorf("%w: %s fits none of %s; give a pattern", ErrName, path.Base(name), strings.Join(Patterns(), ", ")))
		}
	}
	n, err := r.out.Pattern.Parse(name)
	if err != nil {
		return r.fail(where, line, err)
	}
	r.out.Images = append(r.out.Images, Image{name, n})
	return nil
}

// lists reads MSMT17's lists, of which the first must be there. A line is a
// file and a label, which is the identity in the name.
func (r *reader) lists(names, below []string) error {
	dir := ""
	for _, b := range below {
		if raw.HasFolder(r.fsys, b) {
			dir = b
			break
		}
	}
	if dir == "" {
		return r.fail(".", -1, fmt.Errorf("%w: %s is there, the folder %s of its images is not", ErrPart, names[0], strings.Join(below, " or ")))
	}
	for i, name := range names {
		f, err := r.fsys.Open(name)
		if i > 0 && errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return r.fail(name, -1, err)
		}
		err = r.list(f, name, dir)
		f.Close() // opened for reading: nothing is lost if this fails
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) list(f fs.File, name, dir string) error {
	lines := bufio.NewScanner(f)
	for record := 0; lines.Scan(); record++ {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) == 0:
			continue
		case len(words) != 2 || !fs.ValidPath(words[0]) || !utf8.ValidString(words[0]):
			return r.fail(name, record, fmt.Errorf("%w %.80q: want a file and a label", ErrList, lines.Text()))
		}
		if err := r.add(path.Join(dir, words[0]), name, record); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return r.fail(name, -1, err)
	}
	return nil
}
