package dataset

import "github.com/deepmutual/dml/internal/pixels"

// Image is a picture of 8-bit samples in HWC order: rows from the top, pixels
// from the left, and the channels of a pixel side by side. Channels is 1 (grey)
// or 3 (RGB), and len(Pix) is Width*Height*Channels.
type Image struct {
	Width, Height, Channels int
	Pix                     []uint8
}

// Validate reports an Image whose fields contradict each other.
func (m Image) Validate() error { return pixels.Image(m).Validate() }

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

// Validate reports every fault of n for images of the given channels.
func (n Norm) Validate(channels int) error { return pixels.Norm(n).Validate(channels) }

// Rect is a part of an image: Width x Height pixels whose first is at column X
// of row Y.
type Rect struct{ X, Y, Width, Height int }
