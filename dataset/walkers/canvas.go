package walkers

import (
	"image"
	"image/draw"
	"math"

	"golang.org/x/image/vector"

	"github.com/deepmutual/dml/dataset/internal/draws"
)

// Width and Height of the images, as Market-1501's.
const (
	Width  = 64
	Height = 128
)

// colour is red, green and blue, 0 to 1 each where light permits.
type colour [3]float64

func (c colour) times(f float64) colour { return colour{c[0] * f, c[1] * f, c[2] * f} }

// towards moves c by the fraction t to d.
func (c colour) towards(d colour, t float64) colour {
	for i := range c {
		c[i] += t * (d[i] - c[i])
	}
	return c
}

// paint gives the colour of the pixel whose centre is at (x, y).
type paint func(x, y float64) colour

func plain(c colour) paint { return func(float64, float64) colour { return c } }

type point struct{ x, y float64 }

// canvas is a picture under way.
type canvas struct {
	pix  [Width * Height]colour
	ras  vector.Rasterizer
	mask [Width * Height]uint8
}

// background paints every pixel.
func (c *canvas) background(p paint) {
	for i := range c.pix {
		c.pix[i] = p(float64(i%Width)+0.5, float64(i/Width)+0.5)
	}
}

// fill paints the inside of a closed polygon, its edge in part.
func (c *canvas) fill(shape []point, p paint) {
	low, high := point{Width, Height}, point{0, 0}
	for _, v := range shape {
		low = point{min(low.x, v.x), min(low.y, v.y)}
		high = point{max(high.x, v.x), max(high.y, v.y)}
	}
	x0, y0 := max(int(math.Floor(low.x)), 0), max(int(math.Floor(low.y)), 0)
	x1, y1 := min(int(math.Ceil(high.x)), Width), min(int(math.Ceil(high.y)), Height)
	w, h := x1-x0, y1-y0
	if w <= 0 || h <= 0 {
		return
	}
	c.ras.Reset(w, h)
	c.ras.DrawOp = draw.Src
	for i, v := range shape {
		x, y := float32(v.x-float64(x0)), float32(v.y-float64(y0))
		if i == 0 {
			c.ras.MoveTo(x, y)
		} else {
			c.ras.LineTo(x, y)
		}
	}
	c.ras.ClosePath()
	mask := &image.Alpha{Pix: c.mask[:w*h], Stride: w, Rect: image.Rect(0, 0, w, h)}
	c.ras.Draw(mask, mask.Rect, image.Opaque, image.Point{})
	for i, a := range mask.Pix {
		if a > 0 {
			x, y := x0+i%w, y0+i/w
			at := &c.pix[y*Width+x]
			*at = at.towards(p(float64(x)+0.5, float64(y)+0.5), float64(a)/255)
		}
	}
}

// ellipse has its axes along the picture's.
func ellipse(centre point, rx, ry float64) []point {
	shape := make([]point, 24)
	for i := range shape {
		sin, cos := math.Sincos(2 * math.Pi * float64(i) / float64(len(shape)))
		shape[i] = point{centre.x + rx*cos, centre.y + ry*sin}
	}
	return shape
}

// limb is a line from a to b with round ends, as thick as two radii say.
func limb(a point, ra float64, b point, rb float64) []point {
	const arc = 7
	along := math.Atan2(b.y-a.y, b.x-a.x)
	var shape []point
	for i := range arc {
		sin, cos := math.Sincos(along - math.Pi/2 + math.Pi*float64(i)/(arc-1))
		shape = append(shape, point{b.x + rb*cos, b.y + rb*sin})
	}
	for i := range arc {
		sin, cos := math.Sincos(along + math.Pi/2 + math.Pi*float64(i)/(arc-1))
		shape = append(shape, point{a.x + ra*cos, a.y + ra*sin})
	}
	return shape
}

// rounded cuts the corners of a polygon (Chaikin, 1974), twice.
func rounded(shape []point) []point {
	for range 2 {
		out := make([]point, 0, 2*len(shape))
		for i, a := range shape {
			b := shape[(i+1)%len(shape)]
			out = append(out, point{0.75*a.x + 0.25*b.x, 0.75*a.y + 0.25*b.y}, point{0.25*a.x + 0.75*b.x, 0.25*a.y + 0.75*b.y})
		}
		shape = out
	}
	return shape
}

func rectangle(x0, y0, x1, y1 float64) []point {
	return []point{{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}}
}

// texture is smooth noise over the plane: random values at whole numbers,
// interpolated between.
type texture uint64

// at is between 0 and 1.
func (t texture) at(x, y float64) float64 {
	i, j := math.Floor(x), math.Floor(y)
	u, v := x-i, y-j
	u, v = u*u*(3-2*u), v*v*(3-2*v)
	value := func(i, j float64) float64 {
		return float64(draws.Mix(uint64(t)^draws.Mix(uint64(int64(i)))^draws.Mix(uint64(int64(j))+0x9e3779b97f4a7c15))>>11) / (1 << 53)
	}
	top := value(i, j) + u*(value(i+1, j)-value(i, j))
	bottom := value(i, j+1) + u*(value(i+1, j+1)-value(i, j+1))
	return top + v*(bottom-top)
}
