package list

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// row is what a row says.
type row struct {
	line               int
	path, label, split string
}

// retrieval tells whether a row of persons is for the test of
// re-identification, whose persons are others than those to train on.
func (r row) retrieval() bool {
	return r.split == "query" || r.split == "gallery" || r.split == "multi_query"
}

// parse reads the rows but junk, and reports whether the list says itself what
// is for testing.
func parse(r io.Reader, file string) (rows []row, divided bool, err error) {
	in := csv.NewReader(r)
	in.ReuseRecord = true
	header, err := in.Read()
	if err == io.EOF {
		return nil, false, rowError(file, 1, fmt.Errorf("%w: the list is empty; its first row must be path,label or path,label,split", ErrColumns))
	}
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w", file, err)
	}
	column, err := columnsOf(header)
	if err != nil {
		return nil, false, rowError(file, 1, err)
	}
	for {
		record, err := in.Read()
		if err == io.EOF {
			return rows, column.has("split") || column.has("pid"), nil
		}
		if err != nil { // a *csv.ParseError, which names the line
			return nil, false, fmt.Errorf("%s: %w", file, err)
		}
		next, err := column.row(record)
		if err == errJunk {
			continue
		}
		next.line, _ = in.FieldPos(0)
		if err != nil {
			return nil, false, rowError(file, next.line, fmt.Errorf("%w: %w", ErrRow, err))
		}
		rows = append(rows, next)
	}
}

// columns are where to find what, by the first row.
type columns map[string]int

func (c columns) has(name string) bool {
	_, there := c[name]
	return there
}

// columnsOf reads the first row of a list, of classes or of persons.
func columnsOf(header []string) (columns, error) {
	known := []string{"path", "label", "split", "pid", "camid", "track", "time"}
	c := make(columns)
	for i, name := range header {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")) // spreadsheets write a byte order mark
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("%w: %q is none of path, label, split, nor of path, pid, camid, split, track, time; the first row must name the columns, with commas between them", ErrColumns, short(name))
		}
		if c.has(name) {
			return nil, fmt.Errorf("%w: two are called %s", ErrColumns, name)
		}
		c[name] = i
	}
	needed := []string{"path", "label"}
	if c.has("pid") {
		needed = []string{"path", "pid"}
	}
	for _, name := range needed {
		if !c.has(name) {
			return nil, fmt.Errorf("%w: there is no column %s", ErrColumns, name)
		}
	}
	if c.has("label") && c.has("pid") {
		return nil, fmt.Errorf("%w: there are label and pid; a list is either of classes or of people", ErrColumns)
	}
	return c, nil
}

// errJunk marks a row of nobody in particular.
var errJunk = errors.New("junk")

// row reads the cells of a row.
func (c columns) row(record []string) (row, error) {
	r := row{path: record[c["path"]], split: "train"}
	if c.has("split") && record[c["split"]] != "" {
		r.split = record[c["split"]]
	}
	if r.path == "" {
		return r, errors.New("the path is empty")
	}
	if c.has("pid") {
		if r.retrieval() {
			return r, nil
		}
		var err error
		if r.label, err = person(record[c["pid"]]); err != nil {
			return r, err
		}
	} else if r.label = record[c["label"]]; r.label == "" {
		return r, errors.New("the label is empty")
	}
	switch {
	case !utf8.ValidString(r.label):
		return r, fmt.Errorf("the label %q is not valid UTF-8", short(r.label))
	case r.split != "train" && r.split != "val" && r.split != "test":
		return r, fmt.Errorf("the split %q is none of train, val, test", short(r.split))
	}
	return r, nil
}

// person returns the class of an identity, or errJunk.
func person(pid string) (string, error) {
	n, err := strconv.Atoi(pid)
	switch {
	case pid == "":
		return "", errors.New("the pid is empty; an image to train on needs it")
	case err != nil || n < -1:
		return "", fmt.Errorf("the pid %q is not a whole number from -1", short(pid))
	case n == -1:
		return "", errJunk
	case n == 0:
		return "", errors.New("the pid 0 is a distractor, nobody in particular; number people from 1, or leave such rows to the gallery")
	}
	return fmt.Sprintf("%04d", n), nil
}

// short is the beginning of a cell, which may be a whole file of another kind.
func short(cell string) string {
	const most = 40
	if len(cell) > most {
		return cell[:most] + "..."
	}
	return cell
}
