// Package table reads CSV files whose first row names their columns, as lists of
// images are.
package table

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// What Open can find wrong with the first row; test with errors.Is.
var (
	ErrColumns = errors.New("bad columns")
	ErrNoRow   = errors.New("there is no first row")
)

// Table is a CSV file that is read row by row.
type Table struct {
	in     *csv.Reader
	column map[string]int
	record []string
}

// Open reads the first row, whose cells must be among the known names, each once.
// A byte order mark, which spreadsheets write, is left out. The error wraps
// ErrColumns or ErrNoRow, or is a *csv.ParseError.
func Open(r io.Reader, known ...string) (*Table, error) {
	t := &Table{in: csv.NewReader(r), column: make(map[string]int)}
	t.in.ReuseRecord = true
	header, err := t.in.Read()
	if err == io.EOF {
		err = ErrNoRow
	}
	if err != nil {
		return nil, err
	}
	for i, name := range header {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%w: %.40q is not one of %s; the first row must name the columns, with commas between them", ErrColumns, name, strings.Join(known, ", "))
		}
		if t.Has(name) {
			return nil, fmt.Errorf("%w: two are called %s", ErrColumns, name)
		}
		t.column[name] = i
	}
	return t, nil
}

// Has reports whether there is a column of that name.
func (t *Table) Has(name string) bool {
	_, there := t.column[name]
	return there
}

// Need returns an error that wraps ErrColumns where one of these is missing.
func (t *Table) Need(names ...string) error {
	for _, name := range names {
		if !t.Has(name) {
			return fmt.Errorf("%w: there is no column %s", ErrColumns, name)
		}
	}
	return nil
}

// Next reads a row. It returns io.EOF after the last, or a *csv.ParseError, which
// names the line.
func (t *Table) Next() (err error) {
	t.record, err = t.in.Read()
	return err
}

// Line is that of the file, from 1, at which the row starts.
func (t *Table) Line() int {
	line, _ := t.in.FieldPos(0)
	return line
}

// Cell is what the row has in a column, without the spaces around it; empty
// where there is no such column.
func (t *Table) Cell(name string) string { return strings.TrimSpace(t.Exact(name)) }

// Exact is Cell with all spaces: names of files may begin and end with them.
func (t *Table) Exact(name string) string {
	if i, there := t.column[name]; there {
		return t.record[i]
	}
	return ""
}
