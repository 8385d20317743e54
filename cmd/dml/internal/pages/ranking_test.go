package pages

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/internal/pixels"
	"github.com/deepmutual/dml/reid"
)

// drawn is an image of one colour, as a PNG file in memory.
func drawn(name string, width, height int, c color.Color) Image {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.Set(x, y, c)
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, m); err != nil {
		panic(err)
	}
	return Image{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.Bytes())), nil }}
}

// page has all relations, and a name that would like to be code.
func page() Page {
	blue := color.RGBA{0, 0, 255, 255}
	return Page{
		Title:   "Rankings of <data>",
		Scores:  []Score{{"mAP", "50.0 %"}, {"rank 1", "0.0 %"}},
		Remarks: []string{"Cosine distance."},
		Queries: []Query{
			{Image: drawn("dir/query.jpg", 32, 64, blue), Scored: true, AP: .5, Matches: 1, First: 2, MoreSameCamera: 3, Results: []Result{
				{Image: drawn("same.jpg", 32, 64, blue), Distance: .1, Relation: SameCamera},
				{Image: drawn(`"><script>alert('1')</script>\x.jpg`, 32, 64, color.White), Rank: 1, Distance: .25, Relation: Wrong},
				{Image: drawn("right.jpg", 32, 64, blue), Rank: 2, Distance: .5, Relation: Right},
			}},
			{Image: drawn("a\u202egpj.\xff\n", 32, 64, color.Black), Results: []Result{
				{Image: drawn("who.jpg", 400, 100, color.Black), Rank: 1, Distance: -1e-9},
			}},
		},
	}
}

func html(t *testing.T, p Page) string {
	t.Helper()
	var out bytes.Buffer
	if err := writeRanking(t.Context(), &out, p); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// element is a tag of a page with its attributes.
type element struct {
	name       string
	attributes map[string]string
}

// parse reads a page strictly, but for what HTML leaves open, and returns its
// elements and text.
func parse(t *testing.T, text string) (elements []element, words string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	d.AutoClose, d.Entity = xml.HTMLAutoClose, xml.HTMLEntity
	d.Strict = true
	var open []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			if len(open) > 0 {
				t.Fatalf("%v are not closed", open)
			}
			return elements, words
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		switch token := token.(type) {
		case xml.StartElement:
			e := element{token.Name.Local, make(map[string]string)}
			for _, a := range token.Attr {
				e.attributes[a.Name.Local] = a.Value
			}
			elements = append(elements, e)
			open = append(open, e.name)
		case xml.EndElement:
			if last := open[len(open)-1]; last != token.Name.Local {
				t.Fatalf("</%s> closes <%s>", token.Name.Local, last)
			}
			open = open[:len(open)-1]
		case xml.CharData:
			words += string(token)
		}
	}
}

// strict makes of HTML what an XML parser takes.
func strict(text string) string {
	for _, name := range []string{"img", "meta"} {
		parts := strings.Split(text, "<"+name+" ")
		for i, part := range parts[1:] {
			at := strings.IndexByte(part, '>')
			parts[i+1] = part[:at] + "/" + part[at:]
		}
		text = strings.Join(parts, "<"+name+" ")
	}
	return text
}

func TestHTML(t *testing.T) {
	text := html(t, page())
	elements, words := parse(t, strict(text))
	var classes, alts []string
	for _, e := range elements {
		switch e.name {
		case "script", "link", "iframe", "object":
			t.Errorf("there is a <%s>", e.name)
		case "li":
			classes = append(classes, e.attributes["class"])
		case "img":
			alts = append(alts, e.attributes["alt"])
			kind, data, _ := strings.Cut(e.attributes["src"], ";base64,")
			file, err := base64.StdEncoding.DecodeString(data)
			if err != nil || kind != "data:image/png" && kind != "data:image/jpeg" {
				t.Fatalf("%s: %v", kind, err)
			}
			m, err := pixels.Decode(t.Context(), file)
			if err != nil || fmt.Sprint(m.Width, m.Height) != e.attributes["width"]+" "+e.attributes["height"] {
				t.Errorf("%v: %dx%d pixels in %v", err, m.Width, m.Height, e.attributes)
			}
		}
		for name, value := range e.attributes {
			if strings.Contains(value, "http:") || strings.Contains(value, "https:") || strings.HasPrefix(name, "on") {
				t.Errorf("<%s %s=%q>", e.name, name, value)
			}
		}
	}
	if want := []string{"right", "wrong", "same", "neutral", "same", "wrong", "right", "neutral"}; !slices.Equal(classes, want) {
		t.Errorf("classes %q, want %q", classes, want)
	}
	wantAlts := []string{"query: query.jpg", "no rank, same camera, distance 0.100: same.jpg", "rank 1, wrong, distance 0.250: x.jpg",
		"rank 2, right, distance 0.500: right.jpg", "query: a\ufffdgpj.\ufffd\ufffd", "rank 1, unknown, distance 0.000: who.jpg"}
	if !slices.Equal(alts, wantAlts) {
		t.Errorf("texts of images\n%q, want\n%q", alts, wantAlts)
	}
	for _, want := range []string{"Rankings of <data>", "mAP", "50.0 %", "Cosine distance.", "AP 50.0 % · first match at rank 2 · 1 match in the gallery",
		"and 3 more by the same camera", "takes no rank", "somebody else", "✓", "✗"} {
		if !strings.Contains(words, want) {
			t.Errorf("no %q on the page", want)
		}
	}
	if strings.Contains(text, "<script") || strings.Contains(text, "@import") || strings.Contains(text, "url(") || !strings.Contains(text, "default-src 'none'") {
		t.Error("the page holds code, or asks for other files")
	}
	if text != html(t, page()) {
		t.Error("the same page gives other bytes")
	}
}

