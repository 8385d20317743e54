package pixels

import (
	"hash/crc32"
	"testing"
)

// TestFiltersArePillows compares with checksums of what Pillow 13.0.0 gives:
//
//	zlib.crc32(im.resize((width, height), Image.BICUBIC).tobytes())
func TestFiltersArePillows(t *testing.T) {
	for _, g := range []struct {
		filter                                         Filter
		fromWidth, fromHeight, channels, width, height int
		crc                                            uint32
	}{
		{Bicubic, 64, 128, 3, 128, 256, 0xb61d9f75},
		{Bicubic, 50, 40, 1, 32, 24, 0xb18254ce},
		{Bicubic, 33, 21, 3, 20, 50, 0x2e434620},
		{Nearest, 64, 128, 3, 128, 256, 0x1fa56236},
		{Nearest, 50, 40, 1, 32, 24, 0x85cad534},
		{Nearest, 33, 21, 3, 20, 50, 0xa60354d9},
	} {
		m := congruential(g.fromWidth, g.fromHeight, g.channels, 1)
		r := Resizer{Filter: g.filter}
		got := r.Crop(nil, m, m.Bounds(), g.width, g.height)
		if crc := crc32.ChecksumIEEE(got.Pix); crc != g.crc {
			t.Errorf("filter %d, %dx%dx%d to %dx%d: checksum %#08x, Pillow's %#08x",
				g.filter, g.fromWidth, g.fromHeight, g.channels, g.width, g.height, crc, g.crc)
		}
	}
}

func TestApplyInterleaved(t *testing.T) {
	m := congruential(5, 4, 3, 7)
	n, err := NewNormalizer(Norm{Mean: []float32{.1, .2, .3}, Std: []float32{.4, .5, .6}}, 3)
	if err != nil {
		t.Fatal(err)
	}
	planar, interleaved := make([]float32, 60), make([]float32, 60)
	if err := n.Apply(planar, m); err != nil {
		t.Fatal(err)
	}
	if err := n.ApplyInterleaved(interleaved, m); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		for c := range 3 {
			if interleaved[3*i+c] != planar[20*c+i] {
				t.Fatalf("pixel %d, channel %d: %v, planar %v", i, c, interleaved[3*i+c], planar[20*c+i])
			}
		}
	}
	if err := n.ApplyInterleaved(interleaved[:59], m); err == nil {
		t.Error("a destination too short was taken")
	}
}
