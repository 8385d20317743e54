package dataset

import (
	"fmt"

	"github.com/deepmutual/dml/internal/pixels"
)

// Memory is a Dataset of equally sized images held in memory.
type Memory struct {
	name    string
	classes []string
	shape   Shape
	pix     []uint8
	labels  []uint8
}

// NewMemory returns a Dataset over pix, the images one after another, each of
// shape in HWC order, and over labels. It keeps the slices, not copies.
func NewMemory(name string, classes []string, shape Shape, pix, labels []uint8) (*Memory, error) {
	if err := shape.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(pix) != len(labels)*shape.Size() {
		return nil, fmt.Errorf("%s: %d bytes of images for %d labels of shape %v", name, len(pix), len(labels), shape)
	}
	for i, label := range labels {
		if int(label) >= len(classes) {
			return nil, fmt.Errorf("%s: sample %d has label %d of %d classes", name, i, label, len(classes))
		}
	}
	return &Memory{name: name, classes: classes, shape: shape, pix: pix, labels: labels}, nil
}

// Name implements Dataset.
func (m *Memory) Name() string { return m.name }

// Classes implements Dataset.
func (m *Memory) Classes() []string { return m.classes }

// Len implements Dataset.
func (m *Memory) Len() int { return len(m.labels) }

// Label implements Dataset.
func (m *Memory) Label(i int) int { return int(m.labels[i]) }

// Image implements Dataset. It never fails; the image shares m's memory.
func (m *Memory) Image(i int) (Image, error) {
	n := m.shape.Size()
	return pixels.Image{
		Width: m.shape.Width, Height: m.shape.Height, Channels: m.shape.Channels,
		Pix: m.pix[i*n : (i+1)*n : (i+1)*n],
	}, nil
}
