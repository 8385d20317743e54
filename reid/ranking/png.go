package ranking

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"strconv"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/gobold"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"github.com/deepmutual/dml/internal/pixels"
)

// MaxPixels bounds the picture that WritePNG draws: 64 megapixels, which take
// 256 MiB of memory.
const MaxPixels = 1 << 26

// The layout of a picture, in pixels.
const (
	margin     = 24
	cropWidth  = 96
	cropHeight = 192
	frame      = 4
	cellWidth  = cropWidth + 2*frame + 12
	cellHeight = cropHeight + 2*frame + 54 // the crop and three lines
	queryGap   = 20                        // between the query and its results
	rowGap     = 22
	lineHeight = 17
	titleSize  = 24
	textSize   = 13
)

var (
	paper = color.RGBA{255, 255, 255, 255}
	ink   = color.RGBA{27, 31, 36, 255}
	soft  = color.RGBA{89, 99, 110, 255}
	rule  = color.RGBA{213, 218, 224, 255}
	empty = color.RGBA{238, 240, 242, 255} // behind a crop of other proportions
)

func frameColor(r Relation) color.RGBA {
	switch r {
	case Right:
		return color.RGBA{26, 127, 55, 255}
	case Wrong:
		return color.RGBA{207, 34, 46, 255}
	case SameCamera:
		return color.RGBA{129, 139, 152, 255}
	}
	return color.RGBA{79, 107, 149, 255}
}

// canvas is a picture that is drawn on.
type canvas struct {
	*image.RGBA
	text, strong, title font.Face
}

// WritePNG writes a page as one picture. Each query is a row, as wide as that
// of the most results; a page that would have more than MaxPixels is refused.
func WritePNG(ctx context.Context, w io.Writer, p Page) error {
	if err := p.validate(); err != nil {
		return err
	}
	columns := 4 // room for the heading
	for _, q := range p.Queries {
		columns = max(columns, len(q.Results))
	}
	width := 2*margin + cellWidth + queryGap + columns*cellWidth
	heading := margin + titleSize + 12 + lineHeight*(len(p.Remarks)+2)
	if len(p.Scores) > 0 {
		heading += lineHeight
	}
	rowHeight := 2*lineHeight + cellHeight + rowGap
	height := heading + rowHeight*len(p.Queries) + margin
	if width > MaxPixels/height {
		return fmt.Errorf("%w: a picture of %d queries with up to %d results would have %dx%d pixels, and the limit is %d in all: show fewer, or write HTML",
			ErrPage, len(p.Queries), columns, width, height, MaxPixels)
	}
	c, err := newCanvas(width, height)
	if err != nil {
		return err
	}
	c.heading(p)
	for i, q := range p.Queries {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := c.query(i, q, heading+i*rowHeight); err != nil {
			return err
		}
	}
	return png.Encode(w, c.RGBA)
}

