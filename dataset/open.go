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
	splits.Report.LeftAside = append(splits.Report.LeftAside, data.LeftAside...)
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
	at, err := recognise(fsys, path, opts)
	if err != nil {
		return source{}, err
	}
	kind, sub := at.kind, at.folder
	s := source{fsys: fsys, root: filepath.Join(path, filepath.FromSlash(sub))}
	s.report = Report{Kind: kind, Path: s.root, LeftAside: at.aside}
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
		s.read = func() (raw.Data, error) { return readFolder(s.fsys) }
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
	data := raw.Data{Skipped: listing.Skipped, LeftAside: identities.Aside(fsys, identities.Train)}
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

func kindList() string {
	var names []string
	for _, k := range Kinds() {
		names = append(names, string(k))
	}
	return strings.Join(names, ", ")
}
