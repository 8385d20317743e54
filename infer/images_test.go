package infer

import (
	"bytes"
	"image"
	"image/png"
	"testing"

	"github.com/deepmutual/dml/internal/pixels"
)

// pngOf encodes an RGB image.
func pngOf(t testing.TB, m pixels.Image) []byte {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, m.Width, m.Height))
	for i := range m.Width * m.Height {
		copy(img.Pix[4*i:], m.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
