// Package dataset reads labelled images, splits them, augments them and makes
// batches of them.
//
// [Open] recognises what a path holds and reads it; [FromImages] takes what is in
// memory. A [Loader] makes batches. Whatever is random here is a pure function of
// an explicit seed and of the numbers it is asked for, never of time, goroutines
// or map order.
package dataset

import (
	"errors"
	"fmt"

	"github.com/deepmutual/dml/dataset/internal/raw"
	"github.com/deepmutual/dml/internal/pixels"
)

// Dataset is a set of labelled images. Implementations are safe for concurrent
// use. Indices run from 0 to Len()-1; others panic, as in a slice.
type Dataset interface {
	// Name says which data this is, as in "mnist/train".
	Name() string
	// Classes names the classes; a label is an index into it. Callers must not
	// change it.
	Classes() []string
	Len() int
	// Label returns the class of sample i, without reading its image.
	Label(i int) int
	// Image returns the image of sample i. Callers must not change its Pix.
	// The error names the file.
	Image(i int) (Image, error)
}

// Shape is the size of one sample.
type Shape struct {
	Channels, Height, Width int
}

// Size is the number of values in a sample.
func (s Shape) Size() int { return s.Channels * s.Height * s.Width }

func (s Shape) String() string {
	return fmt.Sprintf("%dx%dx%d", s.Channels, s.Height, s.Width)
}

// Validate reports every fault of s.
func (s Shape) Validate() error {
	var errs []error
	if s.Channels != 1 && s.Channels != 3 {
		errs = append(errs, fmt.Errorf("shape %v has %d channels: want 1 (grey) or 3 (RGB)", s, s.Channels))
	}
	if s.Height < 1 || s.Width < 1 || s.Height > pixels.MaxSide || s.Width > pixels.MaxSide {
		errs = append(errs, fmt.Errorf("shape %v: height and width must be 1 to %d", s, pixels.MaxSide))
	}
	return errors.Join(errs...)
}

// ShapeOf returns the shape of the first image of ds: that of all of them in
// MNIST and CIFAR, a default input size for image files. Where the first of
// these is grey, a sample of the others, at even steps, tells whether all are:
// one grey image must not take the colours from the rest.
func ShapeOf(ds Dataset) (Shape, error) {
	if ds.Len() == 0 {
		return Shape{}, fmt.Errorf("%s: no samples", ds.Name())
	}
	m, err := ds.Image(0)
	if err != nil {
		return Shape{}, err
	}
	shape := Shape{Channels: m.Channels, Height: m.Height, Width: m.Width}
	if inMemory(ds) {
		return shape, nil
	}
	step := max(1, ds.Len()/colourSample)
	for i := step; i < ds.Len() && shape.Channels == 1; i += step {
		m, err := ds.Image(i)
		if err != nil {
			return Shape{}, err
		}
		shape.Channels = m.Channels
	}
	return shape, nil
}

// colourSample is about how many images ShapeOf looks at for one in colour.
const colourSample = 100

// DataError says which file, and which part of it, is bad.
type DataError struct {
	File   string
	Record int // 0-based image, label or line; -1 for none
	Row    int // 1-based row of a list, as an editor counts lines; 0 for none
	Err    error
}

func (e *DataError) Error() string { return (*raw.Error)(e).Error() }

func (e *DataError) Unwrap() error { return e.Err }
