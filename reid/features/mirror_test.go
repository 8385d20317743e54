package features

import (
	"context"
	"errors"
	"image"
	"image/color"
	"math"
	"testing"

	"github.com/deepmutual/dml/internal/pixels"
	"github.com/deepmutual/dml/reid"
)

// embedFunc is an Embedder of one function of an image.
type embedFunc func(image.Image) ([]float32, error)

func (f embedFunc) EmbedImages(_ context.Context, images ...image.Image) ([][]float32, error) {
	out, faults := make([][]float32, len(images)), make([]error, len(images))
	for i, m := range images {
		out[i], faults[i] = f(m)
	}
	return out, joinFaults(faults)
}

// TestMirroredFaults: an image at fault, or whose mirror image is, fails alone.
func TestMirroredFaults(t *testing.T) {
	narrow := errors.New("too narrow")
	plain := func(v ...uint8) image.Image { return &image.Gray{Pix: v, Stride: 2, Rect: image.Rect(0, 0, 2, 1)} }
	e := Mirrored(embedFunc(func(m image.Image) ([]float32, error) {
		left, right := m.(*image.Gray).Pix[0], m.(*image.Gray).Pix[1]
		if left == 9 {
			return nil, narrow
		}
		return []float32{float32(left), float32(right)}, nil
	}))
	got, err := e.EmbedImages(t.Context(), plain(1, 0), plain(9, 1), plain(1, 9), plain(1, 1))
	faults := faultsOf(err)
	if len(faults) != 4 || !errors.Is(faults[1], narrow) || !errors.Is(faults[2], narrow) || faults[0] != nil || faults[3] != nil || !errors.Is(err, narrow) {
		t.Fatalf("%v: %v", err, faults)
	}
	half := float32(math.Sqrt(.5))
	for i, want := range [][]float32{{half, half}, nil, nil, {half, half}} {
		if len(got[i]) != len(want) || want != nil && (math.Abs(float64(got[i][0]-want[0])) > 1e-6 || math.Abs(float64(got[i][1]-want[1])) > 1e-6) {
			t.Errorf("image %d: %v, want %v", i, got[i], want)
		}
	}
	if got, err := e.EmbedImages(t.Context(), plain(9, 1)); len(got) != 1 || !errors.Is(err, narrow) {
		t.Errorf("nothing is left: %v, %v", got, err)
	}
}

// TestMirror compares with the obvious: pixel by pixel, of images whose sides
// are odd, whose origin is elsewhere and whose chroma is halved.
func TestMirror(t *testing.T) {
	r := image.Rect(3, 5, 10, 10)
	ycc := image.NewYCbCr(r, image.YCbCrSubsampleRatio420)
	for i := range ycc.Y {
		ycc.Y[i] = uint8(i * 37)
	}
	for i := range ycc.Cb {
		ycc.Cb[i], ycc.Cr[i] = uint8(i*71), uint8(255-i*53)
	}
	grey, clear := image.NewGray(r), image.NewNRGBA(r)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			grey.Set(x, y, color.Gray{Y: uint8(x*19 + y*41)})
			clear.Set(x, y, color.NRGBA{uint8(x * 9), uint8(y * 21), 77, uint8(x)})
		}
	}
	for _, src := range []image.Image{ycc, grey, clear} {
		want, got := pixels.FromImage(src), pixels.FromImage(mirror(src))
		if got.Width != want.Width || got.Height != want.Height || got.Channels != want.Channels {
			t.Fatalf("%T: %dx%dx%d", src, got.Width, got.Height, got.Channels)
		}
		for y := range want.Height {
			for x := range want.Width {
				for c := range want.Channels {
					a, b := want.Pix[(y*want.Width+x)*want.Channels+c], got.Pix[(y*want.Width+want.Width-1-x)*want.Channels+c]
					if a != b {
						t.Fatalf("%T: pixel %d, %d, channel %d: %d, want %d", src, x, y, c, b, a)
					}
				}
			}
		}
	}
}

func TestMirrored(t *testing.T) {
	left := embedFunc(func(m image.Image) ([]float32, error) { // the grey of the left pixel, and a constant
		return []float32{float32(pixels.FromImage(m).Pix[0]), 30}, nil
	})
	img := image.NewGray(image.Rect(0, 0, 2, 1))
	img.Pix = []uint8{40, 0}
	got, err := Mirrored(left).EmbedImages(t.Context(), img, img)
	// (.8, .6) and (0, 1) add up to (.8, 1.6), whose length is the root of 3.2.
	want := []float64{.8 / math.Sqrt(3.2), 1.6 / math.Sqrt(3.2)}
	if err != nil || len(got) != 2 || math.Abs(float64(got[1][0])-want[0]) > 1e-6 || math.Abs(float64(got[1][1])-want[1]) > 1e-6 {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	fault := errors.New("no luck")
	var failing reid.Embedder = embedFunc(func(image.Image) ([]float32, error) { return nil, fault })
	if _, err := Mirrored(failing).EmbedImages(t.Context(), img); !errors.Is(err, fault) {
		t.Error(err)
	}
	turned := 0
	odd := embedFunc(func(image.Image) ([]float32, error) { turned++; return make([]float32, turned), nil })
	if _, err := Mirrored(odd).EmbedImages(t.Context(), img); err == nil {
		t.Error("vectors of two lengths were added up")
	}
}
