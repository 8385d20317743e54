// Package cifar reads CIFAR-10 and CIFAR-100 in their binary versions.
//
// Format: https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version". A
// record is one label byte (CIFAR-100: coarse, then fine) and 3072 pixel bytes:
// 1024 of red, of green, of blue, each 32 rows from the top.
package cifar

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"

	"github.com/deepmutual/dml/dataset/internal/raw"
)

const (
	side   = 32
	plane  = side * side
	pixels = 3 * plane
)

// Kind is one of the two formats.
type Kind int

const (
	CIFAR10 Kind = 1 + iota
	CIFAR100
)

func (k Kind) String() string {
	switch k {
	case CIFAR10:
		return "cifar10"
	case CIFAR100:
		return "cifar100"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Classes is the number of (fine) classes.
func (k Kind) Classes() int {
	if k == CIFAR100 {
		return 100
	}
	return 10
}

// RecordSize is the length of a record in bytes.
func (k Kind) RecordSize() int { return k.labelBytes() + pixels }

func (k Kind) labelBytes() int {
	if k == CIFAR100 {
		return 2
	}
	return 1
}

const coarseClasses = 20

// What can be wrong with a CIFAR file; test with errors.Is.
var (
	ErrSize  = errors.New("not a whole number of records")
	ErrLabel = errors.New("label out of range")
	ErrEmpty = errors.New("no records")
)

// Decode reads records up to the end of r: the images one after another in HWC
// order, and their labels (the fine ones of CIFAR-100). The error is a
// *raw.Error for file.
func Decode(r io.Reader, kind Kind, file string) (pix []uint8, labels []int, err error) {
	br := bufio.NewReaderSize(r, 1<<16)
	record := make([]byte, kind.RecordSize())
	fail := func(err error) ([]uint8, []int, error) {
		return nil, nil, &raw.Error{File: file, Record: len(labels), Err: err}
	}
	for {
		n, err := io.ReadFull(br, record)
		switch {
		case err == io.EOF:
			return pix, labels, nil
		case err == io.ErrUnexpectedEOF:
			return fail(fmt.Errorf("%w: %d bytes of %d for %v", ErrSize, n, len(record), kind))
		case err != nil:
			return fail(err)
		}
		if kind == CIFAR100 && record[0] >= coarseClasses {
			return fail(fmt.Errorf("%w: coarse label %d of %d classes", ErrLabel, record[0], coarseClasses))
		}
		label := record[kind.labelBytes()-1]
		if int(label) >= kind.Classes() {
			return fail(fmt.Errorf("%w: %d of %d classes", ErrLabel, label, kind.Classes()))
		}
		labels = append(labels, int(label))
		planes := record[kind.labelBytes():]
		pix = slices.Grow(pix, pixels)
		for i := range plane {
			pix = append(pix, planes[i], planes[plane+i], planes[2*plane+i])
		}
	}
}

// Detect tells what the folder fsys holds, by file names: 0 for neither kind.
func Detect(fsys fs.FS) Kind {
	if names, err := fs.Glob(fsys, "data_batch_*.bin"); err == nil && len(names) > 0 {
		return CIFAR10
	}
	if _, err := fs.Stat(fsys, "train.bin"); err == nil {
		return CIFAR100
	}
	return 0
}

// Read reads the folder fsys: of CIFAR-10 data_batch_1.bin, data_batch_2.bin
// and so on without a gap, of CIFAR-100 train.bin; and test_batch.bin or
// test.bin where it is there. Val is nil. Classes are named by
// batches.meta.txt or fine_label_names.txt, or by their numbers where that is
// missing. Errors are *raw.Error, or wrap fs.ErrNotExist.
func Read(fsys fs.FS, kind Kind) (raw.Data, error) {
	train, test, meta := []string{"train.bin"}, "test.bin", "fine_label_names.txt"
	if kind == CIFAR10 {
		test, meta = "test_batch.bin", "batches.meta.txt"
		names, err := fs.Glob(fsys, "data_batch_*.bin")
		if err != nil {
			return raw.Data{}, err
		}
		train = nil
		for i := range max(len(names), 1) {
			train = append(train, fmt.Sprintf("data_batch_%d.bin", i+1))
		}
	}
	classes, err := readClasses(fsys, kind, meta)
	if err != nil {
		return raw.Data{}, err
	}
	s := raw.Data{Classes: classes}
	if s.Train, err = readFiles(fsys, kind, kind.String()+"/train", train...); err != nil {
		return raw.Data{}, err
	}
	if _, err := fs.Stat(fsys, test); errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if s.Test, err = readFiles(fsys, kind, kind.String()+"/test", test); err != nil {
		return raw.Data{}, err
	}
	return s, nil
}

// KindOf is the kind whose records a file's length is a multiple of; CIFAR-10 if
// both.
func KindOf(fsys fs.FS, name string) (Kind, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return 0, err
	}
	for _, kind := range []Kind{CIFAR10, CIFAR100} {
		if info.Size()%int64(kind.RecordSize()) == 0 {
			return kind, nil
		}
	}
	return 0, &raw.Error{File: name, Record: -1, Err: fmt.Errorf(
		"%w: %d bytes are not a multiple of CIFAR-10's %d or CIFAR-100's %d; the file is truncated or not a CIFAR binary",
		ErrSize, info.Size(), CIFAR10.RecordSize(), CIFAR100.RecordSize())}
}

// ReadFile reads a single file of records as training data, its classes named by
// their numbers.
func ReadFile(fsys fs.FS, name string, kind Kind) (raw.Data, error) {
	train, err := readFiles(fsys, kind, kind.String(), name)
	if err != nil {
		return raw.Data{}, err
	}
	return raw.Data{Classes: numbers(kind), Train: train}, nil
}

func readFiles(fsys fs.FS, kind Kind, name string, files ...string) (*raw.Part, error) {
	pix, labels := make([][]uint8, len(files)), make([][]int, len(files))
	for i, file := range files {
		var err error
		if pix[i], labels[i], err = readRecords(fsys, kind, file); err != nil {
			return nil, err
		}
	}
	return &raw.Part{Name: name, Channels: 3, Height: side, Width: side, Pix: slices.Concat(pix...), Labels: slices.Concat(labels...)}, nil
}

func readRecords(fsys fs.FS, kind Kind, file string) (pix []uint8, labels []int, err error) {
	f, err := fsys.Open(file)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	pix, labels, err = Decode(f, kind, file)
	if err == nil && len(labels) == 0 {
		err = &raw.Error{File: file, Record: -1, Err: ErrEmpty}
	}
	return pix, labels, err
}

// readClasses reads the class names, one a line.
func readClasses(fsys fs.FS, kind Kind, meta string) ([]string, error) {
	text, err := fs.ReadFile(fsys, meta)
	if errors.Is(err, fs.ErrNotExist) {
		return numbers(kind), nil
	}
	if err != nil {
		return nil, err
	}
	classes := strings.Fields(string(text))
	if len(classes) != kind.Classes() {
		return nil, &raw.Error{File: meta, Record: -1,
			Err: fmt.Errorf("%d class names: %v has %d", len(classes), kind, kind.Classes())}
	}
	return classes, nil
}

func numbers(kind Kind) []string {
	names := make([]string, kind.Classes())
	for i := range names {
		names[i] = fmt.Sprint(i)
	}
	return names
}
