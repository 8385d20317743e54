package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"math"
)

// Erase blanks a random rectangle of an image: random erasing (Zhong, Zheng,
// Kang, Li and Yang, AAAI 2020) by torchreid's rule, which differs from the
// paper's algorithm 1: the aspect is drawn evenly between its bounds, sides are
// rounded, must be less than the image's, and a rectangle that does not fit is
// drawn again up to 100 times; the colour is a mean, not noise. The zero Erase
// does nothing.
type Erase struct {
	// Probability that an image is changed. 0 switches erasing off; 0.5 is the
	// paper's and torchreid's.
	Probability float64
	// MinArea and MaxArea bound the rectangle's share of the image's area, which
	// is drawn uniformly. Defaults: 0.02 and 0.4, the paper's.
	MinArea, MaxArea float64
	// MinAspect and MaxAspect bound the rectangle's height over its width, which
	// is drawn uniformly. Defaults: 0.3, the paper's, and 1/MinAspect.
	MinAspect, MaxAspect float64
	// Fill is the colour of the rectangle; its first value the grey of a grey
	// image. A Loader sets it to the mean that its Norm subtracts.
	Fill [3]uint8
}

// The defaults of Erase.
const (
	DefaultMinArea   = 0.02
	DefaultMaxArea   = 0.4
	DefaultMinAspect = 0.3
)

// WithDefaults returns e with every default written out.
func (e Erase) WithDefaults() Erase {
	if e.on() {
		e.MinArea = cmp.Or(e.MinArea, DefaultMinArea)
		e.MaxArea = cmp.Or(e.MaxArea, DefaultMaxArea)
		e.MinAspect = cmp.Or(e.MinAspect, DefaultMinAspect)
		e.MaxAspect = cmp.Or(e.MaxAspect, 1/e.MinAspect)
	}
	return e
}

// Validate reports every fault of e.
func (e Erase) Validate() error {
	if !e.on() {
		if e != (Erase{Fill: e.Fill}) {
			return errors.New("erasing: a probability must be given too, as 0.5")
		}
		return nil
	}
	var errs []error
	e = e.WithDefaults()
	if !(e.Probability > 0 && e.Probability <= 1) {
		errs = append(errs, fmt.Errorf("erasing: probability %v: want 0 to 1", e.Probability))
	}
	if !(e.MinArea > 0 && e.MinArea <= e.MaxArea && e.MaxArea <= 1) {
		errs = append(errs, fmt.Errorf("erasing: area from %v to %v: want 0 < smallest <= largest <= 1", e.MinArea, e.MaxArea))
	}
	if !(e.MinAspect > 0 && e.MinAspect <= e.MaxAspect && !math.IsInf(e.MaxAspect, 0)) {
		errs = append(errs, fmt.Errorf("erasing: aspect from %v to %v: want 0 < smallest <= largest", e.MinAspect, e.MaxAspect))
	}
	return errors.Join(errs...)
}

func (e Erase) on() bool { return e.Probability != 0 }

// eraseAttempts is how often a rectangle is drawn before the image is left as
// it is: torchreid's number. The paper draws until one fits, which need not
// happen in a narrow image.
const eraseAttempts = 100

// Part returns the rectangle that is erased of an image of the given size; its
// sides are 0 where none is. It is narrower and lower than the image.
func (e Erase) Part(width, height int, key SampleKey) Rect {
	if !e.on() {
		return Rect{}
	}
	e = e.WithDefaults()
	r := key.random(streamErase)
	if r.Float64() >= e.Probability {
		return Rect{}
	}
	for range eraseAttempts {
		area := r.Between(e.MinArea, e.MaxArea) * float64(width) * float64(height)
		aspect := r.Between(e.MinAspect, e.MaxAspect)
		h, w := math.RoundToEven(math.Sqrt(area*aspect)), math.RoundToEven(math.Sqrt(area/aspect))
		if w >= 1 && h >= 1 && w < float64(width) && h < float64(height) {
			p := Rect{Width: int(w), Height: int(h)}
			p.Y = r.IntN(height - p.Height + 1)
			p.X = r.IntN(width - p.Width + 1)
			return p
		}
	}
	return Rect{}
}

// fill erases a part of m in place.
func (e Erase) fill(m Image, part Rect) {
	for y := part.Y; y < part.Y+part.Height; y++ {
		row := m.Pix[(y*m.Width+part.X)*m.Channels:][:part.Width*m.Channels]
		for i := range row {
			row[i] = e.Fill[i%m.Channels]
		}
	}
}

// meanColour is what a Norm subtracts, as a colour.
func meanColour(n Norm) (colour [3]uint8) {
	for c, v := range n.Mean {
		colour[c] = round8(255 * float64(v))
	}
	return colour
}
