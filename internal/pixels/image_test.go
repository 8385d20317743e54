package pixels

import (
	"image"
	"image/color"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

// noise returns an image of independent uniform samples.
func noise(width, height, channels int, seed uint64) Image {
	r := rand.New(rand.NewPCG(seed, 0))
	m := Image{Width: width, Height: height, Channels: channels, Pix: make([]uint8, width*height*channels)}
	for i := range m.Pix {
		m.Pix[i] = uint8(r.UintN(256))
	}
	return m
}

func TestFromImage(t *testing.T) {
	bounds := image.Rect(2, 3, 5, 5) // not at the origin
	set := func(m interface {
		image.Image
		Set(x, y int, c color.Color)
	}, c color.Color) image.Image {
		for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
			for x := bounds.Min.X; x < bounds.Max.X; x++ {
				m.Set(x, y, c)
			}
		}
		return m
	}
	ycc := image.NewYCbCr(bounds, image.YCbCrSubsampleRatio420)
	for i := range ycc.Y {
		ycc.Y[i] = 120
	}
	for i := range ycc.Cb {
		ycc.Cb[i], ycc.Cr[i] = 90, 200
	}
	yr, yg, yb := color.YCbCrToRGB(120, 90, 200)

	tests := []struct {
		name string
		src  image.Image
		want []uint8
	}{
		{"gray", set(image.NewGray(bounds), color.Gray{Y: 7}), []uint8{7}},
		{"gray16", set(image.NewGray16(bounds), color.Gray16{Y: 0x1234}), []uint8{0x12}},
		{"rgba", set(image.NewRGBA(bounds), color.RGBA{R: 1, G: 2, B: 3, A: 255}), []uint8{1, 2, 3}},
		{"premultiplied", set(image.NewRGBA(bounds), color.RGBA{R: 50, G: 25, B: 0, A: 51}), []uint8{250, 125, 0}},
		{"nrgba keeps colour under alpha", set(image.NewNRGBA(bounds), color.NRGBA{R: 9, G: 8, B: 7, A: 0}), []uint8{9, 8, 7}},
		{"nrgba64 keeps colour under alpha", set(image.NewNRGBA64(bounds), color.NRGBA64{R: 0x900, G: 0x8ff, B: 0x700}), []uint8{9, 8, 7}},
		{"paletted", set(image.NewPaletted(bounds, color.Palette{color.RGBA{R: 4, G: 5, B: 6, A: 255}}), color.Black), []uint8{4, 5, 6}},
		{"cmyk", set(image.NewCMYK(bounds), color.CMYK{C: 0, M: 255, Y: 255, K: 0}), []uint8{255, 0, 0}},
		{"ycbcr", ycc, []uint8{yr, yg, yb}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := FromImage(tt.src)
			if err := got.Validate(); err != nil {
				t.Fatal(err)
			}
			want := slices.Repeat(tt.want, 6)
			if got.Width != 3 || got.Height != 2 || !slices.Equal(got.Pix, want) {
				t.Errorf("got %dx%d %v, want 3x2 %v", got.Width, got.Height, got.Pix, want)
			}
		})
	}
}

func TestFromImageOrder(t *testing.T) {
	src := image.NewRGBA(image.Rect(0, 0, 2, 2))
	for i := range 4 {
		src.SetRGBA(i%2, i/2, color.RGBA{R: uint8(10 * i), G: uint8(10*i + 1), B: uint8(10*i + 2), A: 255})
	}
	want := []uint8{0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32}
	if got := FromImage(src).Pix; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestConvert(t *testing.T) {
	rgb := noise(5, 4, 3, 1)
	gray := Convert(rgb, 1)
	for i := range 20 {
		p := rgb.Pix[3*i : 3*i+3]
		if want, _, _ := color.RGBToYCbCr(p[0], p[1], p[2]); gray.Pix[i] != want {
			t.Fatalf("pixel %d: %v became %d, want %d", i, p, gray.Pix[i], want)
		}
	}
	back := Convert(gray, 3)
	if err := back.Validate(); err != nil {
		t.Fatal(err)
	}
	if again := Convert(back, 1); !slices.Equal(again.Pix, gray.Pix) {
		t.Error("grey to RGB to grey changed the image")
	}
	if same := Convert(rgb, 3); &same.Pix[0] != &rgb.Pix[0] {
		t.Error("Convert to the channels an image has copied it")
	}
}

func TestValidate(t *testing.T) {
	for _, m := range []Image{
		{},
		{Width: 2, Height: 2, Channels: 2, Pix: make([]uint8, 8)},
		{Width: 2, Height: 2, Channels: 3, Pix: make([]uint8, 11)},
		{Width: -2, Height: -2, Channels: 3, Pix: make([]uint8, 12)},
	} {
		if m.Validate() == nil {
			t.Errorf("%+v passed", m)
		}
	}
}

// TestStandard wants back what goes there.
func TestStandard(t *testing.T) {
	for _, channels := range []int{1, 3} {
		m := Image{Width: 3, Height: 2, Channels: channels, Pix: make([]uint8, 6*channels)}
		for i := range m.Pix {
			m.Pix[i] = uint8(13*i + 1)
		}
		if got := FromImage(m.Standard()); !reflect.DeepEqual(got, m) {
			t.Errorf("%+v, want %+v", got, m)
		}
	}
}
