package pixels

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sbinet/npyio/npz"
)

// golden reads testdata/pixels/pixels.npz, what Pillow reads; make.py there
// describes it.
func golden(t testing.TB) func(name string) []uint8 {
	t.Helper()
	r, err := npz.Open(filepath.Join("..", "..", "testdata", "pixels", "pixels.npz"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return func(name string) []uint8 {
		t.Helper()
		var out []uint8
		if err := r.Read(name+".npy", &out); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return out
	}
}

// goldenFiles are the names of the files in it, with the most that a sample may
// differ, and the mean difference. Decoders of JPEG and lossy WebP round
// differently; other formats hold exact samples.
func goldenFiles() map[string]struct{ most, mean float64 } {
	exact, rounded := struct{ most, mean float64 }{}, struct{ most, mean float64 }{4, 0.2}
	files := map[string]struct{ most, mean float64 }{
		"bmp": exact, "gif": exact, "tiff": exact, "webp-lossless": exact, "png-turned": exact, "webp-turned": exact,
		"webp": {4, 0.3}, "jpeg-progressive": rounded,
	}
	for _, size := range strings.Fields("64x48 33x21 17x40 6x5 5x3 4x4 3x1 1x1") {
		for _, s := range strings.Fields("444 422 420") {
			files["jpeg-"+size+"-"+s] = rounded
		}
	}
	for n := range 8 {
		files[fmt.Sprintf("turned-%d", n+1)] = rounded
	}
	return files
}

// TestPillow decodes files as Pillow does: the same size, upright, and nearly the
// same samples.
func TestPillow(t *testing.T) {
	read := golden(t)
	for name, limit := range goldenFiles() {
		data, want := read(name+"/file"), read(name+"/pixels")
		m, err := Decode(t.Context(), data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if src, err := DecodeStandard(t.Context(), data); err != nil || !slices.Equal(FromImage(src).Pix, m.Pix) || FromImage(src).Width != m.Width {
			t.Errorf("%s: DecodeStandard is of other pixels, %v", name, err)
		}
		if len(m.Pix) != len(want) {
			t.Errorf("%s: %d samples of %dx%d, want %d", name, len(m.Pix), m.Width, m.Height, len(want))
			continue
		}
		var most, sum float64
		for i, v := range want {
			d := float64(max(m.Pix[i], v) - min(m.Pix[i], v))
			most, sum = max(most, d), sum+d
		}
		mean := sum / float64(len(want))
		t.Logf("%s: %.0f levels at most, mean %.3f", name, most, mean)
		if most > limit.most || mean > limit.mean {
			t.Errorf("%s: %.0f levels at most, mean %.3f; want %v", name, most, mean, limit)
		}
	}
}

// TestChroma compares the rows with libjpeg's rule written as one sum over
// neighbours, on planes without a decoder, so that no version of Go matters; and
// parts of a picture with pictures of their own.
func TestChroma(t *testing.T) {
	for ratio, down := range map[image.YCbCrSubsampleRatio][2]int{
		image.YCbCrSubsampleRatio444: {1, 1}, image.YCbCrSubsampleRatio422: {2, 1}, image.YCbCrSubsampleRatio420: {2, 2},
		image.YCbCrSubsampleRatio440: {1, 2}, image.YCbCrSubsampleRatio411: {4, 1}, image.YCbCrSubsampleRatio410: {4, 2},
	} {
		whole := image.NewYCbCr(image.Rect(0, 0, 40, 30), ratio)
		for _, plane := range [][]uint8{whole.Y, whole.Cb, whole.Cr} {
			state := uint32(len(plane))
			for i := range plane {
				state = state*1664525 + 1013904223
				plane[i] = uint8(state >> 24)
			}
		}
		for _, r := range []image.Rectangle{whole.Rect, image.Rect(0, 0, 13, 7), image.Rect(3, 5, 20, 18), image.Rect(8, 4, 9, 5), image.Rect(5, 3, 9, 9)} {
			src := whole.SubImage(r).(*image.YCbCr)
			got := FromImage(src)
			for y := range got.Height {
				for x := range got.Width {
					var rgb [3]uint8
					cb, cr := slowChroma(src, src.Cb, down, x+r.Min.X, y+r.Min.Y), slowChroma(src, src.Cr, down, x+r.Min.X, y+r.Min.Y)
					putRGB(rgb[:], []uint8{src.Y[src.YOffset(x+r.Min.X, y+r.Min.Y)]}, []uint8{cb}, []uint8{cr})
					if at := 3 * (y*got.Width + x); !slices.Equal(got.Pix[at:at+3], rgb[:]) {
						t.Fatalf("%v %v: pixel %d,%d is %v, want %v", ratio, r, x, y, got.Pix[at:at+3], rgb)
					}
				}
			}
		}
	}
}

// slowChroma is chroma at a place: the mean of the nearest samples, weighted 3 to
// 1 in each direction that is halved, as libjpeg rounds it.
func slowChroma(src *image.YCbCr, plane []uint8, down [2]int, x, y int) uint8 {
	first, last := image.Pt(src.Rect.Min.X/down[0], src.Rect.Min.Y/down[1]), image.Pt((src.Rect.Max.X-1)/down[0], (src.Rect.Max.Y-1)/down[1])
	at := func(cx, cy int) int {
		cx, cy = min(max(cx, first.X), last.X), min(max(cy, first.Y), last.Y)
		return int(plane[(cy-first.Y)*src.CStride+cx-first.X])
	}
	cx, cy, right, lower := x/down[0], y/down[1], x%2, y%2
	nx, ny := cx-1+2*right, cy-1+2*lower
	narrow := last.X-first.X < 2
	switch {
	case down[0] == 4 || down[0] == 2 && narrow:
		return uint8(at(cx, cy))
	case down == [2]int{2, 2}:
		return uint8((9*at(cx, cy) + 3*at(nx, cy) + 3*at(cx, ny) + at(nx, ny) + 8 - right) >> 4)
	case down == [2]int{2, 1}:
		return uint8((3*at(cx, cy) + at(nx, cy) + 1 + right) >> 2)
	case down == [2]int{1, 2}:
		return uint8((3*at(cx, cy) + at(cx, ny) + 1 + lower) >> 2)
	}
	return uint8(at(cx, cy))
}

func TestNearestIsPillows(t *testing.T) {
	read := golden(t)
	src := Image{64, 48, 3, read("nearest/source")}
	for _, size := range [][2]int{{5, 3}, {10, 9}, {25, 15}, {50, 45}, {35, 21}, {100, 75}, {33, 47}, {70, 250}} {
		r := Resizer{Filter: Nearest}
		got, want := r.Crop(nil, src, src.Bounds(), size[0], size[1]), read(fmt.Sprintf("nearest/%dx%d", size[0], size[1]))
		if !slices.Equal(got.Pix, want) {
			t.Errorf("%v differs", size)
		}
	}
}

// TestManyScans repeats a scan of a progressive JPEG, which costs the decoder the
// whole picture each time.
func TestManyScans(t *testing.T) {
	data := golden(t)("jpeg-progressive/file")
	last := bytes.LastIndex(data, []byte{0xff, 0xda})
	scan := data[last : len(data)-2]
	for scans, refused := range map[int]bool{1: false, 50: false, 1000: true} {
		many := slices.Concat(data[:last], bytes.Repeat(scan, scans), data[len(data)-2:])
		if _, err := Decode(t.Context(), many); errors.Is(err, ErrTooLarge) != refused {
			t.Errorf("%d scans more: %v", scans, err)
		}
	}
	if err := checkScans(data, 1<<13, 1<<13); err != nil {
		t.Errorf("the usual scans of 67 megapixels: %v", err)
	}
	if err := checkScans(slices.Concat(data[:last], bytes.Repeat(scan, 20), data[len(data)-2:]), 1<<13, 1<<13); !errors.Is(err, ErrTooLarge) {
		t.Errorf("many scans of 67 megapixels: %v", err)
	}
}

// TestOrientationOfAnything: nonsense is upright, and read within bounds.
func TestOrientationOfAnything(t *testing.T) {
	tag := []byte{0x12, 1, 3, 0, 1, 0, 0, 0, 6, 0, 0, 0}
	good := slices.Concat([]byte("II*\x00\x08\x00\x00\x00\x01\x00"), tag)
	if got := orientation(good); got != 6 {
		t.Fatalf("orientation %d", got)
	}
	for n := range good {
		if got := orientation(good[:n]); got != 1 {
			t.Errorf("cut to %d bytes: %d", n, got)
		}
		for _, v := range []byte{0, 9, 255} {
			changed := slices.Clone(good)
			changed[n] = v
			if got := orientation(changed); got < 1 || got > 8 {
				t.Errorf("byte %d changed: %d", n, got)
			}
		}
	}
}

func TestSniff(t *testing.T) {
	read := golden(t)
	for name, want := range map[string]string{"bmp": "bmp", "gif": "gif", "tiff": "tiff", "webp": "webp", "png-turned": "png", "turned-1": "jpeg"} {
		data := read(name + "/file")
		if got := Sniff(data[:SniffLen]); got != want {
			t.Errorf("%s is %q", name, got)
		}
		if DecodedBytes(data) == 0 {
			t.Errorf("%s takes no memory", name)
		}
	}
	for _, text := range []string{"", "B", "BM", "BMW, the maker of cars", "RIFF1234WAVEfmt ", "II", "GIF8"} {
		if got := Sniff([]byte(text)); got != "" {
			t.Errorf("%q is %q", text, got)
		}
	}
}

// TestContextEndsDecoding ends it after some reads of a file that is bigger than
// what is read at once.
func TestContextEndsDecoding(t *testing.T) {
	for name, data := range map[string][]byte{"jpeg": jpegOf(t, speckled(400, 400)), "png": pngOf(t, speckled(400, 400))} {
		ctx, cancel := context.WithCancel(t.Context())
		reads := &cancelling{Context: ctx, cancel: cancel, left: 4}
		if _, err := Decode(reads, data); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if m, err := Decode(t.Context(), data); err != nil || m.Width != 400 {
			t.Errorf("%s, not ended: %v", name, err)
		}
	}
}

// cancelling ends when it has been asked a few times.
type cancelling struct {
	context.Context
	cancel func()
	left   int
}

func (c *cancelling) Err() error {
	if c.left--; c.left == 0 {
		c.cancel()
	}
	return c.Context.Err()
}

func speckled(width, height int) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	state := uint32(1)
	for i := range m.Pix {
		state = state*1664525 + 1013904223
		m.Pix[i] = uint8(state >> 24)
	}
	return m
}
