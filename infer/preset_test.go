package infer

import (
	"context"
	"errors"
	"hash/crc32"
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/pixels"
)

// congruential is a picture that other languages can make too.
func congruential(width, height int, seed uint32) pixels.Image {
	m := pixels.Image{Width: width, Height: height, Channels: 3, Pix: make([]uint8, width*height*3)}
	for i := range m.Pix {
		seed = seed*1664525 + 1013904223
		m.Pix[i] = uint8(seed >> 24)
	}
	return m
}

// TestCentralCrop compares with Pillow 13.0.0, scaled as torchvision's
// Resize(256) and cut as its CenterCrop(224) say:
//
//	zlib.crc32(im.resize((nw, nh), Image.BILINEAR).crop((l, t, l+224, t+224)).tobytes())
func TestCentralCrop(t *testing.T) {
	preset, err := PresetByName("imagenet")
	if err != nil {
		t.Fatal(err)
	}
	prep, err := presetPreparer(preset, TensorInfo{Name: "x", Dims: []int64{-1, 3, 224, 224}})
	if err != nil {
		t.Fatal(err)
	}
	var space workspace
	for _, g := range []struct {
		width, height int
		crc           uint32
	}{{40, 30, 0xc5021a87}, {300, 271, 0x33a0bd35}, {33, 50, 0x5f302aca}} {
		got, err := prep.fit(&space, congruential(g.width, g.height, 1))
		if err != nil {
			t.Fatal(err)
		}
		if crc := crc32.ChecksumIEEE(got.Pix); got.Width != 224 || got.Height != 224 || crc != g.crc {
			t.Errorf("%dx%d: %dx%d, checksum %#08x, want %#08x", g.width, g.height, got.Width, got.Height, crc, g.crc)
		}
	}
	if _, err := prep.fit(&space, congruential(5000, 1, 1)); !errors.Is(err, ErrImage) {
		t.Errorf("an image of one row: %v", err)
	}
}

// sampleOf prepares one image.
func sampleOf(prep *preparer, dst Input, m Image) error {
	img, err := m.load(context.Background(), 1<<30)
	if err != nil {
		return err
	}
	return prep.sample(new(workspace), dst, img)
}

// TestPreparation checks channel order and layouts pixel by pixel.
func TestPreparation(t *testing.T) {
	img := congruential(2, 2, 3)
	mean, std := []float32{.1, .2, .3}, []float32{.5, .6, .7}
	at := func(pixel, channel int) float32 {
		return (float32(img.Pix[3*pixel+channel])/255 - mean[channel]) / std[channel]
	}
	reversed := func(pixel, channel int) float32 {
		return (float32(img.Pix[3*pixel+2-channel])/255 - mean[channel]) / std[channel]
	}
	for name, tc := range map[string]struct {
		preset Preset
		dims   []int64
		want   func(i int) float32
	}{
		"nchw rgb": {Preset{Mean: mean, Std: std}, []int64{-1, 3, 2, 2}, func(i int) float32 { return at(i%4, i/4) }},
		"nchw bgr": {Preset{Mean: mean, Std: std, ChannelOrder: "bgr"}, []int64{-1, 3, 2, 2}, func(i int) float32 { return reversed(i%4, i/4) }},
		"nhwc rgb": {Preset{Mean: mean, Std: std, Layout: "nhwc"}, []int64{-1, 2, 2, 3}, func(i int) float32 { return at(i/3, i%3) }},
		"nhwc bgr": {Preset{Mean: mean, Std: std, Layout: "nhwc", ChannelOrder: "bgr"}, []int64{-1, 2, 2, 3}, func(i int) float32 { return reversed(i/3, i%3) }},
	} {
		prep, err := presetPreparer(tc.preset, TensorInfo{Name: "x", Dims: tc.dims})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 12)
		if err := sampleOf(prep, Input{Float32: got}, FromBytes(pngOf(t, img))); err != nil {
			t.Fatal(err)
		}
		for i, v := range got {
			if v != tc.want(i) {
				t.Errorf("%s: value %d is %v, want %v", name, i, v, tc.want(i))
			}
		}
	}
	grey, err := presetPreparer(Preset{ChannelOrder: "grey"}, TensorInfo{Name: "x", Dims: []int64{-1, 1, 2, 2}})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, 4)
	if err := sampleOf(grey, Input{Float32: got}, FromBytes(pngOf(t, img))); err != nil {
		t.Fatal(err)
	}
	if want := float32(pixels.Luma(img.Pix[3], img.Pix[4], img.Pix[5])) / 255; got[1] != want {
		t.Errorf("grey: %v, want %v", got[1], want)
	}
}

