package infer

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/png"
	"reflect"
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

// TestDecode compares what Decode gives with what Predict would load.
func TestDecode(t *testing.T) {
	pixel := pixels.Image{Width: 2, Height: 1, Channels: 3, Pix: []uint8{1, 2, 3, 200, 100, 50}}
	data := pngOf(t, pixel)
	model, err := New(Options{}, nothing{})
	if err != nil {
		t.Fatal(err)
	}
	given := image.NewGray(image.Rect(0, 0, 4, 4))
	for name, m := range map[string]Image{"bytes": FromBytes(data), "file": FromFile(saved(t, "a.png", data)), "image": FromImage(given)} {
		want, err := m.load(t.Context(), 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		got, err := model.Decode(t.Context(), m)
		if err != nil || !reflect.DeepEqual(pixels.FromImage(got), want) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, want)
		}
	}
	for _, m := range []Image{{}, FromBytes([]byte("no image"))} {
		if got, err := model.Decode(t.Context(), m); !errors.Is(err, ErrImage) || got != nil {
			t.Errorf("%v, %v, want ErrImage", got, err)
		}
	}
}

// nothing is a Backend that computes nothing, of images of 2x2 pixels.
type nothing struct{}

func (nothing) Describe() Description {
	return Description{Input: TensorInfo{Name: "x", Dims: []int64{-1, 3, 2, 2}}, Embedding: TensorInfo{Name: "y", Dims: []int64{-1, 1}}}
}

func (nothing) Run(_ context.Context, n int, fill func(Input) error) (Outputs, error) {
	return Outputs{N: n, Embedding: make([]float32, n)}, fill(Input{Float32: make([]float32, 12*n)})
}

func (nothing) Close() error { return nil }
