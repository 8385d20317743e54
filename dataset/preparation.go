package dataset

import "github.com/deepmutual/dml/internal/pixels"

// Preparation is how an augmented image becomes the input of a network.
type Preparation struct {
	// Shape is what the image is converted and resized to.
	Shape Shape
	// Norm is applied last. Default: pixel values scaled to 0..1.
	Norm Norm
}

// Validate reports every fault of p.
func (p Preparation) Validate() error {
	if err := p.Shape.Validate(); err != nil {
		return err
	}
	return p.Norm.Validate(p.Shape.Channels)
}

// preparer is a Preparation ready to be applied.
type preparer struct {
	shape Shape
	norm  *pixels.Normalizer
}

func newPreparer(p Preparation) (*preparer, error) {
	norm, err := pixels.NewNormalizer(pixels.Norm(p.Norm), p.Shape.Channels)
	return &preparer{p.Shape, norm}, err
}

// sample writes an augmented image to place k of a batch.
func (p *preparer) sample(batch []float32, k int, m Image) error {
	size := p.shape.Size()
	return p.norm.Apply(batch[k*size:(k+1)*size], pixels.Fit(pixels.Image(m), p.shape.Channels, p.shape.Width, p.shape.Height))
}
