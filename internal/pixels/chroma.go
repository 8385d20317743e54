package pixels

import (
	"image"
)

// fromYCbCr converts a picture as libjpeg does, so that networks see what they
// were trained on elsewhere: halved chroma is enlarged with a triangle filter
// (jdsample.c: h2v1, h2v2 and h1v2 fancy upsampling), other chroma repeated, and
// the colours are JFIF's in libjpeg's fixed point (jdcolor.c).
func fromYCbCr(m Image, src *image.YCbCr) { eachYCbCr(m, src, putRGB) }

// eachYCbCr calls put with each row of the result and its luma and enlarged
// chroma.
func eachYCbCr(m Image, src *image.YCbCr, put func(out, luma, cb, cr []uint8)) {
	up := newUpsampler(src)
	for y := range m.Height {
		luma := src.Y[src.YOffset(src.Rect.Min.X, src.Rect.Min.Y+y):][:m.Width]
		cb, cr := up.row(src.Cb, y, 0), up.row(src.Cr, y, 1)
		put(m.Pix[3*y*m.Width:][:3*m.Width], luma, cb, cr)
	}
}

// upsampler enlarges chroma to the size of luma, a row at a time.
type upsampler struct {
	src           *image.YCbCr
	across, down  int // places of luma for one of chroma
	smooth        bool
	left, columns int // first column of chroma, and how many
	top, rows     int
	skip          int         // places of the first column that lie left of the picture
	out           [2][]uint8  // of Cb and Cr
	sums          [2][]uint16 // of two rows of chroma, one three times
}

func newUpsampler(src *image.YCbCr) *upsampler {
	u := &upsampler{src: src, across: 1, down: 1}
	switch src.SubsampleRatio {
	case image.YCbCrSubsampleRatio422:
		u.across = 2
	case image.YCbCrSubsampleRatio420:
		u.across, u.down = 2, 2
	case image.YCbCrSubsampleRatio440:
		u.down = 2
	case image.YCbCrSubsampleRatio411:
		u.across = 4
	case image.YCbCrSubsampleRatio410:
		u.across, u.down = 4, 2
	}
	r := src.Rect
	u.left, u.top = r.Min.X/u.across, r.Min.Y/u.down
	u.columns, u.rows = (r.Max.X-1)/u.across-u.left+1, (r.Max.Y-1)/u.down-u.top+1
	u.skip = r.Min.X - u.left*u.across
	// libjpeg repeats what is narrower than three samples.
	u.smooth = u.across <= 2 && (u.across == 1 || u.columns > 2)
	for i := range u.out {
		u.out[i], u.sums[i] = make([]uint8, u.columns*u.across), make([]uint16, u.columns)
	}
	return u
}

// samples is a row of chroma, clamped to those there are.
func (u *upsampler) samples(plane []uint8, row int) []uint8 {
	row = u.top + min(max(row, 0), u.rows-1)
	return plane[(row-u.src.Rect.Min.Y/u.down)*u.src.CStride+u.left-u.src.Rect.Min.X/u.across:][:u.columns]
}

// row is chroma for row y of the picture, counted from its top.
func (u *upsampler) row(plane []uint8, y, which int) []uint8 {
	row := (u.src.Rect.Min.Y+y)/u.down - u.top
	in := u.samples(plane, row)
	if u.across == 1 && u.down == 1 {
		return in
	}
	out := u.out[which]
	switch {
	case !u.smooth:
		repeat(out, in, u.across)
	case u.down == 1:
		across(out, in)
	default:
		lower := (u.src.Rect.Min.Y + y) % 2 // the lower of the two rows of luma
		near := u.samples(plane, row-1+2*lower)
		if u.across == 1 {
			for i, v := range in {
				out[i] = uint8((3*int(v) + int(near[i]) + 1 + lower) >> 2)
			}
			break
		}
		sums := u.sums[which]
		for i, v := range in {
			sums[i] = 3*uint16(v) + uint16(near[i])
		}
		acrossSums(out, sums)
	}
	return out[u.skip:]
}

func repeat(out, in []uint8, times int) {
	for i, v := range in {
		for k := range times {
			out[i*times+k] = v
		}
	}
}

// across is h2v1: each result is three quarters of the nearer sample and one of
// the farther, rounded down and up in turn.
func across(out, in []uint8) {
	last := len(in) - 1
	for i, v := range in {
		before, after := in[max(i-1, 0)], in[min(i+1, last)]
		out[2*i] = uint8((3*int(v) + int(before) + 1) >> 2)
		out[2*i+1] = uint8((3*int(v) + int(after) + 2) >> 2)
	}
}

// acrossSums is the second half of h2v2, of sums of four.
func acrossSums(out []uint8, sums []uint16) {
	last := len(sums) - 1
	before := sums[0]
	for i, v := range sums {
		after := sums[min(i+1, last)]
		out[2*i] = uint8((3*v + before + 8) >> 4)
		out[2*i+1] = uint8((3*v + after + 7) >> 4)
		before = v
	}
}

// Fixed point of 16 bits.
const (
	crToRed   = 91881  // 1.402
	cbToGreen = 22554  // 0.34414
	crToGreen = 46802  // 0.71414
	cbToBlue  = 116130 // 1.772
	half      = 1 << 15
)

// putRGB converts a row of full-range YCbCr.
func putRGB(out, luma, cb, cr []uint8) {
	cb, cr, out = cb[:len(luma)], cr[:len(luma)], out[:3*len(luma)]
	for x, v := range luma {
		y, b, r := int32(v), int32(cb[x])-128, int32(cr[x])-128
		o := out[3*x : 3*x+3 : 3*x+3]
		o[0] = clamp8(y + (crToRed*r+half)>>16)
		o[1] = clamp8(y + (-cbToGreen*b-crToGreen*r+half)>>16)
		o[2] = clamp8(y + (cbToBlue*b+half)>>16)
	}
}

func clamp8(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31)) // 0 below, 255 above
	}
	return uint8(v)
}

// studioRange converts a picture whose luma is from 16 to 235, in libwebp's fixed
// point (yuv.h).
func studioRange(src *image.YCbCr) Image {
	m := Image{Width: src.Rect.Dx(), Height: src.Rect.Dy(), Channels: 3}
	m.Pix = make([]uint8, 3*m.Width*m.Height)
	eachYCbCr(m, src, func(out, luma, cb, cr []uint8) {
		for x, v := range luma {
			y, u, v := int32(v)*19077>>8, int32(cb[x]), int32(cr[x])
			out[3*x] = clamp8((y + v*26149>>8 - 14234) >> 6)
			out[3*x+1] = clamp8((y - u*6419>>8 - v*13320>>8 + 8708) >> 6)
			out[3*x+2] = clamp8((y + u*33050>>8 - 17685) >> 6)
		}
	})
	return m
}
