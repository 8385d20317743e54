// Package pixels turns image files into the numbers a network reads: it
// decodes them, resizes, converts between grey and RGB, and normalises
// into planar float32.
//
// Training (package dataset) and serving (package infer) both go through this
// package, so that a network is served exactly what it was trained on.
package pixels

import (
	"fmt"
	"image"
	"image/color"
)

// Image is a picture of 8-bit samples in HWC order: rows from the top, pixels
// from the left, and the channels of a pixel side by side. Channels is 1
// (grey) or 3 (RGB), and len(Pix) is Width*Height*Channels.
type Image struct {
	Width, Height, Channels int
	Pix                     []uint8
}

// Validate reports an Image whose fields contradict each other.
func (m Image) Validate() error {
	if m.Width < 1 || m.Height < 1 {
		return fmt.Errorf("image is %dx%d: both sides must be at least 1", m.Width, m.Height)
	}
	if m.Channels != 1 && m.Channels != 3 {
		return fmt.Errorf("image has %d channels: want 1 (grey) or 3 (RGB)", m.Channels)
	}
	if want := m.Width * m.Height * m.Channels; len(m.Pix) != want {
		return fmt.Errorf("image of %dx%d with %d channels holds %d bytes: want %d",
			m.Width, m.Height, m.Channels, len(m.Pix), want)
	}
	return nil
}

// FromImage copies src into an Image: grey where src is an *image.Gray or
// *image.Gray16, RGB otherwise. 16-bit samples keep their high byte.
// Transparency is dropped and the colour beneath it kept, as Pillow's
// convert("RGB") does.
func FromImage(src image.Image) Image {
	b := src.Bounds()
	m := Image{Width: b.Dx(), Height: b.Dy(), Channels: 3}
	switch src := src.(type) {
	case *image.Gray:
		m.Channels = 1
		m.Pix = make([]uint8, 0, m.Width*m.Height)
		for y := b.Min.Y; y < b.Max.Y; y++ {
			row := src.Pix[src.PixOffset(b.Min.X, y):]
			m.Pix = append(m.Pix, row[:m.Width]...)
		}
		return m
	case *image.Gray16:
		m.Channels = 1
		m.Pix = make([]uint8, 0, m.Width*m.Height)
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				m.Pix = append(m.Pix, uint8(src.Gray16At(x, y).Y>>8))
			}
		}
		return m
	}

	m.Pix = make([]uint8, 3*m.Width*m.Height)
	out := m.Pix
	put := func(r, g, b uint8) {
		out[0], out[1], out[2] = r, g, b
		out = out[3:]
	}
	switch src := src.(type) {
	case *image.YCbCr:
		fromYCbCr(m, src)
	case *image.NRGBA:
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				p := src.Pix[src.PixOffset(x, y):]
				put(p[0], p[1], p[2])
			}
		}
	default:
		for y := b.Min.Y; y < b.Max.Y; y++ {
			for x := b.Min.X; x < b.Max.X; x++ {
				c := nrgbaOf(src.At(x, y))
				put(c.R, c.G, c.B)
			}
		}
	}
	return m
}

// Standard returns m as the standard library holds images: FromImage of it is
// equal to m. The picture of one channel shares its memory.
func (m Image) Standard() image.Image {
	bounds := image.Rect(0, 0, m.Width, m.Height)
	if m.Channels == 1 {
		return &image.Gray{Pix: m.Pix, Stride: m.Width, Rect: bounds}
	}
	out := image.NewNRGBA(bounds)
	for i := range m.Width * m.Height {
		copy(out.Pix[4*i:], m.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 255
	}
	return out
}

// nrgbaOf undoes alpha premultiplication. color.NRGBAModel would turn a fully
// transparent NRGBA64 into black; the stored colour is kept instead.
func nrgbaOf(c color.Color) color.NRGBA {
	if c, ok := c.(color.NRGBA64); ok {
		return color.NRGBA{R: uint8(c.R >> 8), G: uint8(c.G >> 8), B: uint8(c.B >> 8), A: uint8(c.A >> 8)}
	}
	return color.NRGBAModel.Convert(c).(color.NRGBA)
}

// Convert returns m with the given number of channels, 1 or 3: m itself where
// it has them already, else a copy. Grey is Rec. 601 luma rounded to 8 bits,
// as in Pillow and in color.RGBToYCbCr.
func Convert(m Image, channels int) Image {
	if m.Channels == channels {
		return m
	}
	n := m.Width * m.Height
	out := Image{Width: m.Width, Height: m.Height, Channels: channels, Pix: make([]uint8, n*channels)}
	if channels == 1 {
		for i := range n {
			p := m.Pix[3*i : 3*i+3]
			out.Pix[i] = Luma(p[0], p[1], p[2])
		}
		return out
	}
	for i, v := range m.Pix {
		out.Pix[3*i], out.Pix[3*i+1], out.Pix[3*i+2] = v, v, v
	}
	return out
}

// Luma is the grey of a colour: Rec. 601 luma rounded to 8 bits, as in Pillow
// and in color.RGBToYCbCr.
func Luma(r, g, b uint8) uint8 {
	return uint8((19595*uint32(r) + 38470*uint32(g) + 7471*uint32(b) + 1<<15) >> 16)
}

// Fit gives m the channels and size a network reads: Convert, then Resize. It
// returns m itself, unchanged and uncopied, where nothing has to be done.
func Fit(m Image, channels, width, height int) Image {
	return Resize(Convert(m, channels), width, height)
}