func TestPresetFaults(t *testing.T) {
	bad := Preset{Height: -1, Interpolation: "magic", Crop: 2, Std: []float32{0}, ChannelOrder: "rbg", Layout: "nwhc", Output: "scores"}
	err := Options{Preset: &bad, Provider: Provider{Options: map[string]string{"a": "b"}}, Ensemble: Ensemble{Weights: []float64{0}}}.Validate()
	for _, part := range []string{"height", "interpolation", "crop", "std", "channel_order", "layout", "output", "Provider", "weight"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%v lacks %s", err, part)
		}
	}
	if _, err := PresetByName("imagnet"); err == nil || !strings.Contains(err.Error(), "torchreid, fastreid, imagenet, imagenet-tf") {
		t.Errorf("unknown: %v", err)
	}
	for _, name := range PresetNames() {
		if p, err := PresetByName(name); err != nil || p.Validate() != nil {
			t.Errorf("%s: %+v, %v, %v", name, p, err, p.Validate())
		}
	}
	for name, tc := range map[string]struct {
		preset Preset
		in     TensorInfo
	}{
		"channels last": {Preset{}, TensorInfo{Name: "x", Dims: []int64{-1, 224, 224, 3}}},
		"no image":      {Preset{}, TensorInfo{Name: "x", Dims: []int64{-1, 10}}},
		"another size":  {Preset{Height: 4, Width: 4}, TensorInfo{Name: "x", Dims: []int64{-1, 3, 5, 4}}},
		"normalised":    {Preset{Mean: []float32{0, 0, 0}}, TensorInfo{Name: "x", Dims: []int64{-1, 5, 4, 3}, Uint8: true}},
	} {
		if _, err := presetPreparer(tc.preset, tc.in); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	fixed := (&Preset{Height: 5, Width: 4}).fix(TensorInfo{Name: "x", Dims: []int64{-1, 3, -1, -1}})
	if !reflect.DeepEqual(fixed.Dims, []int64{-1, 3, 5, 4}) {
		t.Errorf("open sides became %v", fixed.Dims)
	}
}

func TestAssign(t *testing.T) {
	a, b := TensorInfo{Name: "a"}, TensorInfo{Name: onnxmeta.Embedding}
	var d Description
	if err := d.Assign([]TensorInfo{a, b}, Options{}); err != nil || d.Logits.Name != "" || d.Embedding.Name != onnxmeta.Embedding {
		t.Errorf("by name: %+v", d)
	}
	d = Description{}
	if err := d.Assign([]TensorInfo{a}, Options{}); err != nil || d.Logits.Name != "a" {
		t.Errorf("unnamed: %+v", d)
	}
	d = Description{}
	if err := d.Assign([]TensorInfo{a}, Options{Preset: &Preset{Output: onnxmeta.Embedding}}); err != nil || d.Logits.Name != "" || d.Embedding.Name != "a" {
		t.Errorf("unnamed, by the preset: %+v", d)
	}
}

// FuzzPrepare feeds arbitrary bytes as images.
func FuzzPrepare(f *testing.F) {
	f.Add(pngOf(f, congruential(5, 3, 1)), true, uint8(0))
	f.Add(pngOf(f, congruential(1, 9, 1)), false, uint8(1))
	f.Add([]byte("\xff\xd8\xff\xe0"), true, uint8(2))
	f.Fuzz(func(t *testing.T, data []byte, crop bool, filter uint8) {
		preset := Preset{Interpolation: []string{"bilinear", "bicubic", "nearest"}[filter%3]}
		if crop {
			preset.Crop = .875
		}
		prep, err := presetPreparer(preset, TensorInfo{Name: "x", Dims: []int64{-1, 3, 9, 7}})
		if err != nil {
			t.Fatal(err)
		}
		got := make([]float32, 3*9*7)
		if err := sampleOf(prep, Input{Float32: got}, FromBytes(data)); err != nil {
			if !errors.Is(err, ErrImage) {
				t.Errorf("untyped error %v", err)
			}
			return
		}
		for i, v := range got {
			if !(v >= 0 && v <= 1) {
				t.Fatalf("value %d is %v", i, v)
			}
		}
	})
}