// TestLargeImagesShrink embeds a photograph in few bytes.
func TestLargeImagesShrink(t *testing.T) {
	m := image.NewRGBA(image.Rect(0, 0, 900, 1500))
	for i := range m.Pix {
		m.Pix[i] = uint8(i*i>>7 ^ i>>3)
	}
	var file bytes.Buffer
	if err := jpeg.Encode(&file, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	c, err := Image{Name: "photo", Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(file.Bytes())), nil }}.embed()
	if err != nil {
		t.Fatal(err)
	}
	if c.width != 192 || c.height != 320 || c.kind != "jpeg" || len(c.data) > file.Len()/5 {
		t.Errorf("%dx%d %s in %d bytes", c.width, c.height, c.kind, len(c.data))
	}
	if decoded, err := pixels.Decode(t.Context(), c.data); err != nil || decoded.Width != 192 || decoded.Height != 320 {
		t.Errorf("%v: %dx%d", err, decoded.Width, decoded.Height)
	}
	small, err := drawn("small", 64, 128, color.White).embed()
	if err != nil || small.kind != "png" || small.width != 64 {
		t.Errorf("a small file did not stay as it is: %v, %s", err, small.kind)
	}
	for _, tc := range [][4]int{{1, 5000, 1, 384}, {5000, 1, 192, 1}, {192, 384, 192, 384}, {500, 500, 192, 192}} {
		if w, h := fit(tc[0], tc[1], embeddedWidth, embeddedHeight); w != tc[2] || h != tc[3] {
			t.Errorf("%v: %dx%d", tc, w, h)
		}
	}
}

func TestSaveRanking(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.html", "c.HTM"} {
		path := filepath.Join(dir, name)
		if err := SaveRanking(t.Context(), path, page()); err != nil {
			t.Fatal(err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != html(t, page()) {
			t.Errorf("%s: %d bytes, %v", name, len(data), err)
		}
	}
	broken, missing, foreign := page(), page(), page()
	broken.Queries[0].Results[1].Image.Open = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("\xff\xd8\xff")), nil }
	missing.Queries[1].Results[0].Image = File(filepath.Join(dir, "nonesuch.jpg"))
	foreign.Queries[0].Results[0].Relation = 9
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, tc := range []struct {
		ctx  context.Context
		name string
		page Page
		is   error
		want string
	}{
		{t.Context(), "d.html", broken, pixels.ErrCorrupt, "<script>"},
		{t.Context(), "d.html", missing, fs.ErrNotExist, "nonesuch.jpg"},
		{t.Context(), "d.html", foreign, ErrPage, "same.jpg"},
		{t.Context(), "d.html", Page{}, ErrPage, "no queries"},
		{t.Context(), "d.png", page(), ErrExtension, "d.png"},
		{t.Context(), "d.html", Page{Queries: []Query{{}}}, ErrPage, "no image"},
		{cancelled, "d.html", page(), context.Canceled, ""},
		{t.Context(), filepath.Join("no", "folder.html"), page(), fs.ErrNotExist, "folder"},
	} {
		if err := SaveRanking(tc.ctx, filepath.Join(dir, tc.name), tc.page); !errors.Is(err, tc.is) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.is)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v: left are %v", err, entries)
	}
	var bad *ImageError
	if err := SaveRanking(t.Context(), filepath.Join(dir, "d.html"), broken); !errors.As(err, &bad) || !strings.Contains(bad.Name, "script") {
		t.Errorf("%v", err)
	}
}

