package pixels

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"slices"
	"testing"
	"testing/iotest"
)

func gradient(width, height int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetNRGBA(x, y, color.NRGBA{R: uint8(8 * x), G: uint8(8 * y), B: 128, A: 255})
		}
	}
	return m
}

func encoded(t testing.TB, encode func(io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngOf(t testing.TB, m image.Image) []byte {
	return encoded(t, func(w io.Writer) error { return png.Encode(w, m) })
}

func jpegOf(t testing.TB, m image.Image) []byte {
	return encoded(t, func(w io.Writer) error { return jpeg.Encode(w, m, &jpeg.Options{Quality: 95}) })
}

// hugePNG is a valid PNG header of the given size without pixel data.
func hugePNG(width, height uint32) []byte {
	chunk := []byte("IHDR")
	chunk = binary.BigEndian.AppendUint32(chunk, width)
	chunk = binary.BigEndian.AppendUint32(chunk, height)
	chunk = append(chunk, 8, 2, 0, 0, 0)
	b := binary.BigEndian.AppendUint32([]byte("\x89PNG\r\n\x1a\n"), uint32(len(chunk)-4))
	b = append(b, chunk...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(chunk))
}

func TestDecode(t *testing.T) {
	src := gradient(20, 12)
	want := FromImage(src)

	got, err := Decode(t.Context(), pngOf(t, src))
	if err != nil {
		t.Fatal(err)
	}
	if got.Width != 20 || got.Height != 12 || got.Channels != 3 || !slices.Equal(got.Pix, want.Pix) {
		t.Error("PNG did not decode to the pixels encoded")
	}

	got, err = DecodeFrom(t.Context(), bytes.NewReader(jpegOf(t, src)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.Pix {
		if d := int(got.Pix[i]) - int(want.Pix[i]); d < -24 || d > 24 {
			t.Fatalf("JPEG sample %d is %d, encoded as %d", i, got.Pix[i], want.Pix[i])
		}
	}

	gray := image.NewGray(image.Rect(0, 0, 4, 4))
	for _, data := range [][]byte{pngOf(t, gray), jpegOf(t, gray)} {
		if got, err := Decode(t.Context(), data); err != nil || got.Channels != 1 {
			t.Errorf("grey %s: %d channels, error %v", Sniff(data), got.Channels, err)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	goodPNG, goodJPEG := pngOf(t, gradient(16, 16)), jpegOf(t, gradient(16, 16))
	gifFile := encoded(t, func(w io.Writer) error { return gif.Encode(w, gradient(4, 4), nil) })
	flipped := bytes.Clone(goodPNG)
	flipped[len(flipped)-20] ^= 0xff

	tests := []struct {
		name string
		data []byte
		want error
	}{
		{"empty", nil, ErrFormat},
		{"text", []byte("hello"), ErrFormat},
		{"gif truncated", gifFile[:len(gifFile)/2], ErrCorrupt},
		{"png header only", goodPNG[:8], ErrCorrupt},
		{"png truncated", goodPNG[:len(goodPNG)/2], ErrCorrupt},
		{"png bad checksum", flipped, ErrCorrupt},
		{"jpeg header only", goodJPEG[:3], ErrCorrupt},
		{"jpeg truncated", goodJPEG[:len(goodJPEG)/2], ErrCorrupt},
		{"png too wide", hugePNG(MaxSide+1, 1), ErrTooLarge},
		{"png too high", hugePNG(1, MaxSide+1), ErrTooLarge},
		{"png too many pixels", hugePNG(MaxSide, MaxPixels/MaxSide+1), ErrTooLarge},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Decode(t.Context(), tt.data); !errors.Is(err, tt.want) {
				t.Errorf("got error %v, want %v", err, tt.want)
			}
		})
	}

	if _, err := DecodeFrom(t.Context(), iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("reader's error became %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{})
	f.Add(pngOf(f, gradient(5, 3)))
	f.Add(pngOf(f, image.NewGray(image.Rect(0, 0, 3, 3))))
	f.Add(pngOf(f, image.NewPaletted(image.Rect(0, 0, 3, 3), color.Palette{color.White, color.Black})))
	f.Add(jpegOf(f, gradient(9, 8)))
	f.Add(jpegOf(f, image.NewGray(image.Rect(0, 0, 3, 3))))
	f.Add(hugePNG(1<<31-1, 1<<31-1))
	read := golden(f)
	for _, name := range []string{"jpeg-progressive", "turned-5", "png-turned", "webp-turned", "webp", "webp-lossless", "bmp", "gif", "tiff"} {
		f.Add(read(name + "/file"))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(t.Context(), data)
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrCorrupt) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		if err := m.Validate(); err != nil {
			t.Error(err)
		}
	})
}
