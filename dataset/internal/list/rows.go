package list

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/deepmutual/dml/internal/table"
)

// row is what a row says.
type row struct {
	line               int
	path, label, split string
	who                string // identity and camera as they stand in a list of people
}

// retrieval tells whether a row of people is for the test of
// re-identification, whose people are others than those to train on.
func (r row) retrieval() bool {
	return r.split == "query" || r.split == "gallery" || r.split == "multi_query"
}

// parse reads the rows but junk, and reports whether the list says itself what
// is for testing.
func parse(r io.Reader, file string) (rows []row, divided bool, err error) {
	in, err := table.Open(r, "path", "label", "split", "pid", "camid", "track", "time")
	switch {
	case errors.Is(err, table.ErrNoRow):
		return nil, false, rowError(file, 1, fmt.Errorf("%w: the list is empty; its first row must be path,label or path,label,split", ErrColumns))
	case err == nil && in.Has("pid"):
		err = in.Need("path")
	case err == nil:
		err = in.Need("path", "label")
	}
	if err == nil && in.Has("label") && in.Has("pid") {
		err = fmt.Errorf("%w: there are label and pid; a list is either of classes or of people", ErrColumns)
	}
	switch {
	case errors.Is(err, ErrColumns):
		return nil, false, rowError(file, 1, err)
	case err != nil: // a *csv.ParseError, which names the line
		return nil, false, fmt.Errorf("%s: %w", file, err)
	}
	for {
		err := in.Next()
		if err == io.EOF {
			return rows, in.Has("split") || in.Has("pid"), nil
		}
		if err != nil { // likewise
			return nil, false, fmt.Errorf("%s: %w", file, err)
		}
		next, err := rowOf(in)
		if err == errJunk {
			continue
		}
		next.line = in.Line()
		if err != nil {
			return nil, false, rowError(file, next.line, fmt.Errorf("%w: %w", ErrRow, err))
		}
		rows = append(rows, next)
	}
}

// errJunk marks a row of nobody in particular.
var errJunk = errors.New("junk")

// rowOf reads the cells of a row.
func rowOf(in *table.Table) (row, error) {
	r := row{path: in.Exact("path"), split: cmp.Or(in.Cell("split"), "train"), label: in.Cell("label")}
	if strings.TrimSpace(r.path) == "" {
		return r, errors.New("the path is empty")
	}
	if in.Has("pid") {
		pid := in.Cell("pid")
		if r.who = plain(pid) + " by camera " + plain(in.Cell("camid")); r.retrieval() {
			return r, nil
		}
		var err error
		if r.label, err = person(pid); err != nil {
			return r, err
		}
	} else if r.label == "" {
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

// plain is a number without zeros before it, and other text as it is.
func plain(cell string) string {
	if n, err := strconv.Atoi(cell); err == nil {
		return strconv.Itoa(n)
	}
	return cell
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
