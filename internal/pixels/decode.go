package pixels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
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
	ErrFormat   = errors.New("not a JPEG, PNG, BMP, TIFF, WebP or GIF image")
	ErrTooLarge = errors.New("image too large")
	ErrCorrupt  = errors.New("broken image")
)

// Decode decodes the file of an image held in memory, recognised by its content:
// JPEG, PNG, BMP, TIFF, WebP, or the first frame of a GIF. It is upright, as its
// EXIF orientation says. The error wraps ErrFormat, ErrTooLarge or ErrCorrupt, or
// is that of ctx, whose end stops the decoder.
func Decode(ctx context.Context, data []byte) (Image, error) {
	src, turn, err := decode(ctx, data)
	if err != nil {
		return Image{}, err
	}
	return upright(FromImage(src), turn), nil
}

// DecodeStandard is Decode of an image as the standard library gives it, which
// takes half the memory for most JPEG files. FromImage makes the rest of Decode.
func DecodeStandard(ctx context.Context, data []byte) (image.Image, error) {
	src, turn, err := decode(ctx, data)
	if err != nil || turn == 1 {
		return src, err
	}
	return upright(FromImage(src), turn).Standard(), nil
}

// header reads an image's format and size, as it is stored.
func header(data []byte) (format, image.Config, error) {
	f, known := formats[Sniff(data)]
	if !known {
		return f, image.Config{}, fmt.Errorf("%w (%d bytes starting with %q)", ErrFormat, len(data), data[:min(len(data), 8)])
	}
	c, err := f.config(bytes.NewReader(data))
	if err != nil {
		return f, c, corrupt(f.name, err)
	}
	if c.Width < 1 || c.Height < 1 {
		return f, c, fmt.Errorf("%w: %s of %dx%d pixels", ErrCorrupt, f.name, c.Width, c.Height)
	}
	if c.Width > MaxSide || c.Height > MaxSide || c.Width*c.Height > MaxPixels {
		return f, c, fmt.Errorf("%w: %dx%d pixels; the limit is %d on a side and %d in all",
			ErrTooLarge, c.Width, c.Height, MaxSide, MaxPixels)
	}
	return f, c, nil
}

// Size tells the size of the upright image from the beginning of its file. The
// errors are Decode's.
func Size(head []byte) (width, height int, err error) {
	f, c, err := header(head)
	if err != nil {
		return 0, 0, err
	}
	if orientation(f.exif(head)) >= 5 {
		return c.Height, c.Width, nil
	}
	return c.Width, c.Height, nil
}

// decode returns an image as it is stored, and its orientation.
func decode(ctx context.Context, data []byte) (image.Image, int, error) {
	f, c, err := header(data)
	if err != nil {
		return nil, 0, err
	}
	if f.name == "JPEG" {
		if err := checkScans(data, c.Width, c.Height); err != nil {
			return nil, 0, err
		}
	}
	src, err := f.decode(&untilDone{ctx, data})
	if ctx.Err() != nil {
		return nil, 0, context.Cause(ctx)
	}
	if err != nil {
		return nil, 0, corrupt(f.name, err)
	}
	return src, orientation(f.exif(data)), nil
}

// untilDone gives data to a decoder, a piece at a time, until ctx ends.
type untilDone struct {
	ctx  context.Context
	data []byte
}

func (u *untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	const piece = 1 << 14 // a few milliseconds of decoding
	n := copy(p, u.data[:min(len(u.data), piece)])
	if u.data = u.data[n:]; n == 0 && len(p) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// DecodeFrom reads r to its end, at most MaxEncodedBytes, and decodes it as
// Decode does. Errors of r itself are returned wrapped.
func DecodeFrom(ctx context.Context, r io.Reader) (Image, error) {
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
	return Decode(ctx, buf.Bytes())
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
