package dataset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/dataset/internal/cifar"
	"github.com/deepmutual/dml/dataset/internal/imagefolder"
	"github.com/deepmutual/dml/dataset/internal/list"
	"github.com/deepmutual/dml/dataset/internal/mnist"
	"github.com/deepmutual/dml/dataset/internal/raw"
)

// Kind is a format of data.
type Kind string

const (
	Auto        Kind = ""            // recognise it
	MNIST       Kind = "mnist"       // IDX files, also gzipped
	CIFAR10     Kind = "cifar10"     // binary version: a folder, or one file as training data
	CIFAR100    Kind = "cifar100"    // likewise
	ImageFolder Kind = "imagefolder" // one folder a class
	Market1501  Kind = "market1501"  // people, told apart by file names: also MSMT17, CUHK03-NP, PKU-Reid
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
	// Pattern of the file names of Market1501 data, as identities.ParsePattern
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

func (o Options) pattern() (*identities.Pattern, error) {
	if o.Pattern == "" {
		return nil, nil
	}
	return identities.ParsePattern(o.Pattern)
}

// ErrUnknown is wrapped by Open's error where a path holds no known data.
var ErrUnknown = errors.New("no data set recognised")

// archiveFolders are where the official archives and torchvision put the files
// within the folder a user names.
var archiveFolders = []string{".", "cifar-10-batches-bin", "cifar-100-binary", "MNIST/raw", "Market-1501-v15.09.15", "MSMT17_V1"}

// Open reads the data at path: a folder, a list, or a single CIFAR binary file,
// which becomes Train as a whole before Val is taken from it. Bad data gives an
// error that names the file, mostly as a *DataError.
func Open(path string, opts Options) (Splits, error) {
	if err := opts.Validate(); err != nil {
		return Splits{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Splits{}, fmt.Errorf("data: %w", err)
	}
	var s source
	switch mode := info.Mode(); {
	case mode.IsDir():
		s, err = folderSource(os.DirFS(path), path, opts)
	case mode.IsRegular():
		s, err = fileSource(path, opts)
	default: // opening it could block for ever
		err = fmt.Errorf("%s is neither a file nor a folder: give the folder of the data", path)
	}
	if err != nil {
		return Splits{}, err
	}
	return s.open(path, opts)
}

// OpenFS is Open of a folder that is the root of fsys.
func OpenFS(fsys fs.FS, opts Options) (Splits, error) {
	if err := opts.Validate(); err != nil {
		return Splits{}, err
	}
	s, err := folderSource(fsys, ".", opts)
	if err != nil {
		return Splits{}, err
	}
	return s.open(".", opts)
}

// source is data that has been recognised.
type source struct {
	report Report
	fsys   fs.FS
	root   string // path of fsys
	read   func() (raw.Data, error)
}

// open reads and splits.
func (s source) open(path string, opts Options) (Splits, error) {
	data, err := s.read()
	if err != nil {
		return Splits{}, located(s.root, err)
	}
	splits := Splits{Report: s.report}
	splits.Report.Skipped = data.Skipped
	for _, p := range []struct {
		from *raw.Part
		to   *Dataset
	}{{data.Train, &splits.Train}, {data.Val, &splits.Val}, {data.Test, &splits.Test}} {
		if p.from == nil {
			continue
		}
		if *p.to, err = s.dataset(p.from, data.Classes); err != nil {
			return Splits{}, err
		}
	}
	if data.Undivided && opts.TestFraction > 0 {
		splits.Train, splits.Test, err = StratifiedSplit(splits.Train, opts.TestFraction, opts.Seed)
		if err != nil {
			return Splits{}, fmt.Errorf("%s: test split: %w", path, err)
		}
	}
	if splits, err = splits.CarveVal(opts.ValFraction, opts.Seed); err != nil {
		return Splits{}, fmt.Errorf("%s: %w", path, err)
	}
	return splits, nil
}

func (s source) dataset(p *raw.Part, classes []string) (Dataset, error) {
	if p.Files != nil {
		return &files{name: p.Name, fsys: s.fsys, root: s.root, classes: classes, names: p.Files, labels: p.Labels}, nil
	}
	return NewMemory(p.Name, classes, Shape{Channels: p.Channels, Height: p.Height, Width: p.Width}, p.Pix, p.Labels)
}

// located is an error of a reader as this package gives it.
func located(root string, err error) error {
	var at *raw.Error
	if !errors.As(err, &at) {
		return fmt.Errorf("in %s: %w", root, err)
	}
	e := DataError(*at)
	if name := filepath.FromSlash(e.File); !filepath.IsAbs(name) {
		e.File = filepath.Join(root, name)
	}
	return &e
}

func fileSource(path string, opts Options) (source, error) {
	dir, name := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	s := source{fsys: anywhere(dir), root: dir, report: Report{Kind: opts.Kind, Path: path}}
	if opts.Kind == Auto {
		switch filepath.Ext(name) {
		case ".csv":
			s.report.Kind = List
		case ".bin":
			s.report.Kind = CIFAR10
		default:
			return s, fmt.Errorf("%s: %w: a single file must be a list called *.csv or a CIFAR binary called *.bin; give the folder of other data",
				path, ErrUnknown)
		}
	}
	switch s.report.Kind {
	case List:
		s.read = func() (raw.Data, error) {
			f, err := s.fsys.Open(name)
			if err != nil {
				return raw.Data{}, err
			}
			defer f.Close() // opened for reading: nothing is lost if this fails
			return list.Read(f, s.fsys, name)
		}
	case CIFAR10, CIFAR100:
		kind := cifar.CIFAR10
		if opts.Kind == CIFAR100 {
			kind = cifar.CIFAR100
		}
		if opts.Kind == Auto {
			size, err := cifar.KindOf(s.fsys, name)
			if err != nil {
				return s, located(dir, err)
			}
			if kind = size; kind == cifar.CIFAR100 {
				s.report.Kind = CIFAR100
			}
		}
		s.read = func() (raw.Data, error) { return cifar.ReadFile(s.fsys, name, kind) }
	default:
		return s, fmt.Errorf("%s: %s data is a folder, this is a file: give the folder that holds it", path, opts.Kind)
	}
	return s, nil
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

func folderSource(fsys fs.FS, path string, opts Options) (source, error) {
	kind, sub, err := recognise(fsys, path, opts)
	if err != nil {
		return source{}, err
	}
	s := source{fsys: fsys, root: filepath.Join(path, filepath.FromSlash(sub)), report: Report{Kind: kind}}
	s.report.Path = s.root
	if sub != "." {
		if s.fsys, err = fs.Sub(fsys, sub); err != nil {
			return source{}, err
		}
	}
	switch kind {
	case MNIST:
		s.read = func() (raw.Data, error) { return mnist.Read(s.fsys) }
	case CIFAR10:
		s.read = func() (raw.Data, error) { return cifar.Read(s.fsys, cifar.CIFAR10) }
	case CIFAR100:
		s.read = func() (raw.Data, error) { return cifar.Read(s.fsys, cifar.CIFAR100) }
	case List:
		return s, fmt.Errorf("%s: a list is a CSV file, this is a folder: give the file", path)
	case Market1501:
		pattern, err := opts.pattern()
		if err != nil {
			return s, err
		}
		s.read = func() (raw.Data, error) {
			return trainIdentities(s.fsys, identities.Options{Pattern: pattern})
		}
	default:
		s.read = func() (raw.Data, error) { return imagefolder.Read(s.fsys) }
	}
	return s, nil
}

// trainIdentities lists the training images of people, with a class for each
// identity, named by its number in four digits. Junk and distractors are left
// out. The identities of the test are others, so that there are no other parts.
func trainIdentities(fsys fs.FS, opts identities.Options) (raw.Data, error) {
	listing, err := identities.List(fsys, identities.Train, opts)
	if err != nil {
		return raw.Data{}, err
	}
	images := slices.DeleteFunc(listing.Images, func(m identities.Image) bool {
		return m.PID == identities.Junk || listing.Pattern.Distractor(m.Name)
	})
	if len(images) == 0 {
		return raw.Data{}, &raw.Error{File: ".", Record: -1,
			Err: fmt.Errorf("%w to train on: all are junk or distractors", identities.ErrEmpty)}
	}
	var pids []int
	for _, m := range images {
		pids = append(pids, m.PID)
	}
	slices.Sort(pids)
	pids = slices.Compact(pids)
	data := raw.Data{Skipped: listing.Skipped}
	labels := make(map[int]int, len(pids))
	for label, pid := range pids {
		data.Classes = append(data.Classes, fmt.Sprintf("%04d", pid))
		labels[pid] = label
	}
	name := listing.Pattern.String()
	if !slices.Contains(identities.Patterns(), name) {
		name = "market1501" // the layout, with names of its own
	}
	data.Train = &raw.Part{Name: name + "/train"}
	for _, m := range images {
		data.Train.Files = append(data.Train.Files, m.File)
		data.Train.Labels = append(data.Train.Labels, labels[m.PID])
	}
	return data, nil
}

// recognise returns what fsys, the folder at path, holds, and the folder within
// it that holds it. Where a kind is given, only that is looked for, and fsys
// itself is the answer where it is not found: its reader can say best what is
// missing.
func recognise(fsys fs.FS, path string, opts Options) (Kind, string, error) {
	want := opts.Kind
	if want == Auto && opts.Pattern != "" {
		want = Market1501
	}
	for _, sub := range archiveFolders {
		within, err := fs.Sub(fsys, sub)
		if err != nil {
			return Auto, "", err
		}
		if kind := filesKind(within, want); kind != Auto && (want == Auto || want == kind) {
			return kind, sub, nil
		}
	}
	if want != Auto {
		return want, ".", nil
	}
	if imagefolder.Present(fsys) {
		return ImageFolder, ".", nil
	}
	found, err := contents(fsys)
	if err != nil {
		return Auto, "", fmt.Errorf("data: %w", err)
	}
	return Auto, "", fmt.Errorf("%s: %w: looked for %s[.gz] (MNIST), data_batch_1.bin (CIFAR-10), train.bin (CIFAR-100), "+
		"bounding_box_train or list_train.txt (re-identification), train/CLASS/* or CLASS/* with images; found %s", path, ErrUnknown, mnist.TrainImages, found)
}

// filesKind recognises the formats whose files or folders have fixed names; of
// two, the one that is wanted.
func filesKind(fsys fs.FS, want Kind) Kind {
	if want == Market1501 && identities.Present(fsys) {
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
	if identities.Present(fsys) {
		return Market1501
	}
	return Auto
}

// contents describes what a folder holds, in a few words.
func contents(fsys fs.FS) (string, error) {
	entries, err := fs.ReadDir(fsys, ".")
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
