package infer

import (
	"errors"
	"fmt"
	"image"
	"os"

	"github.com/deepmutual/dml/internal/pixels"
)

// Image is an image to classify: decoded, encoded, or a file. Files and bytes
// are JPEG or PNG, recognised by their content, and are read when used. As in
// training, the orientation that a camera notes (EXIF) is not applied, transparency
// is dropped, 16-bit samples keep their high byte, and of an animation the first
// picture counts.
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

// Decode returns the picture that Predict and Embed would take, grey or opaque
// colour; what FromImage was given it returns as it is. The error wraps
// ErrImage, except that of a file that cannot be opened or read.
func (m Image) Decode() (image.Image, error) {
	if m.decoded != nil {
		return m.decoded, nil
	}
	loaded, err := m.load()
	if err != nil {
		return nil, err
	}
	return loaded.Standard(), nil
}

// load returns the pixels. The error wraps ErrImage, except that of a file
// that cannot be opened or read.
func (m Image) load() (pixels.Image, error) {
	switch {
	case m.decoded != nil:
		size := m.decoded.Bounds().Size()
		if size.X < 1 || size.Y < 1 || tooLarge(size.X, size.Y) {
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

// tooLarge reports a size beyond what is decoded.
func tooLarge(width, height int) bool {
	return width > pixels.MaxSide || height > pixels.MaxSide || width*height > pixels.MaxPixels
}
