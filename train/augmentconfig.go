package train

import (
	"fmt"
	"strings"

	"github.com/deepmutual/dml/dataset"
)

// AugmentConfig changes training images at random, each in its own way in every
// epoch; see dataset.Augment.
type AugmentConfig struct {
	Flip    bool   `yaml:"flip,omitempty"`     // mirror left and right
	PadCrop int    `yaml:"pad_crop,omitempty"` // pad by so many pixels and crop at random
	PadMode string `yaml:"pad_mode,omitempty"` // reflect (default, the paper's) or zero

	ResizedCrop ResizedCropConfig `yaml:"resized_crop,omitempty"`
	Erase       EraseConfig       `yaml:"erase,omitempty"`
	Jitter      JitterConfig      `yaml:"jitter,omitempty"`
}

// ResizedCropConfig scales a random part of each image to the students' input,
// in place of the whole, as torchvision's RandomResizedCrop.
type ResizedCropConfig struct {
	MinScale float64 `yaml:"min_scale,omitempty"` // smallest share of the area; 0 (default): off
	MaxScale float64 `yaml:"max_scale,omitempty"` // largest; default 1
	MinRatio float64 `yaml:"min_ratio,omitempty"` // of width to height; default 3/4
	MaxRatio float64 `yaml:"max_ratio,omitempty"` // default 4/3
}

// EraseConfig fills a random rectangle with the images' mean, as Zhong et al.
// 2020.
type EraseConfig struct {
	Probability float64 `yaml:"probability,omitempty"` // 0 (default): off
	MinArea     float64 `yaml:"min_area,omitempty"`    // share of the image's; default 0.02
	MaxArea     float64 `yaml:"max_area,omitempty"`    // default 0.4
	MinAspect   float64 `yaml:"min_aspect,omitempty"`  // of height to width; default 0.3
	MaxAspect   float64 `yaml:"max_aspect,omitempty"`  // default 1/MinAspect
}

// JitterConfig changes colours, as torchvision's ColorJitter: factors are drawn
// from 1-x to 1+x, the hue's turn from -x to x of a circle. 0 (default): off.
type JitterConfig struct {
	Brightness float64 `yaml:"brightness,omitempty"`
	Contrast   float64 `yaml:"contrast,omitempty"`
	Saturation float64 `yaml:"saturation,omitempty"`
	Hue        float64 `yaml:"hue,omitempty"` // at most 0.5
}

// withDefaults returns a with every default written out.
func (a AugmentConfig) withDefaults() AugmentConfig {
	setDefault(&a.PadMode, "reflect")
	c := a.augment().ResizedCrop.WithDefaults()
	a.ResizedCrop = ResizedCropConfig{c.MinScale, c.MaxScale, c.MinRatio, c.MaxRatio}
	e := a.augment().Erase.WithDefaults()
	a.Erase = EraseConfig{e.Probability, e.MinArea, e.MaxArea, e.MinAspect, e.MaxAspect}
	return a
}

// faults lists every fault. Each names its key.
func (a AugmentConfig) faults() []error {
	var faults []error
	if a.PadCrop < 0 {
		faults = append(faults, fmt.Errorf("augment.pad_crop: %d is negative", a.PadCrop))
	}
	if a.PadMode != "reflect" && a.PadMode != "zero" {
		faults = append(faults, fmt.Errorf("augment.pad_mode: %q is unknown; use reflect or zero", a.PadMode))
	}
	out := a.augment()
	for _, part := range []struct {
		key string
		err error
	}{
		{"resized_crop.min_scale", out.ResizedCrop.Validate()},
		{"erase.probability", out.Erase.Validate()},
		{"jitter.brightness", dataset.Jitter{Brightness: out.Jitter.Brightness}.Validate()},
		{"jitter.contrast", dataset.Jitter{Contrast: out.Jitter.Contrast}.Validate()},
		{"jitter.saturation", dataset.Jitter{Saturation: out.Jitter.Saturation}.Validate()},
		{"jitter.hue", dataset.Jitter{Hue: out.Jitter.Hue}.Validate()},
	} {
		if part.err != nil {
			faults = append(faults, fmt.Errorf("augment.%s: %s", part.key, strings.ReplaceAll(part.err.Error(), "\n", "; ")))
		}
	}
	return faults
}

// augment is the augmentation that a describes.
func (a AugmentConfig) augment() dataset.Augment {
	out := dataset.Augment{
		Flip: a.Flip, PadCrop: a.PadCrop,
		ResizedCrop: dataset.ResizedCrop{
			MinScale: a.ResizedCrop.MinScale, MaxScale: a.ResizedCrop.MaxScale,
			MinRatio: a.ResizedCrop.MinRatio, MaxRatio: a.ResizedCrop.MaxRatio,
		},
		Erase: dataset.Erase{
			Probability: a.Erase.Probability, MinArea: a.Erase.MinArea, MaxArea: a.Erase.MaxArea,
			MinAspect: a.Erase.MinAspect, MaxAspect: a.Erase.MaxAspect,
		},
		Jitter: dataset.Jitter{
			Brightness: a.Jitter.Brightness, Contrast: a.Jitter.Contrast, Saturation: a.Jitter.Saturation, Hue: a.Jitter.Hue,
		},
	}
	if a.PadMode == "zero" {
		out.PadMode = dataset.PadZero
	}
	return out
}
