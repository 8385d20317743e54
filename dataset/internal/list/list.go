// Package list reads data sets given as a CSV file with a row an image:
//
//	path,label,split
//	images/1.jpg,cat,train
//	images/2.jpg,dog,test
//
// The first row names the columns, in any order; split may be left out. A path
// is absolute or relative to the folder of the list. Spaces around what is not a
// path are left out. Labels are names of
// classes, splits are train (also for an empty cell), val and test.
//
// A list of people, path,pid,camid[,split,track,time], has a class for each
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

	"github.com/deepmutual/dml/dataset/internal/raw"
	"github.com/deepmutual/dml/internal/table"
)

// What can be wrong with a list; test with errors.Is. That a row is no CSV is a
// *csv.ParseError.
var (
	ErrColumns = table.ErrColumns
	ErrRow     = errors.New("bad row")
	ErrEmpty   = errors.New("no training images")
)

func rowError(file string, line int, err error) error {
	return &raw.Error{File: file, Record: -1, Row: line, Err: err}
}

// Read reads a list, whose paths are opened in fsys, which must take absolute
// ones too where the list holds such; file is the path of the list, for errors.
// Classes are sorted: by value where all are whole numbers,
// else by name. A class without training images is an error. The files of Train
// and Val must be there, those of Test are not looked at.
// Data without a column of splits is Undivided.
func Read(r io.Reader, fsys fs.FS, file string) (raw.Data, error) {
	rows, divided, err := parse(r, file)
	if err != nil {
		return raw.Data{}, err
	}
	inconsistent := consistent(rows, file)
	rows = slices.DeleteFunc(rows, row.retrieval)
	classes, labels, err := classesOf(rows, file)
	if err := cmp.Or(err, inconsistent); err != nil {
		return raw.Data{}, err
	}
	parts := make(map[string]*raw.Part)
	for _, r := range rows {
		if r.split != "test" {
			if err := usable(fsys, r.path); err != nil {
				return raw.Data{}, rowError(file, r.line, fmt.Errorf("%w: %w", ErrRow, err))
			}
		}
		if parts[r.split] == nil {
			parts[r.split] = &raw.Part{Name: "list/" + r.split}
		}
		p := parts[r.split]
		p.Files, p.Labels = append(p.Files, r.path), append(p.Labels, labels[r.label])
	}
	return raw.Data{Classes: classes, Train: parts["train"], Val: parts["val"], Test: parts["test"], Undivided: !divided}, nil
}

// consistent reports a file that is listed with two labels or, which would
// spoil every figure, in two splits. Twice the same is not a fault: such a file
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
			return rowError(file, r.line, fmt.Errorf("%w: %s is for %s here and for %s in row %d; it must be in one split", ErrRow, short(r.path), r.split, before.split, before.line))
		}
		if before.who != r.who {
			return rowError(file, r.line, fmt.Errorf("%w: %s is of identity %s here and of %s in row %d", ErrRow, short(r.path), short(r.who), short(before.who), before.line))
		}
		if before.label != r.label {
			return rowError(file, r.line, fmt.Errorf("%w: %s has the label %q here and %q in row %d", ErrRow, short(r.path), short(r.label), short(before.label), before.line))
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
		return nil, nil, rowError(file, 1, fmt.Errorf("%w: no row is one to train on", ErrEmpty))
	}
	for _, r := range rows {
		if !trained[r.label] {
			return nil, nil, rowError(file, r.line, fmt.Errorf("%w: the class %q has %w", ErrRow, short(r.label), ErrEmpty))
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
		return fmt.Errorf("%s is not a regular file", name)
	}
	return nil
}
