package dataset_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/png"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/deepmutual/dml/dataset"
)

func TestCheckSizes(t *testing.T) {
	for _, tt := range []struct {
		sizes string // of the images, width x height
		says  string // of the error; empty for none
	}{
		{"32x32 32x32 32x32", ""},
		{"640x480 640x480", ""},
		{"33x30 32x32 32x31", "from 30x33 (a/0.png) to 32x32 (b/1.png), height by width; 32x32 would suit them"},
		{"500x375 375x500 500x333", "from 333x500 (a/2.png) to 375x500 (a/0.png), height by width; 224x224 would suit them"},
		{"60x160 64x128 120x300", "256x128 would suit them"},
		{"2000x1000 2000x1000", "224x224 would suit them, and at 1000x2000 memory and time of a step would be some 40 times as much"},
	} {
		fsys := make(fstest.MapFS)
		for i, size := range strings.Fields(tt.sizes) {
			var w, h int
			fmt.Sscanf(size, "%dx%d", &w, &h)
			var file bytes.Buffer
			if err := png.Encode(&file, image.NewGray(image.Rect(0, 0, w, h))); err != nil {
				t.Fatal(err)
			}
			fsys[fmt.Sprintf("%c/%d.png", 'a'+i%2, i)] = &fstest.MapFile{Data: file.Bytes()}
		}
		fsys["b/broken.png"] = &fstest.MapFile{Data: []byte("x")} // which decoding tells
		s, err := dataset.OpenFS(fsys, dataset.Options{})
		if err != nil {
			t.Fatal(err)
		}
		part, err := dataset.Subset(s.Train, []int{0, 1, 2})
		if err != nil {
			t.Fatal(err)
		}
		for _, ds := range []dataset.Dataset{s.Train, part} {
			switch err := dataset.CheckSizes(ds); {
			case tt.says == "" && err != nil:
				t.Errorf("%s: %v", tt.sizes, err)
			case tt.says != "" && ds == s.Train && (!errors.Is(err, dataset.ErrSizes) || !strings.Contains(err.Error(), tt.says)):
				t.Errorf("%s: %v, want %q", tt.sizes, err, tt.says)
			}
		}
	}
}