func TestBuild(t *testing.T) {
	item := func(name string, pid, camera reid.ID) Item {
		return Item{drawn(name, 8, 16, color.White), reid.Label{PID: pid, Camera: camera}}
	}
	queries := []Item{item("b", "1", "1"), item("d", "2", "1"), item("a", "3", "1"), item("c", reid.Unknown, reid.Unknown)}
	gallery := []Item{item("g0", "1", "2"), item("g1", "1", "1"), item("g2", "2", "2"), item("g3", "0", "3"), item("g4", reid.Unknown, "1")}
	scores := reid.Scores{MAP: .75, MINP: .6, CMC: map[int]float64{5: 1, 1: .5}, PerQuery: []reid.QueryResult{
		{Valid: true, AP: .5, Matches: 1, First: 2, Best: []reid.Match{{Gallery: 1, Distance: .1, SameCamera: true}, {Gallery: 3, Distance: .2}, {Gallery: 0, Distance: .3, Good: true}, {Gallery: 4, Distance: .4}}},
		{Valid: true, AP: 1, Matches: 1, First: 1, Best: []reid.Match{{Gallery: 2, Distance: .1, Good: true}}},
		{Best: []reid.Match{{Gallery: 2, Distance: .1}}},
		{Best: []reid.Match{{Gallery: 2, Distance: .1}}},
	}}
	p, shown, err := Build(scores, queries, gallery, BuildOptions{Title: "T", Remarks: []string{"R"}, Order: Worst})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(shown, []int{0, 1, 2, 3}) {
		t.Errorf("order %v", shown)
	}
	first := p.Queries[0]
	type row struct {
		name string
		rank int
		r    Relation
		note string
	}
	var got []row
	for _, r := range first.Results {
		got = append(got, row{r.Image.Name, r.Rank, r.Relation, r.Image.Note})
	}
	if want := []row{{"g1", 0, SameCamera, "person 1, camera 1"}, {"g3", 1, Wrong, "distractor, camera 3"}, {"g0", 2, Right, "person 1, camera 2"}, {"g4", 3, Neutral, "camera 1"}}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if !first.Scored || first.AP != .5 || first.First != 2 || first.Image.Note != "person 1, camera 1" || p.Queries[2].Scored ||
		p.Queries[2].Results[0].Relation != Wrong || p.Queries[3].Results[0].Relation != Neutral || p.Queries[3].Image.Note != "" {
		t.Errorf("%+v", p)
	}
	if want := []Score{{"mAP", "75.0 %"}, {"rank 1", "50.0 %"}, {"rank 5", "100.0 %"}, {"mINP", "60.0 %"}, {"queries with a match", "2 of 4"}}; !slices.Equal(p.Scores, want) {
		t.Errorf("%v", p.Scores)
	}
	if !slices.Equal(p.Remarks, []string{"R", "4 queries, those of the lowest AP first."}) {
		t.Errorf("%q", p.Remarks)
	}
	for by, want := range map[Order][]int{Best: {1, 0, 2}, ByName: {2, 0, 3}, Given: {0, 1, 2}, "": {0, 1, 2}} {
		p, shown, err := Build(scores, queries, gallery, BuildOptions{Order: by, Limit: 3})
		if err != nil || !slices.Equal(shown, want) || len(p.Queries) != 3 || !strings.Contains(p.Remarks[0], "3 of 4") {
			t.Errorf("%s: %v, %v, %q", by, err, shown, p.Remarks)
		}
	}
	zero, _, err := Build(scores, []Item{item("b", "0", "1"), queries[1], queries[2], queries[3]}, gallery, BuildOptions{ZeroIsIdentity: true})
	if err != nil || zero.Queries[0].Image.Note != "person 0, camera 1" || zero.Queries[0].Results[1].Relation != Wrong {
		t.Errorf("%v: %+v", err, zero.Queries[0])
	}
	many := scores
	many.PerQuery = slices.Clone(scores.PerQuery)
	many.PerQuery[0].Best = slices.Repeat([]reid.Match{{Gallery: 1, SameCamera: true}}, 14)
	if p, _, err := Build(many, queries, gallery, BuildOptions{}); err != nil || len(p.Queries[0].Results) != 10 || p.Queries[0].MoreSameCamera != 4 {
		t.Errorf("%v: %+v", err, p.Queries[0])
	}
	for _, bad := range []func() error{
		func() error { _, _, err := Build(scores, queries[1:], gallery, BuildOptions{}); return err },
		func() error { _, _, err := Build(scores, queries, gallery[:2], BuildOptions{}); return err },
		func() error { _, _, err := Build(scores, queries, gallery, BuildOptions{Order: "odd"}); return err },
	} {
		if err := bad(); !errors.Is(err, ErrPage) {
			t.Error(err)
		}
	}
}

func TestNames(t *testing.T) {
	for name, want := range map[string]string{"a/b.jpg": "b.jpg", `c:\d\e.png`: "e.png", "a/": "a", "/": "", "x\x00y": "x\ufffdy"} {
		if got := short(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
	for d, want := range map[float64]string{0: "0.000", -.0001: "0.000", -.25: "-0.250", 12.3456: "12.346", 123.456: "123.5", 2e7: "2e+07"} {
		if got := distance(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

// TestUnbroken keeps words and numbers together; what may break is a comma's space.
func TestUnbroken(t *testing.T) {
	if got := unbroken("person 61, camera 1"); got != "person\u00a061, camera\u00a01" {
		t.Errorf("%q", got)
	}
}
