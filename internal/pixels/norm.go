package pixels

import (
	"errors"
	"fmt"
	"math"
)

// Norm is the normalisation of pixel values x in 0..255, channel by channel:
//
//	(x/255 - Mean) / Std
//
// Mean and Std are in the 0..1 scale, one value a channel; values that can only be
// of the 0..255 scale are refused. An empty Mean means
// zeros, an empty Std ones, so the zero Norm maps pixels to 0..1.
type Norm struct {
	Mean, Std []float32
}

// mostStd is beyond every deviation in the 0..1 scale, which is 0.5 at most, and
// leaves room for networks that want their input smaller; those in the 0..255
// scale are about 60.
const mostStd = 8

// Validate reports every fault of n for images of the given channels.
func (n Norm) Validate(channels int) error {
	var errs []error
	if channels != 1 && channels != 3 {
		errs = append(errs, fmt.Errorf("normalisation for %d channels: want 1 (grey) or 3 (RGB)", channels))
	}
	for _, v := range []struct {
		name   string
		values []float32
		most   float64
	}{{"mean", n.Mean, 1}, {"std", n.Std, mostStd}} {
		if len(v.values) != 0 && len(v.values) != channels {
			errs = append(errs, fmt.Errorf("%s has %d values for %d channels", v.name, len(v.values), channels))
		}
		for c, x := range v.values {
			switch f := float64(x); {
			case math.IsNaN(f) || math.IsInf(f, 0):
				errs = append(errs, fmt.Errorf("%s of channel %d is %v: want a finite number", v.name, c, x))
			case math.Abs(f) > v.most:
				errs = append(errs, fmt.Errorf("%s of channel %d is %v, which must be of pixel values in 0..255: give it in the 0..1 scale, %.4g", v.name, c, x, f/255))
			case v.name == "std" && !(x > 0):
				errs = append(errs, fmt.Errorf("std of channel %d is %v: want a number above 0", c, x))
			}
		}
	}
	return errors.Join(errs...)
}

// Normalizer applies a Norm. It is read-only after NewNormalizer and so safe
// for concurrent use.
type Normalizer struct {
	tables [][256]float32 // [channel][pixel value]
}

// NewNormalizer tabulates n for images of the given channels. The arithmetic is
// float32 in the order of the formula, which gives PyTorch's ToTensor and
// Normalize bit for bit.
func NewNormalizer(n Norm, channels int) (*Normalizer, error) {
	if err := n.Validate(channels); err != nil {
		return nil, err
	}
	tables := make([][256]float32, channels)
	for c := range tables {
		mean, std := float32(0), float32(1)
		if len(n.Mean) > 0 {
			mean = n.Mean[c]
		}
		if len(n.Std) > 0 {
			std = n.Std[c]
		}
		for x := range tables[c] {
			tables[c][x] = (float32(x)/255 - mean) / std
		}
	}
	return &Normalizer{tables: tables}, nil
}

// Channels is the number of channels n was made for.
func (n *Normalizer) Channels() int { return len(n.tables) }

// Apply writes m, normalised, to dst in CHW order: one sample of an NCHW
// tensor. It fails where m's channels are not n's or dst has not exactly
// Width*Height*Channels elements, and allocates nothing otherwise.
func (n *Normalizer) Apply(dst []float32, m Image) error {
	if err := n.check(dst, m); err != nil {
		return err
	}
	size := m.Width * m.Height
	if m.Channels == 1 {
		table := &n.tables[0]
		for i, v := range m.Pix {
			dst[i] = table[v]
		}
		return nil
	}
	red, green, blue := dst[:size], dst[size:2*size], dst[2*size:3*size]
	tr, tg, tb := &n.tables[0], &n.tables[1], &n.tables[2]
	for i := range size {
		p := m.Pix[3*i : 3*i+3 : 3*i+3]
		red[i], green[i], blue[i] = tr[p[0]], tg[p[1]], tb[p[2]]
	}
	return nil
}

// ApplyInterleaved writes m, normalised, to dst in HWC order: one sample of an
// NHWC tensor. It fails where Apply does.
func (n *Normalizer) ApplyInterleaved(dst []float32, m Image) error {
	if err := n.check(dst, m); err != nil {
		return err
	}
	for c := range n.tables {
		table := &n.tables[c]
		for i := c; i < len(dst); i += len(n.tables) {
			dst[i] = table[m.Pix[i]]
		}
	}
	return nil
}

// check reports an image or destination of another size than the other, or
// other channels than n's.
func (n *Normalizer) check(dst []float32, m Image) error {
	if m.Channels != len(n.tables) {
		return fmt.Errorf("image has %d channels: the normalisation is for %d", m.Channels, len(n.tables))
	}
	size := m.Width * m.Height
	if len(m.Pix) != size*m.Channels || len(dst) != len(m.Pix) {
		return fmt.Errorf("image of %dx%d with %d channels holds %d bytes, its destination %d values: want %d of each",
			m.Width, m.Height, m.Channels, len(m.Pix), len(dst), size*m.Channels)
	}
	return nil
}
