package pixels

import (
	"fmt"
	"math"
)

// Rect is a part of an image: Width x Height pixels whose first is at column X
// of row Y.
type Rect struct{ X, Y, Width, Height int }

// Bounds is the whole of m.
func (m Image) Bounds() Rect { return Rect{Width: m.Width, Height: m.Height} }

// Resize returns m scaled to width x height pixels, both at least 1, with the
// aspect ratio left to the caller. It returns m itself where it has that size
// already.
//
// The filter is the triangle (bilinear) kernel, widened by the scale when
// shrinking so that no source pixel is skipped: the antialiased bilinear of
// Pillow and of torchvision's Resize. Results are Pillow's to the bit where it,
// too, scales horizontally first (version 13 does not where that is slower,
// which changes some samples by one grey level).
func Resize(m Image, width, height int) Image {
	if m.Width == width && m.Height == height {
		return m
	}
	var r Resizer
	return r.Crop(nil, m, m.Bounds(), width, height)
}

// Filter is a way of scaling.
type Filter int

// The filters, Pillow's of the same names. Bilinear and Bicubic widen when
// shrinking, so that no source pixel is skipped.
const (
	Bilinear Filter = iota // triangle
	Bicubic                // Keys' cubic convolution with a = -1/2
	Nearest                // the source pixel under the centre of the result's
)

// Resizer does what Resize does in memory of its own, which it uses again. The
// zero Resizer is ready. It is for one goroutine at a time.
type Resizer struct {
	// Filter is Bilinear where it is not set; Resize uses no other.
	Filter Filter

	across, down taps
	narrow       []uint8 // the source rows, scaled horizontally
}

// Crop returns the part of m scaled to width x height pixels, as Resize scales
// an image that is just this part. The result is held in buf where that has the
// capacity, else in new memory. The part must lie within m, and all sides must
// be at least 1; else Crop panics.
func (r *Resizer) Crop(buf []uint8, m Image, part Rect, width, height int) Image {
	if part.X < 0 || part.Y < 0 || part.Width < 1 || part.Height < 1 || width < 1 || height < 1 ||
		part.Width > m.Width-part.X || part.Height > m.Height-part.Y {
		panic(fmt.Sprintf("pixels: scaling %+v of an image of %dx%d to %dx%d", part, m.Width, m.Height, width, height))
	}
	c := m.Channels
	out := Image{Width: width, Height: height, Channels: c, Pix: grow(buf, width*height*c)}
	stride := m.Width * c
	src := m.Pix[part.Y*stride+part.X*c:]
	// Horizontal before vertical, and 8 bits between, as in Pillow.
	if width != part.Width {
		r.across.set(r.Filter, part.Width, width)
		to := out.Pix
		if height != part.Height {
			r.narrow = grow(r.narrow, width*part.Height*c)
			to = r.narrow
		}
		for y := range part.Height {
			r.across.row(to[y*width*c:(y+1)*width*c], src[y*stride:], c)
		}
		src, stride = to, width*c
	}
	switch {
	case height != part.Height:
		r.down.set(r.Filter, part.Height, height)
		r.down.columns(out.Pix, src, stride, width*c)
	case width == part.Width:
		for y := range height {
			copy(out.Pix[y*width*c:(y+1)*width*c], src[y*stride:])
		}
	}
	return out
}

// grow returns buf with length n, in new memory where its capacity is less.
func grow(buf []uint8, n int) []uint8 {
	if cap(buf) < n {
		return make([]uint8, n)
	}
	return buf[:n]
}

// fixedBits is the precision of the filter's weights, Pillow's: 32 bits less 8
// for the sample and 2 to spare.
const (
	fixedBits = 32 - 8 - 2
	fixedHalf = 1 << (fixedBits - 1)
)

// taps are the weights of one direction: result i is the sum over k of
// weights[i*most+k] times sample first[i]+k, for count[i] values of k.
type taps struct {
	filter       Filter
	from, to     int
	most         int
	first, count []int
	weights      []int32
	exact        []float64 // of one result, before rounding
}

