package table

import (
	"encoding/csv"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	in, err := Open(strings.NewReader("\ufefflabel , path\n blue , a .png\n\n\"red\nish\",b\n"), "path", "label", "split")
	if err != nil {
		t.Fatal(err)
	}
	if !in.Has("path") || in.Has("split") || in.Need("path", "label") != nil || !errors.Is(in.Need("split"), ErrColumns) {
		t.Error("other columns")
	}
	for _, want := range []struct {
		line              int
		label, path, bare string
	}{{2, "blue", " a .png", "a .png"}, {4, "red\nish", "b", "b"}} {
		if err := in.Next(); err != nil {
			t.Fatal(err)
		}
		if in.Line() != want.line || in.Cell("label") != want.label || in.Exact("path") != want.path || in.Cell("path") != want.bare || in.Cell("split") != "" {
			t.Errorf("line %d: %q, %q", in.Line(), in.Cell("label"), in.Exact("path"))
		}
	}
	if err := in.Next(); err != io.EOF {
		t.Errorf("after the last row: %v", err)
	}
	for text, want := range map[string]error{"": ErrNoRow, "x\n": ErrColumns, "path,path\n": ErrColumns, "\"path\n": csv.ErrQuote} {
		if _, err := Open(strings.NewReader(text), "path"); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}
