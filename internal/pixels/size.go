package pixels

import (
	"bytes"
	"image/color"
)

// DecodedBytes tells from an encoded image's header how much memory the decoder
// needs for its pixels, and of a progressive JPEG for its coefficients. It is 0 for
// what is not an image, which Decode refuses.
func DecodedBytes(data []byte) int {
	f, known := formats[Sniff(data)]
	if !known {
		return 0
	}
	c, err := f.config(bytes.NewReader(data))
	if err != nil || c.Width < 1 || c.Height < 1 || c.Width > MaxSide || c.Height > MaxSide {
		return 0
	}
	size := c.Width * c.Height * bytesOf(c.ColorModel)
	if f.name == "JPEG" && progressive(data) {
		size += 4 * c.Width * c.Height * bytesOf(c.ColorModel) // coefficients of 32 bits
	}
	return size
}

// bytesOf is what a pixel of the model takes in the standard library's images.
func bytesOf(m color.Model) int {
	switch m {
	case color.RGBA64Model, color.NRGBA64Model:
		return 8
	case color.Gray16Model, color.Alpha16Model:
		return 2
	case color.GrayModel, color.AlphaModel:
		return 1
	case color.YCbCrModel:
		return 3
	}
	if _, palette := m.(color.Palette); palette {
		return 1
	}
	return 4
}

// progressive tells a JPEG whose frame is progressive, by the markers before its
// first scan.
func progressive(data []byte) bool {
	for at := 2; at+4 <= len(data) && data[at] == 0xff; {
		switch marker := data[at+1]; marker {
		case 0xc2:
			return true
		case 0xc0, 0xc1, 0xda:
			return false
		case 0xff: // a fill byte
			at++
		default:
			at += 2 + int(data[at+2])<<8 + int(data[at+3])
		}
	}
	return false
}
