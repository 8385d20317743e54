// Package pages draws what is to be looked at: rankings, each query with the
// images of a gallery that are nearest to it, framed by whether they are right,
// and the distances by which one person is told from two. A page is one HTML file
// that needs nothing else, no network and no scripts. The same content gives the
// same bytes.
//
// The package knows nothing of features and protocols: package reid says what
// is near, what is right and what takes a rank.
package pages

import (
	"bufio"
	_ "embed" // for the templates
	"errors"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"github.com/deepmutual/dml/internal/files"
)

// pageText has the templates head, query, distances and foot.
//
//go:embed page.html
var pageText string

// templates of a page.
func templates() (*template.Template, error) { return template.New("page").Parse(pageText) }

// ErrExtension is wrapped by errors about files that are not .html.
var ErrExtension = errors.New("unknown kind of file")

// CheckName refuses names that are not those of pages.
func CheckName(path string) error {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".html", ".htm":
		return nil
	}
	return fmt.Errorf("%s: %w: a page is written as .html", path, ErrExtension)
}

// save writes a page to a file, which is whole or absent.
func save(path string, write func(io.Writer) error) (err error) {
	if err := CheckName(path); err != nil {
		return err
	}
	f, err := files.Create(path, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Discard()) }()
	out := bufio.NewWriter(f)
	if err := write(out); err != nil {
		return err
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return f.Commit()
}

// head is what stands above a page's content.
type head struct {
	Title   string
	Scores  []Score
	Legend  []legend
	Remarks []string
}

type legend struct{ Class, Mark, Word, Meaning string }

// Score is a number with its name, such as mAP.
type Score struct{ Name, Value string }

func newHead(title string, scores []Score, remarks []string) head {
	h := head{Title: clean(title)}
	for _, s := range scores {
		h.Scores = append(h.Scores, Score{clean(s.Name), clean(s.Value)})
	}
	for _, r := range remarks {
		h.Remarks = append(h.Remarks, clean(r))
	}
	return h
}
