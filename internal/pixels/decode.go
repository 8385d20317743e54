package pixels

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"image/png"
	"io"
	"io/fs"
)

// Limits of what is decoded. An image beyond them is refused from its header,
// before memory is allocated for its pixels.
const (
	MaxPixels       = 1 << 26 // width times height: 67 megapixels
	MaxSide         = 1 << 15 // pixels of width or of height
	MaxEncodedBytes = 1 << 28 // length of a file given to DecodeFrom
)

// What can be wrong with an encoded image; test with errors.Is.
var (
	ErrFormat   = errors.New("not a JPEG or PNG image")
	ErrTooLarge = errors.New("image too large")
	ErrCorrupt  = errors.New("broken image")
)

const (
	pngMagic  = "\x89PNG\r\n\x1a\n"
	jpegMagic = "\xff\xd8\xff"

	// SniffLen is the number of leading bytes Sniff needs.
	SniffLen = len(pngMagic)
)

// Sniff tells an image's format, "jpeg" or "png", from its first SniffLen
// bytes, and returns "" for anything else. File names play no part: image
// collections hold JPEGs named .png.
func Sniff(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte(pngMagic)):
		return "png"
	case bytes.HasPrefix(head, []byte(jpegMagic)):
		return "jpeg"
	}
	return ""
}

// Decode decodes a JPEG or PNG file held in memory, recognised by its content.
// EXIF orientation is not applied. The error wraps ErrFormat, ErrTooLarge or
// ErrCorrupt.
func Decode(data []byte) (Image, error) {
	src, err := DecodeStandard(data)
	if err != nil {
		return Image{}, err
	}
	return FromImage(src), nil
}

// DecodeStandard is Decode of an image as the standard library gives it, which
// takes half the memory for most JPEG files. FromImage makes the rest of Decode.
func DecodeStandard(data []byte) (image.Image, error) {
	var (
		name   string
		config func(io.Reader) (image.Config, error)
		decode func(io.Reader) (image.Image, error)
	)
	// The formats are chosen here, not by image.Decode, whose answer depends on
	// which decoders the rest of the program happens to register.
	switch Sniff(data) {
	case "jpeg":
		name, config, decode = "JPEG", jpeg.DecodeConfig, jpeg.Decode
	case "png":
		name, config, decode = "PNG", png.DecodeConfig, png.Decode
	default:
		return nil, fmt.Errorf("%w (%d bytes starting with %q)", ErrFormat, len(data), data[:min(len(data), SniffLen)])
	}
	c, err := config(bytes.NewReader(data))
	if err != nil {
		return nil, corrupt(name, err)
	}
	if c.Width < 1 || c.Height < 1 {
		return nil, fmt.Errorf("%w: %s of %dx%d pixels", ErrCorrupt, name, c.Width, c.Height)
	}
	if c.Width > MaxSide || c.Height > MaxSide || c.Width*c.Height > MaxPixels {
		return nil, fmt.Errorf("%w: %dx%d pixels; the limit is %d on a side and %d in all",
			ErrTooLarge, c.Width, c.Height, MaxSide, MaxPixels)
	}
	src, err := decode(bytes.NewReader(data))
	if err != nil {
		return nil, corrupt(name, err)
	}
	return src, nil
}

// DecodeFrom reads r to its end, at most MaxEncodedBytes, and decodes it as
// Decode does. Errors of r itself are returned wrapped.
func DecodeFrom(r io.Reader) (Image, error) {
	var buf bytes.Buffer
	if f, ok := r.(interface{ Stat() (fs.FileInfo, error) }); ok {
		// Room for all of it and for ReadFrom to see the end; a hint only.
		if info, err := f.Stat(); err == nil && info.Size() > 0 && info.Size() <= MaxEncodedBytes {
			buf.Grow(int(info.Size()) + bytes.MinRead)
		}
	}
	if err := ReadEncoded(&buf, r); err != nil {
		return Image{}, err
	}
	return Decode(buf.Bytes())
}

// ReadEncoded adds what is left of r, an image's file, to buf. It wraps
// ErrTooLarge where buf then has more than MaxEncodedBytes, and errors of r.
func ReadEncoded(buf *bytes.Buffer, r io.Reader) error {
	if _, err := buf.ReadFrom(io.LimitReader(r, MaxEncodedBytes+1)); err != nil {
		return fmt.Errorf("reading image: %w", err)
	}
	if buf.Len() > MaxEncodedBytes {
		return fmt.Errorf("%w: over %d bytes", ErrTooLarge, MaxEncodedBytes)
	}
	return nil
}

func corrupt(format string, err error) error {
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w: %s: %w", ErrCorrupt, format, err)
}
