// Package list reads data sets given as a CSV file with a row an image:
//
//	path,label,split
//	images/1.jpg,cat,train
//	images/2.jpg,dog,test
//
// The first row names the columns, in any order; split may be left out. A path
// is absolute or relative to the folder of the list. Labels are names of
// classes, splits are train (also for an empty cell), val and test.
package list

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

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

// RowError says which row of a list is bad.
type RowError struct {
	File string
	Row  int // 1-based line of the file, as an editor counts
	Err  error
}

func (e *RowError) Error() string { return fmt.Sprintf("%s: row %d: %v", e.File, e.Row, e.Err) }

func (e *RowError) Unwrap() error { return e.Err }

// row is what a row says.
type row struct {
	line               int
	path, label, split string
}

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
	classes, labels, err := classesOf(rows, file)
	if err != nil {
		return dataset.Splits{}, err
	}
	if err := consistent(rows, file); err != nil {
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

// parse reads the rows, and reports whether there is a split column.
func parse(r io.Reader, file string) (rows []row, divided bool, err error) {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	header, err := in.Read()
	if err == io.EOF {
		return nil, false, &RowError{file, 1, fmt.Errorf("%w: the list is empty; its first row must be path,label or path,label,split", ErrColumns)}
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", file, err)
	}
	column := make(map[string]int)
	for i, name := range header {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")) // spreadsheets write a byte order mark
		if name != "path" && name != "label" && name != "split" {
			return nil, false, &RowError{file, 1, fmt.Errorf("%w: %q is none of path, label, split; the first row must name the columns, with commas between them", ErrColumns, short(name))}
		}
		if _, twice := column[name]; twice {
			return nil, false, &RowError{file, 1, fmt.Errorf("%w: two are called %s", ErrColumns, name)}
		}
		column[name] = i
	}
	for _, name := range []string{"path", "label"} {
		if _, there := column[name]; !there {
			return nil, false, &RowError{file, 1, fmt.Errorf("%w: there is no column %s", ErrColumns, name)}
		}
	}
	split, divided := column["split"]
	for {
		record, err := in.Read()
		if err == io.EOF {
			return rows, divided, nil
		}
		if err != nil { // a *csv.ParseError, which names the line
			return nil, false, fmt.Errorf("%s: %w", file, err)
		}
		line, _ := in.FieldPos(0)
		next := row{line: line, path: record[column["path"]], label: record[column["label"]], split: "train"}
		if divided && record[split] != "" {
			next.split = record[split]
		}
		if err := next.check(); err != nil {
			return nil, false, &RowError{file, line, fmt.Errorf("%w: %w", ErrRow, err)}
		}
		rows = append(rows, next)
	}
}

func (r row) check() error {
	switch {
	case r.path == "":
		return errors.New("the path is empty")
	case r.label == "":
		return errors.New("the label is empty")
	case !utf8.ValidString(r.label):
		return fmt.Errorf("the label %q is not valid UTF-8", short(r.label))
	case r.split != "train" && r.split != "val" && r.split != "test":
		return fmt.Errorf("the split %q is none of train, val, test", short(r.split))
	}
	return nil
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
		if before.split != r.split {
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
		return nil, nil, &RowError{file, 1, fmt.Errorf("%w: only the columns are named", ErrEmpty)}
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

// short is the beginning of a cell, which may be a whole file of another kind.
func short(cell string) string {
	const most = 40
	if len(cell) > most {
		return cell[:most] + "..."
	}
	return cell
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