func newCanvas(width, height int) (*canvas, error) {
	c := &canvas{RGBA: image.NewRGBA(image.Rect(0, 0, width, height))}
	draw.Draw(c, c.Bounds(), image.NewUniform(paper), image.Point{}, draw.Src)
	for _, f := range []struct {
		face *font.Face
		data []byte
		size float64
	}{{&c.text, goregular.TTF, textSize}, {&c.strong, gobold.TTF, textSize}, {&c.title, gobold.TTF, titleSize}} {
		parsed, err := opentype.Parse(f.data)
		if err != nil {
			return nil, err
		}
		if *f.face, err = opentype.NewFace(parsed, &opentype.FaceOptions{Size: f.size, DPI: 72, Hinting: font.HintingFull}); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// heading draws what stands above the queries.
func (c *canvas) heading(p Page) {
	y, width := margin+titleSize, c.Bounds().Dx()-2*margin
	c.write(c.title, ink, margin, y, width, clean(p.Title))
	y += 12
	if len(p.Scores) > 0 {
		text := ""
		for _, s := range p.Scores {
			text += clean(s.Name) + " " + clean(s.Value) + "     "
		}
		y += lineHeight
		c.write(c.strong, ink, margin, y, width, text)
	}
	for _, r := range p.Remarks {
		y += lineHeight
		c.write(c.text, soft, margin, y, width, clean(r))
	}
	y += lineHeight
	x := margin
	for _, r := range p.legend() {
		c.fill(image.Rect(x, y-11, x+12, y+1), frameColor(r))
		x = c.write(c.text, ink, x+18, y, width, r.String()) + 24
	}
}

// query draws a row from y on.
func (c *canvas) query(i int, q Query, y int) error {
	c.fill(image.Rect(margin, y, c.Bounds().Dx()-margin, y+1), rule)
	y += lineHeight
	width := c.Bounds().Dx() - 2*margin
	text := q.summary()
	if more := q.more(); more != "" {
		if text != "" {
			text += " · "
		}
		text += more
	}
	end := c.write(c.strong, ink, margin, y, width*2/3, strconv.Itoa(i+1)+". "+short(q.Image.Name))
	c.write(c.text, soft, end+16, y, c.Bounds().Dx()-margin-end-16, text)
	y += lineHeight / 2
	person, camera, _ := strings.Cut(clean(q.Image.Note), ", ")
	if err := c.cell(q.Image, margin, y, ink, false, "query", person, camera); err != nil {
		return err
	}
	for k, r := range q.Results {
		x := margin + cellWidth + queryGap + k*cellWidth
		word := r.Relation.String()
		if r.Rank > 0 {
			word = strconv.Itoa(r.Rank)
			if r.Relation != Neutral {
				word += " " + r.Relation.String()
			}
		}
		if err := c.cell(r.Image, x, y, frameColor(r.Relation), r.Relation == SameCamera, word, distance(r.Distance), short(r.Image.Name)); err != nil {
			return err
		}
	}
	return nil
}

// cell draws an image in a frame, and three lines below.
func (c *canvas) cell(m Image, x, y int, edge color.RGBA, dashed bool, word, second, third string) error {
	_, decoded, err := m.read()
	if err != nil {
		return err
	}
	outer := image.Rect(x, y, x+cropWidth+2*frame, y+cropHeight+2*frame)
	inner := outer.Inset(frame)
	c.fill(outer, edge)
	if dashed {
		for d := outer.Min.Y; d < outer.Max.Y; d += 16 {
			c.fill(image.Rect(outer.Min.X, d+8, outer.Max.X, d+16).Intersect(outer), paper)
		}
		for d := inner.Min.X; d < inner.Max.X; d += 16 {
			c.fill(image.Rect(d+8, outer.Min.Y, d+16, outer.Max.Y).Intersect(outer), paper)
		}
	}
	c.fill(inner, empty)
	// As large as the frame lets it, in proportion.
	w, h := cropWidth, decoded.Height*cropWidth/decoded.Width
	if h > cropHeight {
		w, h = decoded.Width*cropHeight/decoded.Height, cropHeight
	}
	w, h = max(1, w), max(1, h)
	at := inner.Min.Add(image.Pt((cropWidth-w)/2, (cropHeight-h)/2))
	draw.Draw(c, image.Rectangle{at, at.Add(image.Pt(w, h))}, picture(pixels.Resize(decoded, w, h)), image.Point{}, draw.Over)
	wide := cropWidth + 2*frame
	c.write(c.strong, edge, x, outer.Max.Y+15, wide, word)
	c.write(c.text, ink, x, outer.Max.Y+15+lineHeight, wide, second)
	c.write(c.text, soft, x, outer.Max.Y+15+2*lineHeight, wide, third)
	return nil
}

func (c *canvas) fill(r image.Rectangle, with color.RGBA) {
	draw.Draw(c, r, image.NewUniform(with), image.Point{}, draw.Src)
}

// write draws text at a baseline, cut to a width, and returns where it ends.
func (c *canvas) write(face font.Face, with color.RGBA, x, baseline, width int, text string) int {
	d := font.Drawer{Dst: c, Src: image.NewUniform(with), Face: face, Dot: fixed.P(x, baseline)}
	if most := fixed.I(width); d.MeasureString(text) > most {
		letters := []rune(text)
		for len(letters) > 0 && d.MeasureString(string(letters)+"…") > most {
			letters = letters[:len(letters)-1]
		}
		text = string(letters) + "…"
	}
	d.DrawString(text)
	return d.Dot.X.Ceil()
}
