package pixels

import (
	"fmt"
	"hash/crc32"
	"image"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"golang.org/x/image/draw"
)

// slowResize is the triangle filter by its definition, in two dimensions and
// float64, rounded at the end.
func slowResize(m Image, width, height int) Image {
	weights := func(i, from, to int) []float64 {
		scale := float64(from) / float64(to)
		support := math.Max(scale, 1)
		centre := (float64(i)+0.5)*scale - 0.5
		w, sum := make([]float64, from), 0.0
		for j := range w {
			w[j] = math.Max(0, 1-math.Abs(float64(j)-centre)/support)
			sum += w[j]
		}
		for j := range w {
			w[j] /= sum
		}
		return w
	}
	out := Image{Width: width, Height: height, Channels: m.Channels}
	for y := range height {
		wy := weights(y, m.Height, height)
		for x := range width {
			wx := weights(x, m.Width, width)
			for c := range m.Channels {
				sum := 0.0
				for sy := range m.Height {
					for sx := range m.Width {
						sum += wy[sy] * wx[sx] * float64(m.Pix[(sy*m.Width+sx)*m.Channels+c])
					}
				}
				out.Pix = append(out.Pix, uint8(math.Round(sum)))
			}
		}
	}
	return out
}

func TestResizeAgainstDefinition(t *testing.T) {
	for _, size := range [][4]int{{8, 8, 16, 16}, {16, 16, 8, 8}, {17, 9, 5, 11}, {1, 1, 4, 3}, {7, 5, 1, 1}, {32, 20, 28, 28}} {
		for _, channels := range []int{1, 3} {
			t.Run(fmt.Sprint(size, channels), func(t *testing.T) {
				src := noise(size[0], size[1], channels, 3)
				before := slices.Clone(src.Pix)
				got, want := Resize(src, size[2], size[3]), slowResize(src, size[2], size[3])
				if err := got.Validate(); err != nil {
					t.Fatal(err)
				}
				for i := range want.Pix {
					if d := int(got.Pix[i]) - int(want.Pix[i]); d < -1 || d > 1 {
						t.Fatalf("sample %d is %d, by definition %d", i, got.Pix[i], want.Pix[i])
					}
				}
				if !slices.Equal(src.Pix, before) {
					t.Error("the source was changed")
				}
			})
		}
	}
}

// congruential is a picture that other languages can make too.
func congruential(width, height, channels int, seed uint32) Image {
	m := Image{Width: width, Height: height, Channels: channels, Pix: make([]uint8, width*height*channels)}
	for i := range m.Pix {
		seed = seed*1664525 + 1013904223
		m.Pix[i] = uint8(seed >> 24)
	}
	return m
}

// TestResizeIsPillows compares with checksums of what Pillow 13.0.0 gives:
//
//	zlib.crc32(im.resize((width, height), Image.BILINEAR).tobytes())
func TestResizeIsPillows(t *testing.T) {
	for _, g := range []struct {
		fromWidth, fromHeight, channels, width, height int
		crc                                            uint32
	}{
		{64, 128, 3, 64, 160, 0xc9d7c46c},
		{48, 128, 3, 64, 160, 0xb2ac83c8},
		{32, 32, 3, 32, 32, 0x112da8cd},
		{17, 9, 1, 5, 11, 0x2582dae5},
		{7, 5, 3, 1, 1, 0xa34b31cc},
		{1, 1, 3, 4, 3, 0x2edfb4ab},
		{100, 80, 3, 224, 224, 0x6a805b07},
		{500, 375, 3, 224, 224, 0x643b1638},
		{64, 128, 3, 128, 256, 0x63b1b09a},
		{300, 20, 3, 20, 20, 0xc96ff792},
		{20, 300, 1, 20, 7, 0x88f30497},
	} {
		m := congruential(g.fromWidth, g.fromHeight, g.channels, uint32(1000*g.fromWidth+g.fromHeight))
		if crc := crc32.ChecksumIEEE(Resize(m, g.width, g.height).Pix); crc != g.crc {
			t.Errorf("%dx%dx%d to %dx%d: checksum %#08x, Pillow's %#08x", g.fromWidth, g.fromHeight, g.channels, g.width, g.height, crc, g.crc)
		}
	}
	// im.crop((7, 11, 38, 31)).resize((48, 24), Image.BILINEAR)
	var r Resizer
	out := r.Crop(nil, congruential(64, 50, 3, 5), Rect{7, 11, 31, 20}, 48, 24)
	if crc := crc32.ChecksumIEEE(out.Pix); crc != 0xae392d7f {
		t.Errorf("crop: checksum %#08x", crc)
	}
}

