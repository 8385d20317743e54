package infer

import (
	"errors"
	"fmt"
	"image"
	"os"

	"github.com/deepmutual/dml/internal/onnxmeta"
	"github.com/deepmutual/dml/internal/pixels"
)

// Image is an image to classify: decoded, encoded, or a file. Files and bytes
// are JPEG or PNG, recognised by their content, and are read when used.
type Image struct {
	decoded image.Image
	encoded []byte
	path    string
}

// FromImage takes a decoded image, which must not change while it is in use.
func FromImage(m image.Image) Image { return Image{decoded: m} }

// FromBytes takes the bytes of a JPEG or PNG file.
func FromBytes(data []byte) Image { return Image{encoded: data} }

// FromFile takes the path of a JPEG or PNG file.
func FromFile(path string) Image { return Image{path: path} }

// load returns the pixels. The error wraps ErrImage, except that of a file
// that cannot be opened or read.
func (m Image) load() (pixels.Image, error) {
	switch {
	case m.decoded != nil:
		size := m.decoded.Bounds().Size()
		if size.X < 1 || size.Y < 1 || size.X > pixels.MaxSide || size.Y > pixels.MaxSide || size.X*size.Y > pixels.MaxPixels {
			return pixels.Image{}, fmt.Errorf("%w: %dx%d pixels; the limit is %d on a side and %d in all",
				ErrImage, size.X, size.Y, pixels.MaxSide, pixels.MaxPixels)
		}
		return pixels.FromImage(m.decoded), nil
	case m.encoded != nil:
		return decoded(pixels.Decode(m.encoded))
	case m.path != "":
		info, err := os.Stat(m.path) // opening a special file could block for ever
		if err != nil {
			return pixels.Image{}, err
		}
		if !info.Mode().IsRegular() {
			return pixels.Image{}, fmt.Errorf("%w: %s: it is a folder or special file", ErrImage, m.path)
		}
		f, err := os.Open(m.path)
		if err != nil {
			return pixels.Image{}, err
		}
		defer f.Close()
		img, err := pixels.DecodeFrom(f)
		if errors.Is(err, pixels.ErrFormat) || errors.Is(err, pixels.ErrTooLarge) || errors.Is(err, pixels.ErrCorrupt) {
			err = fmt.Errorf("%w: %s: %w", ErrImage, m.path, err)
		}
		return img, err
	}
	return pixels.Image{}, fmt.Errorf("%w: it is empty", ErrImage)
}

func decoded(img pixels.Image, err error) (pixels.Image, error) {
	if err != nil {
		return img, fmt.Errorf("%w: %w", ErrImage, err)
	}
	return img, nil
}

// preparer turns images into input samples as a model's metadata says.
type preparer struct {
	channels, height, width int
	norm                    *pixels.Normalizer
}

func newPreparer(meta onnxmeta.Metadata) (*preparer, error) {
	norm, err := pixels.NewNormalizer(pixels.Norm{Mean: meta.Mean, Std: meta.Std}, meta.Channels)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return &preparer{channels: meta.Channels, height: meta.Height, width: meta.Width, norm: norm}, nil
}

// sample writes the image to dst, one sample [channels, height, width].
func (p *preparer) sample(dst []float32, m Image) error {
	img, err := m.load()
	if err != nil {
		return err
	}
	return p.norm.Apply(dst, pixels.Fit(img, p.channels, p.width, p.height))
}
