package pages

import (
	"context"
	"encoding/base64"
	"html/template"
	"io"
	"strconv"
	"strings"
)

// htmlImage is an image as the templates see it.
type htmlImage struct {
	Source        template.URL
	Width, Height int
	Name, Short   string
	Note          string
}

// htmlResult is a result as they see it.
type htmlResult struct {
	htmlImage
	Class    string // of its frame
	Mark     string
	Word     string
	Rank     string // "" for none
	Distance string
}

// SaveRanking writes a page to a file, which is whole or absent. It reads the
// images one at a time. Faults of images are *ImageError.
func SaveRanking(ctx context.Context, path string, p Page) error {
	return save(path, func(w io.Writer) error { return writeRanking(ctx, w, p) })
}

func writeRanking(ctx context.Context, w io.Writer, p Page) error {
	if err := p.validate(); err != nil {
		return err
	}
	t, err := templates()
	if err != nil {
		return err
	}
	head := newHead(p.Title, p.Scores, p.Remarks)
	for _, r := range p.legend() {
		head.Legend = append(head.Legend, legend{class(r), mark(r), r.String(), meaning(r)})
	}
	if err := t.ExecuteTemplate(w, "head", head); err != nil {
		return err
	}
	for i, q := range p.Queries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := writeQuery(w, t, i, q); err != nil {
			return err
		}
	}
	return t.ExecuteTemplate(w, "foot", nil)
}

func writeQuery(w io.Writer, t *template.Template, i int, q Query) error {
	image, err := q.Image.html()
	if err != nil {
		return err
	}
	data := struct {
		Number        int
		Image         htmlImage
		Summary, More string
		Results       []htmlResult
	}{Number: i + 1, Image: image, Summary: q.summary(), More: q.more()}
	for _, r := range q.Results {
		image, err := r.Image.html()
		if err != nil {
			return err
		}
		found := htmlResult{htmlImage: image, Class: class(r.Relation), Mark: mark(r.Relation), Word: r.Relation.String(), Distance: distance(r.Distance)}
		if r.Rank > 0 {
			found.Rank = strconv.Itoa(r.Rank)
		}
		data.Results = append(data.Results, found)
	}
	return t.ExecuteTemplate(w, "query", data)
}

func (m Image) html() (htmlImage, error) {
	c, err := m.embed()
	if err != nil {
		return htmlImage{}, err
	}
	// Base64 of a kind that is known: nothing in it needs escaping.
	source := template.URL("data:image/" + c.kind + ";base64," + base64.StdEncoding.EncodeToString(c.data))
	return htmlImage{Source: source, Width: c.width, Height: c.height, Name: clean(m.Name), Short: short(m.Name), Note: unbroken(m.Note)}, nil
}

// class is the CSS class of a relation.
func class(r Relation) string {
	switch r {
	case Right:
		return "right"
	case Wrong:
		return "wrong"
	case SameCamera:
		return "same"
	}
	return "neutral"
}

// mark tells relations apart without colours.
func mark(r Relation) string {
	switch r {
	case Right:
		return "✓"
	case Wrong:
		return "✗"
	case SameCamera:
		return "="
	}
	return "?"
}

// meaning explains a relation.
func meaning(r Relation) string {
	switch r {
	case Right:
		return "the query's person, seen by another camera"
	case Wrong:
		return "somebody else"
	case SameCamera:
		return "the query's person, seen by the query's own camera: takes no rank"
	}
	return "the query or the image has no label"
}

// unbroken keeps a number on the line of its word.
func unbroken(note string) string {
	parts := strings.Split(clean(note), ", ")
	for i, part := range parts {
		parts[i] = strings.ReplaceAll(part, " ", "\u00a0")
	}
	return strings.Join(parts, ", ")
}
