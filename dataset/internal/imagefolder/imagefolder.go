// Package imagefolder reads data sets laid out as folders of image files, one
// folder a class:
//
//	DIR/train/CLASS/*  DIR/val/CLASS/*  DIR/test/CLASS/*    (val and test optional)
//	DIR/CLASS/*                                             (flat)
//
// Images are decoded when asked for. What a file is, its content says.
package imagefolder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/deepmutual/dml/dataset/internal/raw"
	"github.com/deepmutual/dml/internal/pixels"
)

// What can be wrong with a folder; test with errors.Is.
var (
	ErrLayout  = errors.New("no class folders")
	ErrClasses = errors.New("splits have different classes")
	ErrEmpty   = errors.New("no images")
)

// splitNames are the names a split's folder may have.
var splitNames = [...]struct {
	split string
	names []string
}{
	{"train", []string{"train", "training"}},
	{"val", []string{"val", "valid", "validation", "dev"}},
	{"test", []string{"test", "testing"}},
}

// Split tells whether fsys is divided into splits, of which one is to train on.
func Split(fsys fs.FS) bool {
	r := reader{fsys: fsys}
	dirs, err := r.splitDirs()
	return err == nil && dirs["train"] != ""
}

// Present tells whether fsys has a layout that Read reads: a folder in it that
// is not hidden.
func Present(fsys fs.FS) bool {
	names, err := folders(fsys, ".")
	return err == nil && len(names) > 0
}

// Read lists the images of fsys. It is a split layout where a folder named
// train (also training), val (valid, validation, dev) or test (testing), in any case,
// holds folders itself, and then
// train must be among them and other folders are left aside; else every folder
// is a class. Classes are sorted by name and must be the same in all splits.
//
// Names that start with a dot are ignored. A file called like an image,
// such as .jpg, counts as one, and must turn out to be one when read; of other
// files those are taken that start as an image does, and the rest is counted in
// Data.Skipped. A folder within a class folder is an error, as are a special
// file, such as a pipe, that is called like an image, and a class without
// training images.
//
// The Data of a folder that is not split is Undivided. Errors
// about the data are *raw.Error.
func Read(fsys fs.FS) (raw.Data, error) {
	r := reader{fsys: fsys, skipped: make(map[string]int)}
	dirs, err := r.splitDirs()
	if err != nil {
		return raw.Data{}, err
	}
	if len(dirs) == 0 {
		return r.flat()
	}
	return r.split(dirs)
}

type reader struct {
	fsys    fs.FS
	skipped map[string]int
}

// fail makes an error about a file or folder.
func (r reader) fail(name string, err error) error {
	return &raw.Error{File: name, Record: -1, Err: err}
}

// splitDirs maps splits to the folders that hold them; empty for a flat folder.
func (r reader) splitDirs() (map[string]string, error) {
	here, err := folders(r.fsys, ".")
	if err != nil {
		return nil, r.fail(".", err)
	}
	dirs := make(map[string]string)
	for _, s := range splitNames {
		for _, name := range here {
			if !slices.Contains(s.names, strings.ToLower(name)) {
				continue
			}
			inside, err := folders(r.fsys, name)
			if err != nil {
				return nil, r.fail(name, err)
			}
			if len(inside) == 0 {
				continue
			}
			if other, ok := dirs[s.split]; ok {
				return nil, r.fail(".", fmt.Errorf("both %s and %s could be the %s split: remove or rename one", other, name, s.split))
			}
			dirs[s.split] = name
		}
	}
	return dirs, nil
}

// aside lists the folders that are none of the splits.
func (r reader) aside(dirs map[string]string) []string {
	here, _ := folders(r.fsys, ".") // which has been read before
	for _, dir := range dirs {
		here = slices.DeleteFunc(here, func(name string) bool { return name == dir })
	}
	return here
}

func (r reader) split(dirs map[string]string) (raw.Data, error) {
	parts := make(map[string]*raw.Part)
	var classes []string
	for _, s := range splitNames { // in a fixed order, for the same error each time
		dir, ok := dirs[s.split]
		if !ok {
			if s.split == "train" {
				return raw.Data{}, r.fail("train", fmt.Errorf("%w: a folder with other splits needs train/CLASS/* too", ErrLayout))
			}
			continue
		}
		part, own, err := r.folder(dir, s.split)
		if err != nil {
			return raw.Data{}, err
		}
		if classes == nil {
			classes = own
		}
		if err := r.sameClasses(classes, own, dir); err != nil {
			return raw.Data{}, err
		}
		if part.Len() == 0 {
			return raw.Data{}, r.fail(dir, ErrEmpty)
		}
		parts[s.split] = part
	}
	if err := r.noEmptyClass(parts["train"], classes, dirs["train"]); err != nil {
		return raw.Data{}, err
	}
	return raw.Data{Classes: classes, Train: parts["train"], Val: parts["val"], Test: parts["test"], Skipped: r.skipped, LeftAside: r.aside(dirs)}, nil
}

