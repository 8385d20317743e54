package pages

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"

	"github.com/deepmutual/dml/internal/pixels"
)

// What is embedded in a page: an image of more pixels or bytes is made smaller.
// The sides are twice those that pages show, for fine screens.
const (
	embeddedWidth  = 192
	embeddedHeight = 384
	embeddedBytes  = 24 << 10
	quality        = 82 // of JPEG
)

// crop is an image to embed.
type crop struct {
	data          []byte
	kind          string // "jpeg" or "png"
	width, height int
}

// read reads the file of an image, and decodes it to see that others can.
func (m Image) read() ([]byte, pixels.Image, error) {
	fail := func(err error) ([]byte, pixels.Image, error) {
		return nil, pixels.Image{}, &ImageError{m.Name, err}
	}
	f, err := m.Open()
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	var data bytes.Buffer
	if err := pixels.ReadEncoded(&data, f); err != nil {
		return fail(err)
	}
	decoded, err := pixels.Decode(context.Background(), data.Bytes())
	if err != nil {
		return fail(err)
	}
	return data.Bytes(), decoded, nil
}

// embed returns the image as its file has it where that is small, else smaller.
func (m Image) embed() (crop, error) {
	data, decoded, err := m.read()
	if err != nil {
		return crop{}, err
	}
	c := crop{data: data, kind: pixels.Sniff(data), width: decoded.Width, height: decoded.Height}
	c.width, c.height = fit(c.width, c.height, embeddedWidth, embeddedHeight)
	asIs := c.kind == "jpeg" || c.kind == "png" // which every browser shows
	if asIs && c.width == decoded.Width && c.height == decoded.Height && len(data) <= embeddedBytes {
		return c, nil
	}
	var out bytes.Buffer
	if err := jpeg.Encode(&out, picture(pixels.Resize(decoded, c.width, c.height)), &jpeg.Options{Quality: quality}); err != nil {
		return crop{}, &ImageError{m.Name, err}
	}
	c.data, c.kind = out.Bytes(), "jpeg"
	return c, nil
}

// fit makes sides smaller, in proportion, until they are within bounds.
func fit(width, height, mostWidth, mostHeight int) (int, int) {
	w, h := width, height
	if w > mostWidth {
		w, h = mostWidth, height*mostWidth/width
	}
	if h > mostHeight {
		w, h = width*mostHeight/height, mostHeight
	}
	return max(1, w), max(1, h)
}

// picture gives an image to package image.
func picture(m pixels.Image) image.Image {
	if m.Channels == 1 {
		return &image.Gray{Pix: m.Pix, Stride: m.Width, Rect: image.Rect(0, 0, m.Width, m.Height)}
	}
	out := image.NewNRGBA(image.Rect(0, 0, m.Width, m.Height))
	for i := range m.Width * m.Height {
		copy(out.Pix[4*i:], m.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	return out
}
