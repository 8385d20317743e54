package infer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"os"

	"github.com/deepmutual/dml/internal/pixels"
)

// Image is an image to classify: decoded, encoded, or a file. Files and bytes
// are JPEG, PNG, BMP, TIFF, WebP or GIF, recognised by their content, upright as
// their EXIF orientation says, and are read when used. As in
// training, transparency is dropped, 16-bit samples keep their high byte, and of an animation the first
// picture counts.
type Image struct {
	decoded image.Image
	encoded []byte
	path    string
}

// FromImage takes a decoded image, which must not change while it is in use.
func FromImage(m image.Image) Image { return Image{decoded: m} }

// FromBytes takes the bytes of an image's file.
func FromBytes(data []byte) Image { return Image{encoded: data} }

// FromFile takes the path of an image's file.
func FromFile(path string) Image { return Image{path: path} }

// Decode returns the picture that Predict and Embed would take, grey or opaque
// colour, within Options.MaxPixels and Options.Decodes; what FromImage was given it
// returns as it is. The error wraps ErrImage, except that of a file that cannot be
// opened or read.
func (m *Model) Decode(ctx context.Context, img Image) (image.Image, error) {
	if img.decoded != nil {
		return img.decoded, nil
	}
	g, _, err := m.begin()
	if err != nil {
		return nil, err
	}
	defer g.gate.leave()
	loaded, err := g.load(ctx, img)
	if err != nil {
		return nil, fmt.Errorf("infer: %w", err)
	}
	return loaded.Standard(), nil
}

// load returns an image's pixels when its turn comes.
func (g *group) load(ctx context.Context, m Image) (pixels.Image, error) {
	select {
	case g.decodes <- struct{}{}:
		defer func() { <-g.decodes }()
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return pixels.Image{}, cancelled(ctx)
	}
	img, err := m.load(ctx, g.opts.maxPixels())
	if err != nil && ctx.Err() != nil {
		err = cancelled(ctx)
	}
	return img, err
}

// load returns the pixels, which as the decoder holds them must not take more than
// so many bytes. The error wraps ErrImage, except that of a file that cannot be
// opened or read.
func (m Image) load(ctx context.Context, most int) (pixels.Image, error) {
	switch {
	case m.decoded != nil:
		size := m.decoded.Bounds().Size()
		if size.X < 1 || size.Y < 1 || tooLarge(size.X, size.Y) {
			return pixels.Image{}, fmt.Errorf("%w: %dx%d pixels; the limit is %d on a side and %d in all",
				ErrImage, size.X, size.Y, pixels.MaxSide, pixels.MaxPixels)
		}
		return pixels.FromImage(m.decoded), nil
	case m.encoded != nil:
		img, err := decode(ctx, m.encoded, most)
		if err != nil {
			return img, fmt.Errorf("%w: %w", ErrImage, err)
		}
		return img, nil
	case m.path != "":
		data, err := read(m.path)
		var img pixels.Image
		if err == nil {
			img, err = decode(ctx, data, most)
		}
		if errors.Is(err, pixels.ErrFormat) || errors.Is(err, pixels.ErrTooLarge) || errors.Is(err, pixels.ErrCorrupt) {
			err = fmt.Errorf("%w: %s: %w", ErrImage, m.path, err)
		}
		return img, err
	}
	return pixels.Image{}, fmt.Errorf("%w: it is empty", ErrImage)
}

func decode(ctx context.Context, data []byte, most int) (pixels.Image, error) {
	if size := pixels.DecodedBytes(data); size > most {
		return pixels.Image{}, fmt.Errorf("%w: %d bytes once decoded; the limit is %d (Options.MaxPixels)", pixels.ErrTooLarge, size, most)
	}
	return pixels.Decode(ctx, data)
}

// read returns the bytes of an image's file.
func read(path string) ([]byte, error) {
	info, err := os.Stat(path) // opening a special file could block for ever
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s: it is a folder or special file", ErrImage, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var buf bytes.Buffer
	if size := info.Size(); size <= pixels.MaxEncodedBytes {
		buf.Grow(int(size) + bytes.MinRead) // for ReadFrom to see the end
	}
	if err := pixels.ReadEncoded(&buf, f); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

// tooLarge reports a size beyond what is decoded.
func tooLarge(width, height int) bool {
	return width > pixels.MaxSide || height > pixels.MaxSide || width*height > pixels.MaxPixels
}
