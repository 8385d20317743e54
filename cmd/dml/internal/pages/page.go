package pages

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode"
)

// Relation is what an image of the gallery is to a query.
type Relation int

const (
	// Neutral images are of no known person, or the query is.
	Neutral Relation = iota
	// Right images show the query's person, seen by another camera.
	Right
	// Wrong images show somebody else.
	Wrong
	// SameCamera images show the query's person, seen by the query's own camera:
	// they take no rank.
	SameCamera
)

// String is the word for the relation on a page.
func (r Relation) String() string {
	switch r {
	case Right:
		return "right"
	case Wrong:
		return "wrong"
	case SameCamera:
		return "same camera"
	}
	return "unknown"
}

// Page is rankings with a heading.
type Page struct {
	Title string
	// Scores of all queries, in the order of the page. May be empty.
	Scores []Score
	// Remarks are sentences below, such as what the distances are.
	Remarks []string
	// Queries that are shown, in order.
	Queries []Query
}

// Query is an image that was looked for, and what was found.
type Query struct {
	Image Image
	// Scored says that the query has matches, and so AP, Matches and First.
	Scored  bool
	AP      float64 // average precision, by rectangles
	Matches int     // images of the gallery that are right
	First   int     // rank of the first of them, from 1
	// Results, nearest first.
	Results []Result
	// MoreSameCamera counts images of the same camera that were left out.
	MoreSameCamera int
}

// Result is an image of the gallery.
type Result struct {
	Image    Image
	Rank     int // from 1; 0 for none
	Distance float64
	Relation Relation
}

// Image is a picture of a person.
type Image struct {
	// Name of the image for people, such as its path.
	Name string
	// Note says more, such as "person 7, camera 2". May be empty.
	Note string
	// Open opens an image's file. It is called when the image is drawn.
	Open func() (io.ReadCloser, error)
}

// File is the image in a file, by its path.
func File(path string) Image {
	return Image{Name: path, Open: func() (io.ReadCloser, error) { return os.Open(path) }}
}

// ErrPage is wrapped by the faults of a page that cannot be drawn.
var ErrPage = errors.New("bad page")

// ImageError is about an image that cannot be shown.
type ImageError struct {
	Name string // of the image
	Err  error
}

func (e *ImageError) Error() string {
	var file *os.PathError
	if errors.As(e.Err, &file) && file.Path == e.Name {
		return e.Err.Error()
	}
	return fmt.Sprintf("%s: %v", e.Name, e.Err)
}

func (e *ImageError) Unwrap() error { return e.Err }

func (p Page) validate() error {
	if len(p.Queries) == 0 {
		return fmt.Errorf("%w: no queries", ErrPage)
	}
	for _, q := range p.Queries {
		if q.Image.Open == nil {
			return fmt.Errorf("%w: the query %q has no image", ErrPage, q.Image.Name)
		}
		for _, r := range q.Results {
			if r.Image.Open == nil {
				return fmt.Errorf("%w: the result %q has no image", ErrPage, r.Image.Name)
			}
			if r.Relation < Neutral || r.Relation > SameCamera {
				return fmt.Errorf("%w: the result %q has the relation %d", ErrPage, r.Image.Name, r.Relation)
			}
		}
	}
	return nil
}

// clean makes a name printable: what does not print, or would turn the direction
// of the text around it, is replaced.
func clean(name string) string {
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(name, string(unicode.ReplacementChar)))
}

// short is the last part of a path, of either system.
func short(name string) string {
	name = strings.TrimRight(clean(name), `/\`)
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	return name
}

// distance writes a distance in few letters.
func distance(d float64) string {
	switch {
	case d >= 1e6 || d <= -1e6:
		return strconv.FormatFloat(d, 'g', 4, 64)
	case d >= 100 || d <= -100:
		return strconv.FormatFloat(d, 'f', 1, 64)
	}
	if d > -5e-4 && d < 0 {
		d = 0 // no "-0.000"
	}
	return strconv.FormatFloat(d, 'f', 3, 64)
}

// summary says how a query went.
func (q Query) summary() string {
	if !q.Scored {
		return ""
	}
	matches := "1 match"
	if q.Matches != 1 {
		matches = strconv.Itoa(q.Matches) + " matches"
	}
	return fmt.Sprintf("AP %.1f %% · first match at rank %d · %s in the gallery", 100*q.AP, q.First, matches)
}

// more says what was left out.
func (q Query) more() string {
	if q.MoreSameCamera == 0 {
		return ""
	}
	return fmt.Sprintf("and %d more by the same camera", q.MoreSameCamera)
}

// legend lists the relations that the page explains: those that it shows, and
// right and wrong together.
func (p Page) legend() []Relation {
	var shown [SameCamera + 1]bool
	for _, q := range p.Queries {
		for _, r := range q.Results {
			shown[r.Relation] = true
		}
	}
	shown[Right] = shown[Right] || shown[Wrong]
	shown[Wrong] = shown[Right]
	var out []Relation
	for _, r := range [...]Relation{Right, Wrong, SameCamera, Neutral} {
		if shown[r] {
			out = append(out, r)
		}
	}
	return out
}
