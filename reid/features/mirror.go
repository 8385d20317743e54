package features

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"slices"

	"github.com/deepmutual/dml/internal/pixels"
	"github.com/deepmutual/dml/reid"
)

// Mirrored returns an Embedder whose features of an image are the mean of e's
// of the image and of its mirror image, each scaled to length 1, and scaled to
// length 1 itself.
func Mirrored(e reid.Embedder) reid.Embedder { return mirrored{e} }

type mirrored struct{ inner reid.Embedder }

func (m mirrored) EmbedImages(ctx context.Context, images ...image.Image) ([][]float32, error) {
	plain, err := m.inner.EmbedImages(ctx, images...)
	faults := faultsOf(err)
	if err != nil && faults == nil {
		return nil, err
	}
	if len(plain) != len(images) || faults != nil && len(faults) != len(images) {
		return nil, fmt.Errorf("%d images gave %d vectors and %d faults", len(images), len(plain), len(faults))
	}
	faults = append(make([]error, 0, len(images)), faults...)[:len(images)]
	turned, at := make([]image.Image, 0, len(images)), make([]int, 0, len(images))
	for i, img := range images {
		if faults[i] == nil {
			turned, at = append(turned, mirror(img)), append(at, i)
		}
	}
	if len(turned) == 0 {
		return plain, err
	}
	other, err := m.inner.EmbedImages(ctx, turned...)
	more := faultsOf(err)
	if err != nil && more == nil {
		return nil, err
	}
	if len(other) != len(turned) || more != nil && len(more) != len(turned) {
		return nil, fmt.Errorf("%d mirrored images gave %d vectors and %d faults", len(turned), len(other), len(more))
	}
	for k, i := range at {
		if more != nil && more[k] != nil {
			plain[i], faults[i] = nil, fmt.Errorf("mirrored: %w", more[k])
			continue
		}
		v, w := plain[i], other[k]
		if len(v) != len(w) {
			return nil, fmt.Errorf("image %d: a vector of %d features, mirrored of %d", i+1, len(v), len(w))
		}
		a, b := inverseLength(v), inverseLength(w)
		for j, x := range w {
			v[j] = float32(a*float64(v[j]) + b*float64(x))
		}
		normalise(v)
	}
	return plain, joinFaults(faults)
}

// imageFaults are errors of single images; see reid.ImagesError.
type imageFaults []error

// joinFaults returns nil where there are none.
func joinFaults(faults []error) error {
	if errors.Join(faults...) == nil {
		return nil
	}
	return imageFaults(faults)
}

func (f imageFaults) Error() string { return errors.Join(f...).Error() }

// Unwrap lets errors.Is look into each.
func (f imageFaults) Unwrap() []error {
	return slices.DeleteFunc(slices.Clone(f), func(err error) bool { return err == nil })
}

// ImageErrors implements reid.ImagesError.
func (f imageFaults) ImageErrors() []error { return f }

// mirror returns an image whose left is src's right, of the pixels that package
// infer would take of src.
func mirror(src image.Image) image.Image {
	m := pixels.FromImage(src)
	bounds := image.Rect(0, 0, m.Width, m.Height)
	if m.Channels == 1 {
		for y := range m.Height {
			row := m.Pix[y*m.Width:][:m.Width]
			for a, b := 0, m.Width-1; a < b; a, b = a+1, b-1 {
				row[a], row[b] = row[b], row[a]
			}
		}
		return &image.Gray{Pix: m.Pix, Stride: m.Width, Rect: bounds}
	}
	out := image.NewNRGBA(bounds)
	for y := range m.Height {
		from, to := m.Pix[y*3*m.Width:][:3*m.Width], out.Pix[y*out.Stride:][:4*m.Width]
		for x := range m.Width {
			p, q := from[3*x:][:3], to[4*(m.Width-1-x):][:4]
			q[0], q[1], q[2], q[3] = p[0], p[1], p[2], 255
		}
	}
	return out
}

// inverseLength is 1/|v|, and 0 for a vector of zeros.
func inverseLength(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return 0
	}
	return 1 / math.Sqrt(sum)
}

// normalise scales v to length 1; a vector of zeros stays.
func normalise(v []float32) {
	scale := inverseLength(v)
	for i, x := range v {
		v[i] = float32(scale * float64(x))
	}
}
