// Package list reads data sets given as a CSV file with a row an image:
//
//	path,label,split
//	images/1.jpg,cat,train
//	images/2.jpg,dog,test
//
// The first row names the columns, in any order; split may be left out. A path
// is absolute or relative to the folder of the list. Labels are names of
// classes, splits are train (also for an empty cell), val and test.
//
// A list of persons, path,pid,camid[,split,track,time], has a class for each
// identity, named as by package market1501. Its rows of junk (pid -1), and those
// of the splits query, gallery and multi_query, are left out.
package list

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/deepmutual/dml/dataset"
)

// Options of Read.
type Options struct {
	// File is the path of the list, for errors. Default: "list".
	File string
	// TestFraction of the images of a list without a split column, class by
	// class, become Test. Default 0: all are Train.
	TestFraction float64
	// Seed chooses those images.
	Seed uint64
}

// What can be wrong with a list; test with errors.Is. That a row is no CSV is a
// *csv.ParseError.
var (
	ErrColumns = errors.New("bad columns")
	ErrRow     = errors.New("bad row")
	ErrEmpty   = errors.New("no training images")
)

// RowError says which line of a list is bad.
type RowError struct {
	File string
	Line int // 1-based line of the file, as an editor counts
	Err  error
}

func (e *RowError) Error() string { return fmt.Sprintf("%s: row %d: %v", e.File, e.Line, e.Err) }

func (e *RowError) Unwrap() error { return e.Err }

// Read reads a list, whose paths are opened in fsys, which must take absolute
// ones too where the list holds such; see source.Open for folders of the
// operating system. Classes are sorted: by value where all are whole numbers,
// else by name. A class without training images is an error. The files of Train
// and Val must be there, those of Test are not looked at. In Splits every
// Dataset is a *dataset.Files, or a subset of one.
func Read(r io.Reader, fsys fs.FS, opts Options) (dataset.Splits, error) {
	file := cmp.Or(opts.File, "list")
	rows, divided, err := parse(r, file)
	if err != nil {
		return dataset.Splits{}, err
	}
	inconsistent := consistent(rows, file)
	rows = slices.DeleteFunc(rows, row.retrieval)
	classes, labels, err := classesOf(rows, file)
	if err := cmp.Or(err, inconsistent); err != nil {
		return dataset.Splits{}, err
	}
	parts := make(map[string][]dataset.File)
	for _, r := range rows {
		if r.split != "test" {
			if err := usable(fsys, r.path); err != nil {
				return dataset.Splits{}, &RowError{file, r.line, fmt.Errorf("%w: %w", ErrRow, err)}
			}
		}
		parts[r.split] = append(parts[r.split], dataset.File{Name: r.path, Label: labels[r.label]})
	}
	part := func(name string) dataset.Dataset {
		if len(parts[name]) == 0 {
			return nil
		}
		return dataset.NewFiles("list/"+name, fsys, filepath.ToSlash(filepath.Dir(file)), classes, parts[name])
	}
	splits := dataset.Splits{Train: part("train"), Val: part("val"), Test: part("test")}
	if divided || opts.TestFraction == 0 {
		return splits, nil
	}
	splits.Train, splits.Test, err = dataset.StratifiedSplit(splits.Train, opts.TestFraction, opts.Seed)
	if err != nil {
		return dataset.Splits{}, fmt.Errorf("%s: test split: %w", file, err)
	}
	return splits, nil
}

// consistent reports a file that is listed with two labels or, which would
// spoil every figure, in two splits. Twice the same is no fault: such a file
// counts twice.
func consistent(rows []row, file string) error {
	first := make(map[string]row, len(rows))
	for _, r := range rows {
		name := filepath.Clean(r.path)
		before, listed := first[name]
		if !listed {
			first[name] = r
			continue
		}
		if before.split != r.split && !(before.retrieval() && r.retrieval()) {
			return &RowError{file, r.line, fmt.Errorf("%w: %s is for %s here and for %s in row %d; it must be in one split", ErrRow, short(r.path), r.split, before.split, before.line)}
		}
		if before.label != r.label {
			return &RowError{file, r.line, fmt.Errorf("%w: %s has the label %q here and %q in row %d", ErrRow, short(r.path), short(r.label), short(before.label), before.line)}
		}
	}
	return nil
}

// classesOf returns the classes in order, and their numbers.
func classesOf(rows []row, file string) ([]string, map[string]int, error) {
	labels := make(map[string]int)
	trained := make(map[string]bool)
	var classes []string
	numbers := true
	for _, r := range rows {
		if _, known := labels[r.label]; !known {
			labels[r.label] = 0
			classes = append(classes, r.label)
			_, err := strconv.Atoi(r.label)
			numbers = numbers && err == nil
		}
		trained[r.label] = trained[r.label] || r.split == "train"
	}
	if len(trained) == 0 {
		return nil, nil, &RowError{file, 1, fmt.Errorf("%w: no row is one to train on", ErrEmpty)}
	}
	for _, r := range rows {
		if !trained[r.label] {
			return nil, nil, &RowError{file, r.line, fmt.Errorf("%w: the class %q has %w", ErrRow, short(r.label), ErrEmpty)}
		}
	}
	slices.SortFunc(classes, func(a, b string) int {
		if numbers {
			x, _ := strconv.Atoi(a)
			y, _ := strconv.Atoi(b)
			if x != y {
				return cmp.Compare(x, y)
			}
		}
		return strings.Compare(a, b)
	})
	for i, c := range classes {
		labels[c] = i
	}
	return classes, labels, nil
}

// usable reports why a file cannot be an image, without reading it.
func usable(fsys fs.FS, name string) error {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() { // opening a pipe could block for ever
		return fmt.Errorf("%s is no regular file", name)
	}
	return nil
}
