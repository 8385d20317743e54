package dataset

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/deepmutual/dml/dataset/internal/draws"
	"github.com/deepmutual/dml/internal/pixels"
)

// PadMode says what lies outside an image.
type PadMode string

const (
	// PadReflect, the default, mirrors the image at its border pixels, which are
	// not repeated: dcb|abcd|cba with the bars at the border, as torch's "reflect".
	PadReflect PadMode = "reflect"
	// PadZero surrounds the image with black, before normalisation.
	PadZero PadMode = "zero"
)

// Augment changes training images at random, in the order of its fields. What
// it does to a sample is a pure function of its SampleKey. The zero Augment
// does nothing.
type Augment struct {
	// ResizedCrop scales a random part of the stored image to the input's size,
	// in place of the whole.
	ResizedCrop ResizedCrop
	// PadCrop pads every side by this many pixels and crops back to the image's
	// size at a uniformly random place.
	PadCrop int
	PadMode PadMode // default PadReflect
	// Flip mirrors left and right with probability 1/2.
	Flip bool
	// Jitter changes the colours.
	Jitter Jitter
	// Erase blanks a random rectangle.
	Erase Erase
}

// WithDefaults returns a with every default written out.
func (a Augment) WithDefaults() Augment {
	a.ResizedCrop = a.ResizedCrop.WithDefaults()
	a.PadMode = cmp.Or(a.PadMode, PadReflect)
	a.Erase = a.Erase.WithDefaults()
	return a
}

// SampleKey names one look at one sample; equal keys give equal augmentation.
type SampleKey struct {
	Seed         uint64
	Epoch, Index int
	// View tells apart several looks at a sample in one epoch; see
	// LoaderOptions.Views.
	View int
}

// random starts the draws of one use.
func (k SampleKey) random(s stream) draws.Source {
	if k.View > 0 {
		// View 0 draws what a run without views does.
		k.Seed = draws.Mix(k.Seed ^ draws.Mix(uint64(k.View)+0xd1b54a32d192ed03))
	}
	return newRandom(k.Seed, s, k.Epoch, k.Index)
}

// Validate reports every fault of a for images of the given shape.
func (a Augment) Validate(shape Shape) error {
	var errs []error
	if a.PadCrop < 0 {
		errs = append(errs, fmt.Errorf("pad-crop of %d pixels: want 0 or more", a.PadCrop))
	}
	switch a.PadMode {
	case PadReflect, "":
		if side := min(shape.Height, shape.Width); a.PadCrop >= side {
			errs = append(errs, fmt.Errorf("pad-crop of %d pixels: reflection of a %v image allows at most %d",
				a.PadCrop, shape, side-1))
		}
	case PadZero:
		if a.PadCrop > pixels.MaxSide {
			errs = append(errs, fmt.Errorf("pad-crop of %d pixels: want at most %d", a.PadCrop, pixels.MaxSide))
		}
	default:
		errs = append(errs, fmt.Errorf("pad mode %q is unknown; use %s or %s", a.PadMode, PadReflect, PadZero))
	}
	errs = append(errs, a.ResizedCrop.Validate(), a.Jitter.Validate(), a.Erase.Validate())
	return errors.Join(errs...)
}

// Apply returns m padded, cropped, mirrored, its colours jittered and a part
// erased; ResizedCrop, which changes the size, is left to the caller. The result
// is held in buf where that has the capacity, else in new memory; where nothing
// is to be done it is m itself, which never changes. The augmentation must be
// valid for m's shape.
func (a Augment) Apply(buf []uint8, m Image, key SampleKey) Image {
	dx, dy, flip := a.draw(key)
	moved := dx != 0 || dy != 0 || flip
	hole := a.Erase.Part(m.Width, m.Height, key)
	if !moved && !a.Jitter.on() && hole == (Rect{}) {
		return m
	}
	if cap(buf) < len(m.Pix) {
		buf = make([]uint8, len(m.Pix))
	}
	out := Image{Width: m.Width, Height: m.Height, Channels: m.Channels, Pix: buf[:len(m.Pix)]}
	if moved {
		a.move(out, m, dx, dy, flip)
	} else {
		copy(out.Pix, m.Pix)
	}
	a.Jitter.apply(out, key)
	a.Erase.fill(out, hole)
	return out
}

// move writes m to out, shifted and then mirrored.
func (a Augment) move(out, m Image, dx, dy int, flip bool) {
	stride := m.Width * m.Channels
	for y := range m.Height {
		dst := out.Pix[y*stride : (y+1)*stride]
		sy := a.source(y+dy, m.Height)
		if sy < 0 {
			clear(dst)
			continue
		}
		a.row(dst, m.Pix[sy*stride:(sy+1)*stride], dx, flip, m.Channels)
	}
}

// draw returns the offset of the crop from the unpadded image, in
// -PadCrop..PadCrop, and whether to mirror the result.
func (a Augment) draw(key SampleKey) (dx, dy int, flip bool) {
	if a.PadCrop > 0 {
		r := key.random(streamCrop)
		dx = r.IntN(2*a.PadCrop+1) - a.PadCrop
		dy = r.IntN(2*a.PadCrop+1) - a.PadCrop
	}
	if a.Flip {
		r := key.random(streamFlip)
		flip = r.IntN(2) == 1
	}
	return dx, dy, flip
}

// row writes one row, shifted by dx and then mirrored.
func (a Augment) row(dst, src []uint8, dx int, flip bool, channels int) {
	width := len(src) / channels
	for x := range width {
		sx := a.source(x+dx, width)
		if flip {
			x = width - 1 - x
		}
		d := dst[x*channels : (x+1)*channels]
		if sx < 0 {
			clear(d)
			continue
		}
		s := src[sx*channels : (sx+1)*channels]
		d[0] = s[0]
		if channels == 3 {
			d[1], d[2] = s[1], s[2]
		}
	}
}

// source maps coordinate i of the padded plane, counted from the image's
// border, to the image's 0..n-1, or to -1 for black.
func (a Augment) source(i, n int) int {
	switch {
	case i >= 0 && i < n:
		return i
	case a.PadMode == PadZero:
		return -1
	case i < 0:
		return -i
	default:
		return 2*(n-1) - i
	}
}
