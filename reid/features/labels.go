package features

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/internal/table"
	"github.com/deepmutual/dml/reid"
)

// Row is an image by its name and label, such as a row of a CSV file.
type Row struct {
	Name string // of the image, or its path
	reid.Label
	// Split, Track and Time are what the columns of these names say, if any.
	Split, Track, Time string
	// Line of the file that the row starts at, from 1; 0 for a row of no file.
	Line int
}

// What can be wrong with labels; test with errors.Is. That a row is not CSV is a
// *csv.ParseError.
var (
	ErrColumns = table.ErrColumns
	ErrRow     = errors.New("bad row")
)

// RowError says which line of a file is bad.
type RowError struct {
	File string
	Line int // 1-based line of the file, as an editor counts
	Err  error
}

func (e *RowError) Error() string { return fmt.Sprintf("%s: row %d: %v", e.File, e.Line, e.Err) }

func (e *RowError) Unwrap() error { return e.Err }

// ReadLabels reads a CSV file whose first row names the columns, in any order:
// name or path, pid, camid, and perhaps split, track and time. Identities and
// cameras are those of reid.ParseID and reid.ParseCamera. Spaces around what is
// not a name are left out.
func ReadLabels(path string) ([]Row, error) { return read(path, true) }

// ReadList is ReadLabels of images that need not be known: an empty pid or
// camid is reid.Unknown.
func ReadList(path string) ([]Row, error) { return read(path, false) }

func read(path string, known bool) ([]Row, error) {
	data, err := files.Read(path)
	if err != nil {
		return nil, err
	}
	return decodeLabels(data, path, known)
}

// decodeLabels reads rows; known says that identity and camera must be.
func decodeLabels(data []byte, file string, known bool) ([]Row, error) {
	in, err := table.Open(bytes.NewReader(data), "name", "path", "pid", "camid", "split", "track", "time")
	name := "name"
	switch {
	case errors.Is(err, table.ErrNoRow):
		err = fmt.Errorf("%w: the file is empty; its first row must be name,pid,camid", ErrColumns)
	case err == nil && in.Has("path"):
		if name = "path"; in.Has("name") {
			err = fmt.Errorf("%w: two are called name or path", ErrColumns)
		}
	}
	if err == nil {
		err = in.Need(name, "pid", "camid")
	}
	switch {
	case errors.Is(err, ErrColumns):
		return nil, &RowError{file, 1, err}
	case err != nil: // a *csv.ParseError, which names the line
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var rows []Row
	for {
		err := in.Next()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil { // likewise
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		row, err := rowOf(in, name, known)
		if err != nil {
			return nil, &RowError{file, in.Line(), fmt.Errorf("%w: %w", ErrRow, err)}
		}
		row.Line = in.Line()
		rows = append(rows, row)
	}
}

func rowOf(in *table.Table, name string, known bool) (Row, error) {
	row := Row{Name: in.Exact(name), Split: in.Cell("split"), Track: in.Cell("track"), Time: in.Cell("time")}
	if strings.TrimSpace(row.Name) == "" {
		return Row{}, errors.New("the name of the image is empty")
	}
	if !utf8.ValidString(row.Name) {
		return Row{}, fmt.Errorf("the name %.80q is not valid UTF-8", row.Name)
	}
	for _, field := range []struct {
		name  string
		parse func(string) (reid.ID, error)
		value *reid.ID
	}{{"pid", reid.ParseID, &row.PID}, {"camid", reid.ParseCamera, &row.Camera}} {
		text := in.Cell(field.name)
		if text == "" && known {
			return Row{}, fmt.Errorf("the %s is empty, and an evaluation needs it", field.name)
		}
		var err error
		if *field.value, err = field.parse(text); err != nil {
			return Row{}, fmt.Errorf("the %s: %w", field.name, err)
		}
	}
	return row, nil
}

// WriteLabels writes rows with the columns name, pid and camid, and track and
// time where a row has one. What is not known is an empty cell. The file is
// whole or absent.
func WriteLabels(path string, rows []Row) error {
	text, err := labelsText(rows)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return files.WriteFile(path, text, 0o644)
}

func labelsText(rows []Row) ([]byte, error) {
	head := []string{"name", "pid", "camid"}
	tracks := slices.ContainsFunc(rows, func(r Row) bool { return r.Track != "" })
	times := slices.ContainsFunc(rows, func(r Row) bool { return r.Time != "" })
	if tracks {
		head = append(head, "track")
	}
	if times {
		head = append(head, "time")
	}
	var text bytes.Buffer
	out := csv.NewWriter(&text)
	err := out.Write(head)
	for _, r := range rows {
		cells := append(head[:0], r.Name, string(r.PID), string(r.Camera))
		if tracks {
			cells = append(cells, r.Track)
		}
		if times {
			cells = append(cells, r.Time)
		}
		err = errors.Join(err, out.Write(cells))
	}
	out.Flush()
	return text.Bytes(), errors.Join(err, out.Error())
}
