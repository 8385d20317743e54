package infer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/pixels"
)

// Preset says how to prepare images for a model that does not say so itself,
// and what its outputs are. The zero value scales an image to the model's
// input and divides it by 255.
type Preset struct {
	// Height and Width of the input; 0 where the model fixes them.
	Height int `yaml:"height"`
	Width  int `yaml:"width"`
	// Interpolation is bilinear (where empty), bicubic or nearest: Pillow's
	// filters.
	Interpolation string `yaml:"interpolation"`
	// Crop is the share of the shorter side that a central crop keeps: the image
	// is scaled, its aspect kept, and the input cut out of its middle. 0 scales
	// the whole image to the input, whatever its aspect.
	Crop float64 `yaml:"crop"`
	// Mean and Std normalise x, 0..255, as (x/255 - Mean) / Std: a value for
	// each channel, in ChannelOrder. Empty means 0 and 1.
	Mean []float32 `yaml:"mean"`
	Std  []float32 `yaml:"std"`
	// ChannelOrder is rgb (where empty), bgr or grey.
	ChannelOrder string `yaml:"channel_order"`
	// Layout of a float32 input is nchw (where empty) or nhwc.
	Layout string `yaml:"layout"`
	// Output is what the first output is where no output is called so: logits
	// (where empty), probabilities or embedding.
	Output string `yaml:"output"`
	// Classes are the labels; where empty, a class's label is its number.
	Classes []string `yaml:"classes"`
}

// presets are what others prepare images as.
func presets() map[string]Preset {
	mean, std := []float32{0.485, 0.456, 0.406}, []float32{0.229, 0.224, 0.225}
	return map[string]Preset{
		// torchreid.data.transforms.build_transforms: Resize, ToTensor, Normalize.
		"torchreid": {Mean: mean, Std: std, Output: onnxmeta.Embedding},
		// fastreid scales bicubically to 0..255; its exported graphs normalise.
		"fastreid": {Interpolation: "bicubic", Std: []float32{1. / 255, 1. / 255, 1. / 255}, Output: onnxmeta.Embedding},
		// torchvision's references/classification: Resize(256), CenterCrop(224).
		"imagenet": {Crop: 224. / 256, Mean: mean, Std: std},
		// keras.applications.imagenet_utils.preprocess_input(mode="tf"): x/127.5 - 1.
		"imagenet-tf": {Mean: []float32{.5, .5, .5}, Std: []float32{.5, .5, .5}},
	}
}

// PresetNames lists the names that PresetByName knows.
func PresetNames() []string { return []string{"torchreid", "fastreid", "imagenet", "imagenet-tf"} }

// PresetByName returns a common way to prepare images:
//
//   - torchreid: scaled to the input, ImageNet's mean and deviation; an embedding
//   - fastreid: scaled bicubically to the input, 0..255; an embedding
//   - imagenet: the central 7/8, ImageNet's mean and deviation
//   - imagenet-tf: scaled to the input, -1..1
func PresetByName(name string) (Preset, error) {
	p, ok := presets()[name]
	if !ok {
		return Preset{}, fmt.Errorf("infer: there is no preset %q; there are %s", name, strings.Join(PresetNames(), ", "))
	}
	return p, nil
}

// channels is how many the preset makes.
func (p Preset) channels() int {
	if p.ChannelOrder == "grey" {
		return 1
	}
	return 3
}

// Validate reports every fault of p, joined.
func (p Preset) Validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("preset: "+format, args...)) }
	for _, field := range []struct {
		name, value string
		allowed     []string
	}{
		{"interpolation", p.Interpolation, []string{"bilinear", "bicubic", "nearest"}},
		{"channel_order", p.ChannelOrder, []string{"rgb", "bgr", "grey"}},
		{"layout", p.Layout, []string{"nchw", "nhwc"}},
		{"output", p.Output, []string{onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding}},
	} {
		if field.value != "" && !slices.Contains(field.allowed, field.value) {
			fault("%s is %q: want %s", field.name, field.value, strings.Join(field.allowed, ", "))
		}
	}
	if p.Height < 0 || p.Width < 0 || p.Height > pixels.MaxSide || p.Width > pixels.MaxSide || p.Height*p.Width > pixels.MaxPixels {
		fault("height and width are %d and %d: want 0 to %d, and at most %d pixels", p.Height, p.Width, pixels.MaxSide, pixels.MaxPixels)
	}
	if !(p.Crop == 0 || p.Crop >= 0.05 && p.Crop <= 1) {
		fault("crop is %v: want 0, or 0.05 to 1", p.Crop)
	}
	if err := (pixels.Norm{Mean: p.Mean, Std: p.Std}).Validate(p.channels()); err != nil {
		fault("%w", err)
	}
	return errors.Join(errs...)
}

// clone returns a copy that shares no memory.
func (p Preset) clone() *Preset {
	p.Mean, p.Std, p.Classes = slices.Clone(p.Mean), slices.Clone(p.Std), slices.Clone(p.Classes)
	return &p
}

// fix returns a model's input with the preset's height and width where it
// leaves them open.
func (p *Preset) fix(in TensorInfo) TensorInfo {
	if p == nil || p.Height == 0 || p.Width == 0 || len(in.Dims) != 4 {
		return in
	}
	in.Dims = slices.Clone(in.Dims)
	at := 2
	if p.Layout == "nhwc" || in.Uint8 {
		at = 1
	}
	for i, size := range []int{p.Height, p.Width} {
		if in.Dims[at+i] < 0 {
			in.Dims[at+i] = int64(size)
		}
	}
	return in
}
