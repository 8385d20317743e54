package pixels

import (
	"image"

	"golang.org/x/image/draw"
)

// Resize returns m scaled to width x height pixels, both at least 1, with the
// aspect ratio left to the caller. It returns m itself where it has that size
// already.
//
// The filter is the triangle (bilinear) kernel, widened by the scale when
// shrinking so that no source pixel is skipped: the antialiased bilinear of
// Pillow and of torchvision's Resize. Results agree with the exactly rounded
// filter to one grey level.
func Resize(m Image, width, height int) Image {
	if m.Width == width && m.Height == height {
		return m
	}
	dst := image.NewRGBA(image.Rect(0, 0, width, height))
	src := asDrawable(m)
	draw.BiLinear.Scale(dst, dst.Bounds(), src, src.Bounds(), draw.Src, nil)

	out := Image{Width: width, Height: height, Channels: m.Channels, Pix: make([]uint8, width*height*m.Channels)}
	c := m.Channels
	for i := range width * height {
		copy(out.Pix[c*i:c*i+c], dst.Pix[4*i:4*i+c])
	}
	return out
}

// asDrawable presents m in one of the types x/image/draw has fast loops for.
func asDrawable(m Image) image.Image {
	bounds := image.Rect(0, 0, m.Width, m.Height)
	if m.Channels == 1 {
		return &image.Gray{Pix: m.Pix, Stride: m.Width, Rect: bounds}
	}
	rgba := image.NewRGBA(bounds)
	for i := range m.Width * m.Height {
		p, q := rgba.Pix[4*i:4*i+4], m.Pix[3*i:3*i+3]
		p[0], p[1], p[2], p[3] = q[0], q[1], q[2], 0xff
	}
	return rgba
}
