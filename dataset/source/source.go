// Package source opens a data set by its path, whichever of the known formats
// it is in.
package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/cifar"
	"github.com/deepmutual/dml/dataset/imagefolder"
	"github.com/deepmutual/dml/dataset/list"
	"github.com/deepmutual/dml/dataset/market1501"
	"github.com/deepmutual/dml/dataset/mnist"
)

// Kind is a format of data.
type Kind string

const (
	Auto        Kind = ""            // recognise it
	MNIST       Kind = "mnist"       // IDX files, also gzipped
	CIFAR10     Kind = "cifar10"     // binary version: a folder, or one file as training data
	CIFAR100    Kind = "cifar100"    // likewise
	ImageFolder Kind = "imagefolder" // one folder a class
	Market1501  Kind = "market1501"  // persons, told apart by file names: also MSMT17, CUHK03-NP, PKU-Reid
	List        Kind = "list"        // a CSV file: path,label[,split]
)

// Kinds lists the formats by name.
func Kinds() []Kind { return []Kind{MNIST, CIFAR10, CIFAR100, ImageFolder, Market1501, List} }

// Options of Open. The zero Options divide nothing: data without a validation
// split gets none.
type Options struct {
	// Kind of the data. Default: recognised by what the folder holds.
	Kind Kind
	// ValFraction of the training images, class by class, become Val where the
	// data has no validation split, so that the best student is chosen without
	// a look at Test. 0: none.
	ValFraction float64
	// TestFraction of the images of a flat image folder, or of a list without
	// splits, class by class, become Test, before Val is taken. Other data is
	// not affected. 0: none.
	TestFraction float64
	// Pattern of the file names of Market1501 data, as market1501.ParsePattern
	// reads it. A folder of no Kind is taken for such data then; of another Kind
	// it is not affected. Default: recognised.
	Pattern string
	// Seed chooses the images of these splits.
	Seed uint64
}

// The fractions to use where a user gives none.
const (
	DefaultValFraction  = 0.1
	DefaultTestFraction = 0.1
)

// Validate reports every fault of o.
func (o Options) Validate() error {
	var errs []error
	if o.Kind != Auto && !slices.Contains(Kinds(), o.Kind) {
		errs = append(errs, fmt.Errorf("unknown kind of data %q: want one of %s", o.Kind, kindList()))
	}
	if _, err := o.pattern(); err != nil {
		errs = append(errs, err)
	}
	for _, f := range []struct {
		name  string
		value float64
	}{{"validation", o.ValFraction}, {"test", o.TestFraction}} {
		if !(f.value >= 0 && f.value < 1) {
			errs = append(errs, fmt.Errorf("%s fraction %v: want 0 to below 1", f.name, f.value))
		}
	}
	return errors.Join(errs...)
}

func (o Options) pattern() (*market1501.Pattern, error) {
	if o.Pattern == "" {
		return nil, nil
	}
	return market1501.ParsePattern(o.Pattern)
}

// ErrUnknown is wrapped by Open's error where a path holds no known data.
var ErrUnknown = errors.New("no data set recognised")

// archiveFolders are where the official archives and torchvision put the files
// within the folder a user names.
var archiveFolders = []string{".", "cifar-10-batches-bin", "cifar-100-binary", "MNIST/raw", "Market-1501-v15.09.15", "MSMT17_V1"}