// TestResizeAgainstXImage compares with an implementation by others.
func TestResizeAgainstXImage(t *testing.T) {
	for _, size := range [][4]int{{64, 128, 64, 160}, {90, 70, 31, 100}, {20, 20, 64, 64}} {
		m := noise(size[0], size[1], 1, 4)
		want := image.NewRGBA(image.Rect(0, 0, size[2], size[3]))
		src := &image.Gray{Pix: m.Pix, Stride: m.Width, Rect: image.Rect(0, 0, m.Width, m.Height)}
		draw.BiLinear.Scale(want, want.Bounds(), src, src.Bounds(), draw.Src, nil)
		for i, v := range Resize(m, size[2], size[3]).Pix {
			if d := int(v) - int(want.Pix[4*i]); d < -1 || d > 1 {
				t.Fatalf("%v: sample %d is %d, x/image has %d", size, i, v, want.Pix[4*i])
			}
		}
	}
}

// TestCropIsResizeOfThePart crops by hand, and uses one Resizer for all sizes.
func TestCropIsResizeOfThePart(t *testing.T) {
	var r Resizer
	var buf []uint8
	random := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		m := noise(1+random.IntN(30), 1+random.IntN(30), 1+2*random.IntN(2), random.Uint64())
		part := Rect{Width: 1 + random.IntN(m.Width), Height: 1 + random.IntN(m.Height)}
		part.X, part.Y = random.IntN(m.Width-part.Width+1), random.IntN(m.Height-part.Height+1)
		width, height := 1+random.IntN(40), 1+random.IntN(40)
		cut := Image{Width: part.Width, Height: part.Height, Channels: m.Channels}
		for y := range part.Height {
			from := ((part.Y+y)*m.Width + part.X) * m.Channels
			cut.Pix = append(cut.Pix, m.Pix[from:from+part.Width*m.Channels]...)
		}
		got, want := r.Crop(buf, m, part, width, height), Resize(cut, width, height)
		if got.Validate() != nil || !slices.Equal(got.Pix, want.Pix) {
			t.Fatalf("%+v of %dx%d to %dx%d differs from cropping first", part, m.Width, m.Height, width, height)
		}
		buf = got.Pix
	}
	m := noise(64, 128, 3, 1)
	buf = make([]uint8, 224*224*3)
	i := 0
	if n := testing.AllocsPerRun(50, func() { i++; r.Crop(buf, m, Rect{i % 7, 0, 50 + i%7, 90 - i%3}, 224, 224) }); n != 0 {
		t.Errorf("%v allocations a crop", n)
	}
	for _, bad := range []Rect{{0, 0, 65, 1}, {1, 0, 64, 1}, {-1, 0, 2, 2}, {0, 0, 0, 1}, {0, 128, 1, 1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("part %+v passed", bad)
				}
			}()
			r.Crop(nil, m, bad, 4, 4)
		}()
	}
}

func TestResizeKeepsFlatColour(t *testing.T) {
	for v := range 256 {
		src := Image{Width: 7, Height: 5, Channels: 1, Pix: slices.Repeat([]uint8{uint8(v)}, 35)}
		for i, got := range Resize(src, 3, 9).Pix {
			if int(got) != v {
				t.Fatalf("flat %d became %d at %d", v, got, i)
			}
		}
	}
}

func TestFit(t *testing.T) {
	src := noise(6, 6, 3, 1)
	if got := Fit(src, 3, 6, 6); &got.Pix[0] != &src.Pix[0] {
		t.Error("an image that fits was copied")
	}
	got := Fit(src, 1, 4, 5)
	if want := Resize(Convert(src, 1), 4, 5); !slices.Equal(got.Pix, want.Pix) || got.Channels != 1 || got.Width != 4 || got.Height != 5 {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func BenchmarkResize(b *testing.B) {
	src := noise(64, 128, 3, 1)
	b.ReportAllocs()
	for b.Loop() {
		Resize(src, 64, 160)
	}
}
