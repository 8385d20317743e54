package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/dataset/internal/cifar"
	"github.com/deepmutual/dml/dataset/internal/imagefolder"
	"github.com/deepmutual/dml/dataset/internal/mnist"
	"github.com/deepmutual/dml/dataset/internal/raw"
)

// What Open and Recognise say of a path whose data they cannot tell; test with
// errors.Is.
var (
	ErrUnknown   = errors.New("no data set recognised")
	ErrAmbiguous = errors.New("it could be several things")
)

// Recognise tells what the folder at path holds, and where, without reading it.
// It looks for the layout of one Kind in the folder itself, and where there is
// none in the folders below, at most two deep, of which exactly one may have one.
// Last, a folder of folders is taken for one with a folder a class.
func Recognise(path string, opts Options) (Report, error) {
	at, err := recognise(os.DirFS(path), path, opts)
	if err != nil {
		return Report{}, err
	}
	return Report{Kind: at.kind, Path: filepath.Join(path, filepath.FromSlash(at.folder)), LeftAside: at.aside}, nil
}

// found is a layout in a folder within a file system, and what lies beside it.
type found struct {
	kind   Kind
	folder string
	aside  []string
}

// recognise is Recognise of fsys, the folder at name. Where a kind is given, only
// that is looked for, and fsys itself is the answer where it is not found: its
// reader can say best what is missing.
func recognise(fsys fs.FS, name string, opts Options) (found, error) {
	want := opts.Kind
	if want == Auto && opts.Pattern != "" {
		want = Market1501
	}
	matches := func(k Kind) bool { return want == Auto || k == want }
	here := slices.DeleteFunc(layouts(fsys), func(k Kind) bool { return !matches(k) })
	switch {
	case len(here) == 1:
		return found{kind: here[0], folder: "."}, nil
	case len(here) > 1:
		return found{}, fmt.Errorf("%s: %w: %v; give the kind of data", name, ErrAmbiguous, here)
	}
	below, err := layoutsBelow(fsys)
	if err != nil {
		return found{}, fmt.Errorf("data: %w", err)
	}
	below = slices.DeleteFunc(below, func(f found) bool { return !matches(f.kind) })
	if len(below) == 1 && want == Auto {
		if class := classBeside(fsys, below[0]); class != "" {
			below = append(below, found{kind: ImageFolder, folder: class})
		}
	}
	switch {
	case len(below) == 1:
		return below[0], nil
	case len(below) > 1:
		var places []string
		for _, f := range below {
			places = append(places, fmt.Sprintf("%s (%s)", f.folder, f.kind))
		}
		return found{}, fmt.Errorf("%s: %w: %s; give one of these folders", name, ErrAmbiguous, few(places))
	case want != Auto:
		return found{kind: want, folder: "."}, nil
	}
	for _, sub := range []string{".", "cifar-10-batches-py", "cifar-100-python"} {
		if raw.HasFile(fsys, path.Join(sub, "data_batch_1")) || raw.HasFile(fsys, path.Join(sub, "meta")) && raw.HasFile(fsys, path.Join(sub, "train")) {
			return found{}, fmt.Errorf("%s: %w: this is CIFAR's Python version, which only Python reads; download the binary version", filepath.Join(name, sub), ErrUnknown)
		}
	}
	if imagefolder.Present(fsys) {
		return found{kind: ImageFolder, folder: "."}, nil
	}
	there, err := contents(fsys)
	if err != nil {
		return found{}, fmt.Errorf("data: %w", err)
	}
	return found{}, fmt.Errorf("%s: %w: looked for %s[.gz] (MNIST), data_batch_1.bin (CIFAR-10), train.bin (CIFAR-100), "+
		"bounding_box_train, image_train or list_train.txt (re-identification), train/CLASS/* or CLASS/* with images; found %s", name, ErrUnknown, mnist.TrainImages, there)
}

// layouts lists the kinds whose files or folders have fixed names, and images of
// people by their names.
func layouts(fsys fs.FS) []Kind {
	var kinds []Kind
	if mnist.Present(fsys) {
		kinds = append(kinds, MNIST)
	}
	switch cifar.Detect(fsys) {
	case cifar.CIFAR10:
		kinds = append(kinds, CIFAR10)
		if raw.HasFile(fsys, "train.bin") {
			kinds = append(kinds, CIFAR100)
		}
	case cifar.CIFAR100:
		kinds = append(kinds, CIFAR100)
	}
	if identities.Present(fsys) {
		kinds = append(kinds, Market1501)
	} else if imagefolder.Split(fsys) { // MSMT17 has folders train and test, too
		kinds = append(kinds, ImageFolder)
	}
	return kinds
}

// layoutsBelow looks for layouts with fixed names, where there are not so many
// folders that they are classes.
func layoutsBelow(fsys fs.FS) ([]found, error) {
	const most = 64
	var all []found
	var look func(dir string, depth int) error
	look = func(dir string, depth int) error {
		entries, err := fs.ReadDir(fsys, dir)
		if err != nil {
			return err
		}
		var subs []string
		for _, e := range entries {
			if name := path.Join(dir, e.Name()); !raw.Hidden(e.Name()) && raw.HasFolder(fsys, name) {
				subs = append(subs, name)
			}
		}
		if len(subs) > most {
			return nil
		}
		for _, sub := range subs {
			within, err := fs.Sub(fsys, sub)
			if err != nil {
				return err
			}
			kinds := layouts(within)
			if !identities.Divided(within) { // folders of classes may hold images that are called so
				kinds = slices.DeleteFunc(kinds, func(k Kind) bool { return k == Market1501 })
			}
			for _, k := range kinds {
				all = append(all, found{k, sub, slices.DeleteFunc(slices.Clone(subs), func(s string) bool { return s == sub })})
			}
			if len(kinds) == 0 && depth > 1 {
				if err := look(sub, depth-1); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := look(".", 2); err != nil {
		return nil, err
	}
	return all, nil
}

// classBeside returns a folder beside a layout that holds images itself, as that
// of a class does.
func classBeside(fsys fs.FS, f found) string {
	top, _, _ := strings.Cut(f.folder, "/")
	subs, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return ""
	}
	for _, sub := range subs {
		if sub.Name() == top || raw.Hidden(sub.Name()) || !sub.IsDir() {
			continue
		}
		entries, err := fs.ReadDir(fsys, sub.Name())
		if err == nil && slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return !e.IsDir() && raw.ImageName(e.Name()) }) {
			return sub.Name()
		}
	}
	return ""
}

// readFolder reads a folder of classes, but for the identities of MSMT17 without
// its lists: people of its training and of its test have the same numbers.
func readFolder(fsys fs.FS) (raw.Data, error) {
	data, err := imagefolder.Read(fsys)
	if err != nil || data.Test == nil {
		return data, err
	}
	if p := identities.Recognise(data.Train.Files[0]); p != nil && p.String() == "msmt17" {
		return raw.Data{}, &raw.Error{File: data.Train.Files[0], Record: -1,
			Err: fmt.Errorf("%w: this looks like MSMT17 without its lists; put list_train.txt and the others beside the folders", ErrAmbiguous)}
	}
	return data, nil
}

// contents describes what a folder holds, in a few words.
func contents(fsys fs.FS) (string, error) {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return "", err
	}
	if len(entries) == 0 {
		return "an empty folder", nil
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return few(names), nil
}
