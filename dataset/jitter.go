package dataset

import (
	"errors"
	"fmt"
	"math"

	"github.com/deepmutual/dml/dataset/internal/draws"
	"github.com/deepmutual/dml/internal/pixels"
)

// Jitter changes the colours of an image at random: torchvision's ColorJitter.
// Brightness, Contrast and Saturation are each multiplied by a factor drawn
// uniformly from max(0, 1-x) to 1+x, where x is the field's value; the hue is
// turned by a part of the full circle drawn uniformly from -Hue to Hue. The four
// come in random order, each rounded to 8 bits. Saturation and hue leave grey
// images alone. The zero Jitter does nothing.
type Jitter struct {
	// Brightness scales the samples.
	Brightness float64
	// Contrast scales their distance from the image's mean grey.
	Contrast float64
	// Saturation scales their distance from the pixel's grey.
	Saturation float64
	// Hue is at most 0.5.
	Hue float64
}

// Validate reports every fault of j.
func (j Jitter) Validate() error {
	var errs []error
	for _, f := range []struct {
		name        string
		value, most float64
	}{
		{"brightness", j.Brightness, math.MaxFloat32}, {"contrast", j.Contrast, math.MaxFloat32},
		{"saturation", j.Saturation, math.MaxFloat32}, {"hue", j.Hue, 0.5},
	} {
		switch {
		case f.value >= 0 && f.value <= f.most:
		case f.most < 1:
			errs = append(errs, fmt.Errorf("jitter: %s of %v: want 0 to %v", f.name, f.value, f.most))
		default:
			errs = append(errs, fmt.Errorf("jitter: %s of %v: want a number of at least 0", f.name, f.value))
		}
	}
	return errors.Join(errs...)
}

func (j Jitter) on() bool { return j != Jitter{} }

// apply changes m in place.
func (j Jitter) apply(m Image, key SampleKey) {
	if !j.on() {
		return
	}
	r := key.random(streamJitter)
	order := [4]int{0, 1, 2, 3}
	draws.Shuffle(&r, order[:])
	factor := func(x float64) float64 { return r.Between(max(0, 1-x), 1+x) }
	// All are drawn, used or not, so that one does not depend on another.
	brightness, contrast, saturation := factor(j.Brightness), factor(j.Contrast), factor(j.Saturation)
	turn := r.Between(-j.Hue, j.Hue)
	for _, change := range order {
		switch {
		case change == 0 && j.Brightness != 0:
			spread(m, brightness, 0)
		case change == 1 && j.Contrast != 0:
			spread(m, contrast, meanGrey(m))
		case change == 2 && j.Saturation != 0:
			saturate(m, saturation)
		case change == 3 && j.Hue != 0:
			turnHue(m, turn)
		}
	}
}

// spread multiplies the samples' distance from a centre.
func spread(m Image, factor, centre float64) {
	var table [256]uint8
	for v := range table {
		table[v] = round8(centre + factor*(float64(v)-centre))
	}
	for i, v := range m.Pix {
		m.Pix[i] = table[v]
	}
}

func round8(v float64) uint8 { return uint8(math.Round(min(max(v, 0), 255))) }

// meanGrey is the mean of the pixels' grey, rounded.
func meanGrey(m Image) float64 {
	sum := 0
	if m.Channels == 1 {
		for _, v := range m.Pix {
			sum += int(v)
		}
	} else {
		for p := m.Pix; len(p) >= 3; p = p[3:] {
			sum += int(pixels.Luma(p[0], p[1], p[2]))
		}
	}
	return math.Round(float64(sum) / float64(m.Width*m.Height))
}

// saturate multiplies the samples' distance from their pixel's grey.
func saturate(m Image, factor float64) {
	if m.Channels == 1 {
		return
	}
	// A factor beyond 512 clamps every distance but 0, and would overflow.
	const one = 1 << 16
	f := int(math.Round(min(factor, 512) * one))
	for p := m.Pix; len(p) >= 3; p = p[3:] {
		grey := int(pixels.Luma(p[0], p[1], p[2]))
		for c := range 3 {
			v := (grey*one + f*(int(p[c])-grey) + one/2) >> 16
			p[c] = uint8(min(max(v, 0), 255))
		}
	}
}

// turnHue turns the pixels' hue, of the HSV model, by a part of the circle.
func turnHue(m Image, turn float64) {
	if m.Channels == 1 {
		return
	}
	shift := float32(6 * (turn - math.Floor(turn))) // in sextants, 0 to 6
	for p := m.Pix; len(p) >= 3; p = p[3:] {
		r, g, b := float32(p[0]), float32(p[1]), float32(p[2])
		high, low := max(r, g, b), min(r, g, b)
		chroma := high - low
		if chroma == 0 {
			continue
		}
		var hue float32
		switch high {
		case r:
			hue = (g - b) / chroma
		case g:
			hue = 2 + (b-r)/chroma
		default:
			hue = 4 + (r-g)/chroma
		}
		hue += shift
		if hue < 0 {
			hue += 6
		}
		if hue >= 6 {
			hue -= 6
		}
		sextant := int(hue)
		rising := uint8(low + chroma*(hue-float32(sextant)) + 0.5)
		falling := uint8(high - chroma*(hue-float32(sextant)) + 0.5)
		top, bottom := uint8(high), uint8(low)
		switch sextant {
		case 0:
			p[0], p[1], p[2] = top, rising, bottom
		case 1:
			p[0], p[1], p[2] = falling, top, bottom
		case 2:
			p[0], p[1], p[2] = bottom, top, rising
		case 3:
			p[0], p[1], p[2] = bottom, falling, top
		case 4:
			p[0], p[1], p[2] = rising, bottom, top
		default:
			p[0], p[1], p[2] = top, bottom, falling
		}
	}
}