// set computes the weights that scale from samples to the given number.
func (t *taps) set(filter Filter, from, to int) {
	if t.filter == filter && t.from == from && t.to == to {
		return
	}
	t.filter, t.from, t.to = filter, from, to
	scale := float64(from) / float64(to)
	shrink := max(scale, 1)
	support := filter.support() * shrink
	t.most = 2*int(math.Ceil(support)) + 1
	if cap(t.first) < to {
		t.first, t.count = make([]int, to), make([]int, to)
	}
	if cap(t.weights) < to*t.most {
		t.weights = make([]int32, to*t.most)
	}
	if cap(t.exact) < t.most {
		t.exact = make([]float64, t.most)
	}
	t.first, t.count, t.weights, t.exact = t.first[:to], t.count[:to], t.weights[:to*t.most], t.exact[:t.most]
	if filter == Nearest {
		// Centres that lie on the border of two pixels fall as Pillow's sum does.
		centre := scale * 0.5
		for i := range to {
			t.first[i], t.count[i], t.weights[i*t.most] = min(int(centre), from-1), 1, 1<<fixedBits
			centre += scale
		}
		return
	}
	for i := range to {
		centre := (float64(i) + 0.5) * scale
		first := max(int(centre-support+0.5), 0)
		n := min(int(centre+support+0.5), from) - first
		var sum float64
		for k := range n {
			w := filter.at((float64(first+k) - centre + 0.5) / shrink)
			t.exact[k] = w
			sum += w
		}
		for k := range n {
			t.weights[i*t.most+k] = int32(math.Round(t.exact[k] / sum * (1 << fixedBits)))
		}
		t.first[i], t.count[i] = first, n
	}
}

// support is how far from its centre a filter reaches, in source pixels where
// it does not shrink.
func (f Filter) support() float64 {
	if f == Bicubic {
		return 2
	}
	return 1
}

// at is the filter's weight at a distance from its centre.
func (f Filter) at(x float64) float64 {
	x = math.Abs(x)
	switch {
	case f == Bilinear:
		return max(1-x, 0)
	case x < 1:
		return (1.5*x-2.5)*x*x + 1
	case x < 2:
		return -0.5 * (((x-5)*x+8)*x - 4)
	}
	return 0
}

// row scales one row of pixels.
func (t *taps) row(dst, src []uint8, channels int) {
	for i, first := range t.first {
		weights := t.weights[i*t.most:][:t.count[i]]
		if channels == 1 {
			sum := int32(fixedHalf)
			for k, v := range src[first:][:len(weights)] {
				sum += weights[k] * int32(v)
			}
			dst[i] = round8(sum)
			continue
		}
		r, g, b := int32(fixedHalf), int32(fixedHalf), int32(fixedHalf)
		s := src[3*first:][:3*len(weights)]
		for _, w := range weights {
			r += w * int32(s[0])
			g += w * int32(s[1])
			b += w * int32(s[2])
			s = s[3:]
		}
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = round8(r), round8(g), round8(b)
	}
}

// columns scales the rows of src, each of n samples and stride apart, to rows
// of n samples.
func (t *taps) columns(dst, src []uint8, stride, n int) {
	for i, first := range t.first {
		weights := t.weights[i*t.most:][:t.count[i]]
		d := dst[i*n:][:n]
		if len(weights) == 2 || len(weights) == 3 { // enlarging: nearly all rows
			w0, w1, w2 := weights[0], weights[1], int32(0)
			a, b := src[first*stride:][:n], src[(first+1)*stride:][:n]
			c := b
			if len(weights) == 3 {
				w2, c = weights[2], src[(first+2)*stride:][:n]
			}
			for x := range d {
				d[x] = round8(fixedHalf + w0*int32(a[x]) + w1*int32(b[x]) + w2*int32(c[x]))
			}
			continue
		}
		for x := range d {
			sum := int32(fixedHalf)
			at := first*stride + x
			for _, w := range weights {
				sum += w * int32(src[at])
				at += stride
			}
			d[x] = round8(sum)
		}
	}
}

// round8 is a sum of weighted samples as an 8-bit one. Rounded weights, and
// negative ones, let a sum leave 0..255.
func round8(sum int32) uint8 { return uint8(min(max(sum>>fixedBits, 0), 255)) }
