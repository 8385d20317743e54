package dataset

import (
	"cmp"
	"errors"
	"fmt"
	"math"
)

// ResizedCrop chooses a random part of an image, which is then scaled to the
// input's size: torchvision's RandomResizedCrop, with its usual values as
// defaults. The zero ResizedCrop does nothing.
type ResizedCrop struct {
	// MinScale and MaxScale bound the part's share of the image's area, which is
	// drawn uniformly. MinScale 0 switches the crop off; 0.08 is usual for
	// photographs. Default of MaxScale: 1.
	MinScale, MaxScale float64
	// MinRatio and MaxRatio bound the part's width over its height, whose
	// logarithm is drawn uniformly. Defaults: 3/4 and 4/3.
	MinRatio, MaxRatio float64
}

// The defaults of ResizedCrop.
const (
	DefaultMaxScale = 1.0
	DefaultMinRatio = 3.0 / 4
	DefaultMaxRatio = 4.0 / 3
)

// WithDefaults returns c with every default written out.
func (c ResizedCrop) WithDefaults() ResizedCrop {
	if c.on() {
		c.MaxScale = cmp.Or(c.MaxScale, DefaultMaxScale)
		c.MinRatio = cmp.Or(c.MinRatio, DefaultMinRatio)
		c.MaxRatio = cmp.Or(c.MaxRatio, DefaultMaxRatio)
	}
	return c
}

// Validate reports every fault of c.
func (c ResizedCrop) Validate() error {
	if !c.on() {
		if c != (ResizedCrop{}) {
			return errors.New("resized crop: a smallest scale must be given too, as 0.08")
		}
		return nil
	}
	var errs []error
	c = c.WithDefaults()
	if !(c.MinScale > 0 && c.MinScale <= c.MaxScale && c.MaxScale <= 1) {
		errs = append(errs, fmt.Errorf("resized crop: scale from %v to %v: want 0 < smallest <= largest <= 1", c.MinScale, c.MaxScale))
	}
	if !(c.MinRatio > 0 && c.MinRatio <= c.MaxRatio && !math.IsInf(c.MaxRatio, 0)) {
		errs = append(errs, fmt.Errorf("resized crop: ratio from %v to %v: want 0 < smallest <= largest", c.MinRatio, c.MaxRatio))
	}
	return errors.Join(errs...)
}

func (c ResizedCrop) on() bool { return c.MinScale != 0 }

// cropAttempts is how often a part is drawn before the middle is taken:
// torchvision's number.
const cropAttempts = 10

// Part returns the part of an image of the given size that is scaled to the
// input's. It always lies within the image.
func (c ResizedCrop) Part(width, height int, key SampleKey) Rect {
	if !c.on() {
		return Rect{Width: width, Height: height}
	}
	c = c.WithDefaults()
	r := key.random(streamResizedCrop)
	for range cropAttempts {
		area := r.Between(c.MinScale, c.MaxScale) * float64(width) * float64(height)
		ratio := math.Exp(r.Between(math.Log(c.MinRatio), math.Log(c.MaxRatio)))
		w, h := math.RoundToEven(math.Sqrt(area*ratio)), math.RoundToEven(math.Sqrt(area/ratio))
		if w >= 1 && h >= 1 && w <= float64(width) && h <= float64(height) {
			p := Rect{Width: int(w), Height: int(h)}
			p.Y = r.IntN(height - p.Height + 1)
			p.X = r.IntN(width - p.Width + 1)
			return p
		}
	}
	// The middle, as large as the bounds of the ratio allow.
	p := Rect{Width: width, Height: height}
	switch ratio := float64(width) / float64(height); {
	case ratio < c.MinRatio:
		p.Height = max(int(math.RoundToEven(float64(width)/c.MinRatio)), 1)
	case ratio > c.MaxRatio:
		p.Width = max(int(math.RoundToEven(float64(height)*c.MaxRatio)), 1)
	}
	p.X, p.Y = (width-p.Width)/2, (height-p.Height)/2
	return p
}
