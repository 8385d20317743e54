package pixels

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
	"golang.org/x/image/webp"
)

// format is a way of storing images in files.
type format struct {
	name   string
	config func(io.Reader) (image.Config, error)
	decode func(io.Reader) (image.Image, error)
	// exif finds the EXIF data in a file, a TIFF file of its own, or nil.
	exif func(data []byte) []byte
}

func none([]byte) []byte { return nil }

// formats are all that can be decoded. They are chosen here, not by image.Decode,
// whose answer depends on which decoders the rest of the program happens to
// register.
var formats = map[string]format{
	"jpeg": {"JPEG", jpeg.DecodeConfig, jpeg.Decode, jpegEXIF},
	"png":  {"PNG", png.DecodeConfig, png.Decode, pngEXIF},
	"bmp":  {"BMP", bmp.DecodeConfig, bmp.Decode, none},
	"gif":  {"GIF", gif.DecodeConfig, decodeGIF, none},
	"tiff": {"TIFF", tiff.DecodeConfig, tiff.Decode, func(data []byte) []byte { return data }},
	"webp": {"WebP", webp.DecodeConfig, decodeWebP, webpEXIF},
}

// SniffLen is the number of leading bytes Sniff needs.
const SniffLen = 14

// Sniff tells an image's format, "jpeg", "png", "bmp", "gif", "tiff" or "webp",
// from its first SniffLen bytes, and returns "" for anything else. File names
// play no part: image collections hold JPEGs named .png.
func Sniff(head []byte) string {
	has := func(at int, magic string) bool {
		return len(head) >= at+len(magic) && string(head[at:at+len(magic)]) == magic
	}
	switch {
	case has(0, "\xff\xd8\xff"):
		return "jpeg"
	case has(0, "\x89PNG\r\n\x1a\n"):
		return "png"
	case has(0, "GIF87a"), has(0, "GIF89a"):
		return "gif"
	case has(0, "II*\x00"), has(0, "MM\x00*"):
		return "tiff"
	case has(0, "RIFF") && has(8, "WEBP"):
		return "webp"
	case has(0, "BM") && has(6, "\x00\x00\x00\x00"): // reserved, and text has no zeros
		return "bmp"
	}
	return ""
}

// decodeGIF gives the first frame, on black where it does not fill the picture.
func decodeGIF(r io.Reader) (image.Image, error) {
	data, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	frame, err := gif.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	c, err := gif.DecodeConfig(bytes.NewReader(data))
	if err != nil || frame.Bounds() == image.Rect(0, 0, c.Width, c.Height) {
		return frame, err
	}
	whole := image.NewNRGBA(image.Rect(0, 0, c.Width, c.Height))
	at := frame.Bounds().Intersect(whole.Rect)
	for y := at.Min.Y; y < at.Max.Y; y++ {
		for x := at.Min.X; x < at.Max.X; x++ {
			whole.Set(x, y, frame.At(x, y))
		}
	}
	return whole, nil
}

// decodeWebP gives the colours that libwebp gives: lossy files hold luma from 16
// to 235, which the standard library's images do not.
func decodeWebP(r io.Reader) (image.Image, error) {
	src, err := webp.Decode(r)
	if err != nil {
		return nil, err
	}
	switch src := src.(type) {
	case *image.YCbCr:
		return studioRange(src).Standard(), nil
	case *image.NYCbCrA: // transparency is dropped
		return studioRange(&src.YCbCr).Standard(), nil
	}
	return src, nil
}

// pngEXIF finds the eXIf chunk before the image's data.
func pngEXIF(data []byte) []byte {
	for data = data[8:]; len(data) >= 12; {
		size := binary.BigEndian.Uint32(data)
		kind := string(data[4:8])
		if kind == "IDAT" || uint64(size) > uint64(len(data)-12) {
			return nil
		}
		if kind == "eXIf" {
			return data[8 : 8+size]
		}
		data = data[12+size:]
	}
	return nil
}

// webpEXIF finds the EXIF chunk of the extended format.
func webpEXIF(data []byte) []byte {
	for data = data[12:]; len(data) >= 8; {
		size := uint64(binary.LittleEndian.Uint32(data[4:]))
		if size > uint64(len(data)-8) {
			return nil
		}
		if string(data[:4]) == "EXIF" {
			return bytes.TrimPrefix(data[8:8+size], []byte("Exif\x00\x00"))
		}
		data = data[min(8+size+size&1, uint64(len(data))):]
	}
	return nil
}