// Open reads the data at path: a folder, a list, or a single CIFAR binary file,
// which becomes Train as a whole before Val is taken from it. Bad data gives an
// error that names the file and wraps the reader's own.
func Open(path string, opts Options) (dataset.Splits, error) {
	if err := opts.Validate(); err != nil {
		return dataset.Splits{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return dataset.Splits{}, fmt.Errorf("data: %w", err)
	}
	var splits dataset.Splits
	switch mode := info.Mode(); {
	case mode.IsDir():
		splits, err = openFolder(path, opts)
	case mode.IsRegular():
		splits, err = openFile(path, opts)
	default: // opening it could block for ever
		err = fmt.Errorf("%s is neither a file nor a folder: give the folder of the data", path)
	}
	if err != nil {
		return dataset.Splits{}, err
	}
	splits, err = splits.CarveVal(opts.ValFraction, opts.Seed)
	if err != nil {
		return dataset.Splits{}, fmt.Errorf("%s: %w", path, err)
	}
	return splits, nil
}

func openFile(path string, opts Options) (dataset.Splits, error) {
	dir, name := filepath.Split(path)
	var kind cifar.Kind
	switch opts.Kind {
	case CIFAR10:
		kind = cifar.CIFAR10
	case CIFAR100:
		kind = cifar.CIFAR100
	case List:
		return openList(path, opts)
	case Auto:
		switch filepath.Ext(name) {
		case ".csv":
			return openList(path, opts)
		case ".bin":
		default:
			return dataset.Splits{}, fmt.Errorf("%s: %w: a single file must be a list called *.csv or a CIFAR binary called *.bin; give the folder of other data",
				path, ErrUnknown)
		}
	default:
		return dataset.Splits{}, fmt.Errorf("%s: %s data is a folder, this is a file: give the folder that holds it", path, opts.Kind)
	}
	if dir == "" {
		dir = "."
	}
	train, err := cifar.ReadFile(os.DirFS(dir), name, kind)
	if err != nil {
		return dataset.Splits{}, fmt.Errorf("in %s: %w", dir, err)
	}
	return dataset.Splits{Train: train}, nil
}

func openList(path string, opts Options) (dataset.Splits, error) {
	f, err := os.Open(path)
	if err != nil {
		return dataset.Splits{}, fmt.Errorf("data: %w", err)
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	return list.Read(f, anywhere(filepath.Dir(path)), list.Options{File: path, TestFraction: opts.TestFraction, Seed: opts.Seed})
}

// anywhere opens files by any path: those that are not absolute below a folder,
// or beside it. Lists written for other tools hold all of these.
type anywhere string

func (dir anywhere) Open(name string) (fs.File, error) { return os.Open(dir.path(name)) }

func (dir anywhere) Stat(name string) (fs.FileInfo, error) { return os.Stat(dir.path(name)) }

func (dir anywhere) path(name string) string {
	name = filepath.FromSlash(name)
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(string(dir), name)
}

func openFolder(path string, opts Options) (dataset.Splits, error) {
	want := opts.Kind
	if want == Auto && opts.Pattern != "" {
		want = Market1501
	}
	kind, dir, err := recognise(path, want)
	if err != nil {
		return dataset.Splits{}, err
	}
	var splits dataset.Splits
	switch fsys := os.DirFS(dir); kind {
	case MNIST:
		splits, err = mnist.Read(fsys)
	case CIFAR10:
		splits, err = cifar.Read(fsys, cifar.CIFAR10)
	case CIFAR100:
		splits, err = cifar.Read(fsys, cifar.CIFAR100)
	case List:
		return dataset.Splits{}, fmt.Errorf("%s: a list is a CSV file, this is a folder: give the file", path)
	case Market1501:
		pattern, err := opts.pattern()
		if err != nil {
			return dataset.Splits{}, err
		}
		// Its errors name the whole path already.
		return market1501.Read(fsys, market1501.Options{Root: filepath.ToSlash(dir), Pattern: pattern})
	default:
		// Likewise.
		return imagefolder.Read(fsys, imagefolder.Options{
			Root: filepath.ToSlash(dir), TestFraction: opts.TestFraction, Seed: opts.Seed,
		})
	}
	if err != nil {
		return dataset.Splits{}, fmt.Errorf("in %s: %w", dir, err)
	}
	return splits, nil
}

// recognise returns what path holds, and the folder within it that holds it.
// Where want is given, only that is looked for, and path itself is the answer
// where it is not found: its reader can say best what is missing.
func recognise(path string, want Kind) (Kind, string, error) {
	for _, sub := range archiveFolders {
		dir := filepath.Join(path, filepath.FromSlash(sub))
		kind := filesKind(os.DirFS(dir), want)
		if kind != Auto && (want == Auto || want == kind) {
			return kind, dir, nil
		}
	}
	if want != Auto {
		return want, path, nil
	}
	if imagefolder.Present(os.DirFS(path)) {
		return ImageFolder, path, nil
	}
	found, err := contents(path)
	if err != nil {
		return Auto, "", fmt.Errorf("data: %w", err)
	}
	return Auto, "", fmt.Errorf("%s: %w: looked for %s[.gz] (MNIST), data_batch_1.bin (CIFAR-10), train.bin (CIFAR-100), "+
		"bounding_box_train or list_train.txt (re-identification), train/CLASS/* or CLASS/* with JPEG or PNG files; found %s", path, ErrUnknown, mnist.TrainImages, found)
}

// filesKind recognises the formats whose files or folders have fixed names; of
// two, the one that is wanted.
func filesKind(fsys fs.FS, want Kind) Kind {
	if want == Market1501 && market1501.Present(fsys) {
		return Market1501
	}
	if mnist.Present(fsys) {
		return MNIST
	}
	switch cifar.Detect(fsys) {
	case cifar.CIFAR10:
		return CIFAR10
	case cifar.CIFAR100:
		return CIFAR100
	}
	if market1501.Present(fsys) {
		return Market1501
	}
	return Auto
}

// contents describes what a folder holds, in a few words.
func contents(path string) (string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", err
	}
	const most = 5
	var names []string
	for _, e := range entries[:min(len(entries), most)] {
		names = append(names, e.Name())
	}
	switch {
	case len(entries) == 0:
		return "an empty folder", nil
	case len(entries) > most:
		return fmt.Sprintf("%s and %d more", strings.Join(names, ", "), len(entries)-most), nil
	}
	return strings.Join(names, ", "), nil
}

func kindList() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}