func (r reader) flat() (raw.Data, error) {
	all, classes, err := r.folder(".", "train")
	if err != nil {
		return raw.Data{}, err
	}
	if err := r.noEmptyClass(all, classes, "."); err != nil {
		return raw.Data{}, err
	}
	return raw.Data{Classes: classes, Train: all, Undivided: true, Skipped: r.skipped}, nil
}

// sameClasses compares the classes of a split with the training split's.
func (r reader) sameClasses(train, own []string, dir string) error {
	if slices.Equal(train, own) {
		return nil
	}
	var diff []string
	for _, c := range train {
		if !slices.Contains(own, c) {
			diff = append(diff, c+" is missing")
		}
	}
	for _, c := range own {
		if !slices.Contains(train, c) {
			diff = append(diff, c+" is not in the training split")
		}
	}
	return r.fail(dir, fmt.Errorf("%w: %s", ErrClasses, shortList(diff)))
}

func (r reader) noEmptyClass(part *raw.Part, classes []string, dir string) error {
	count := make([]int, len(classes))
	for _, label := range part.Labels {
		count[label]++
	}
	for label, n := range count {
		if n == 0 {
			return r.fail(path.Join(dir, classes[label]), ErrEmpty)
		}
	}
	return nil
}

// folder lists the classes in dir and their images.
func (r reader) folder(dir, split string) (part *raw.Part, classes []string, err error) {
	classes, err = folders(r.fsys, dir)
	if err != nil {
		return nil, nil, r.fail(dir, err)
	}
	if len(classes) == 0 {
		return nil, nil, r.fail(dir, ErrLayout)
	}
	for _, class := range classes {
		if err := r.validName(dir, class); err != nil {
			return nil, nil, err
		}
	}
	part = &raw.Part{Name: "imagefolder/" + split}
	for label, class := range classes {
		entries, err := fs.ReadDir(r.fsys, path.Join(dir, class))
		if err != nil {
			return nil, nil, r.fail(path.Join(dir, class), err)
		}
		for _, e := range entries { // sorted by name
			if raw.Hidden(e.Name()) {
				continue
			}
			if err := r.validName(path.Join(dir, class), e.Name()); err != nil {
				return nil, nil, err
			}
			name := path.Join(dir, class, e.Name())
			isImage, err := r.isImage(name, e)
			if err != nil {
				return nil, nil, r.fail(name, err)
			}
			if !isImage {
				r.skipped[raw.KindOf(name)]++
				continue
			}
			part.Files, part.Labels = append(part.Files, name), append(part.Labels, label)
		}
	}
	return part, classes, nil
}

// validName refuses names that neither an fs.FS nor a model's list of classes
// can hold.
func (r reader) validName(dir, name string) error {
	if utf8.ValidString(name) {
		return nil
	}
	return r.fail(dir, fmt.Errorf("the name %q in it is not valid UTF-8: rename it", name))
}

// isImage decides whether a file in a class folder is taken.
func (r reader) isImage(name string, e fs.DirEntry) (bool, error) {
	kind := e.Type()
	if kind&fs.ModeSymlink != 0 {
		info, err := fs.Stat(r.fsys, name)
		if err != nil {
			return false, err
		}
		kind = info.Mode().Type()
	}
	if kind.IsDir() {
		return false, errors.New("a folder within a class folder: images must lie in it directly")
	}
	named := raw.ImageName(name)
	if !kind.IsRegular() { // opening it could block for ever
		if named {
			return false, errors.New("a special file called like an image: remove it")
		}
		return false, nil
	}
	if named {
		return true, nil // opening each would make large folders slow to list
	}
	f, err := r.fsys.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	head := make([]byte, pixels.SniffLen)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return false, err
	}
	return pixels.Sniff(head[:n]) != "", nil
}

// folders returns the names of the folders in dir, sorted, hidden ones left out
// and links to folders included.
func folders(fsys fs.FS, dir string) ([]string, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if raw.Hidden(e.Name()) {
			continue
		}
		isDir := e.IsDir()
		if e.Type()&fs.ModeSymlink != 0 && !utf8.ValidString(e.Name()) {
			isDir = true // nothing can be known of it; the reader reports its name
		} else if e.Type()&fs.ModeSymlink != 0 {
			info, err := fs.Stat(fsys, path.Join(dir, e.Name()))
			isDir = err == nil && info.IsDir()
		}
		if isDir {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

// shortList joins the first few of a list.
func shortList(items []string) string {
	const most = 5
	if len(items) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(items[:most], ", "), len(items)-most)
	}
	return strings.Join(items, ", ")
}
