package dataset

import (
	"fmt"
	"image"

	"github.com/deepmutual/dml/internal/pixels"
)

// Memory is a Dataset of equally sized images held in memory.
type Memory struct {
	name    string
	classes []string
	shape   Shape
	pix     []uint8
	labels  []int
}

// NewMemory returns a Dataset over pix, the images one after another, each of
// shape in HWC order, and over labels. It keeps the slices, not copies.
func NewMemory(name string, classes []string, shape Shape, pix []uint8, labels []int) (*Memory, error) {
	if err := shape.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(pix) != len(labels)*shape.Size() {
		return nil, fmt.Errorf("%s: %d bytes of images for %d labels of shape %v", name, len(pix), len(labels), shape)
	}
	for i, label := range labels {
		if label < 0 || label >= len(classes) {
			return nil, fmt.Errorf("%s: sample %d has label %d of %d classes", name, i, label, len(classes))
		}
	}
	return &Memory{name: name, classes: classes, shape: shape, pix: pix, labels: labels}, nil
}

// FromImages returns a Dataset of images held in memory, copied, converted and
// resized to shape: labels[i], an index into classes, is the class of images[i].
// The zero Shape is that of the first image, which all others must have then.
func FromImages(images []image.Image, labels []int, classes []string, shape Shape) (*Memory, error) {
	const name = "images"
	if len(images) == 0 {
		return nil, fmt.Errorf("%s: there are none", name)
	}
	if len(images) != len(labels) {
		return nil, fmt.Errorf("%s: %d labels for %d images", name, len(labels), len(images))
	}
	for i, m := range images {
		if m == nil || m.Bounds().Empty() {
			return nil, fmt.Errorf("%s: image %d is empty", name, i)
		}
	}
	any := shape != Shape{}
	if !any {
		first := pixels.FromImage(images[0])
		shape = Shape{Channels: first.Channels, Height: first.Height, Width: first.Width}
	}
	if err := shape.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	pix := make([]uint8, 0, len(images)*shape.Size())
	for i, src := range images {
		m := pixels.FromImage(src)
		if own := (Shape{Channels: m.Channels, Height: m.Height, Width: m.Width}); !any && own != shape {
			return nil, fmt.Errorf("%s: image %d is %v, the first is %v: give a shape for all", name, i, own, shape)
		}
		pix = append(pix, pixels.Fit(m, shape.Channels, shape.Width, shape.Height).Pix...)
	}
	return NewMemory(name, classes, shape, pix, labels)
}

// Name implements Dataset.
func (m *Memory) Name() string { return m.name }

// Classes implements Dataset.
func (m *Memory) Classes() []string { return m.classes }

// Len implements Dataset.
func (m *Memory) Len() int { return len(m.labels) }

// Label implements Dataset.
func (m *Memory) Label(i int) int { return m.labels[i] }

// Image implements Dataset. It never fails; the image shares m's memory.
func (m *Memory) Image(i int) (Image, error) {
	n := m.shape.Size()
	return Image{
		Width: m.shape.Width, Height: m.shape.Height, Channels: m.shape.Channels,
		Pix: m.pix[i*n : (i+1)*n : (i+1)*n],
	}, nil
}
