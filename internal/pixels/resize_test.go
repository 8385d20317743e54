package pixels

import (
	"fmt"
	"math"
	"slices"
	"testing"
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
