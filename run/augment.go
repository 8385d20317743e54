package run

import "github.com/deepmutual/dml/dataset"

// AugmentConfig is dataset.Augment in a file.
type AugmentConfig struct {
	Flip        bool              `yaml:"flip,omitempty"`
	PadCrop     int               `yaml:"pad_crop,omitempty"`
	PadMode     dataset.PadMode   `yaml:"pad_mode,omitempty"`
	ResizedCrop ResizedCropConfig `yaml:"resized_crop,omitempty"`
	Erase       EraseConfig       `yaml:"erase,omitempty"`
	Jitter      JitterConfig      `yaml:"jitter,omitempty"`
}

// ResizedCropConfig is dataset.ResizedCrop in a file.
type ResizedCropConfig struct {
	MinScale float64 `yaml:"min_scale,omitempty"`
	MaxScale float64 `yaml:"max_scale,omitempty"`
	MinRatio float64 `yaml:"min_ratio,omitempty"`
	MaxRatio float64 `yaml:"max_ratio,omitempty"`
}

// EraseConfig is dataset.Erase in a file.
type EraseConfig struct {
	Probability float64 `yaml:"probability,omitempty"`
	MinArea     float64 `yaml:"min_area,omitempty"`
	MaxArea     float64 `yaml:"max_area,omitempty"`
	MinAspect   float64 `yaml:"min_aspect,omitempty"`
	MaxAspect   float64 `yaml:"max_aspect,omitempty"`
}

// JitterConfig is dataset.Jitter in a file.
type JitterConfig struct {
	Brightness float64 `yaml:"brightness,omitempty"`
	Contrast   float64 `yaml:"contrast,omitempty"`
	Saturation float64 `yaml:"saturation,omitempty"`
	Hue        float64 `yaml:"hue,omitempty"`
}

func (a AugmentConfig) value() dataset.Augment {
	return dataset.Augment{
		Flip: a.Flip, PadCrop: a.PadCrop, PadMode: a.PadMode,
		ResizedCrop: dataset.ResizedCrop(a.ResizedCrop),
		Erase: dataset.Erase{Probability: a.Erase.Probability, MinArea: a.Erase.MinArea, MaxArea: a.Erase.MaxArea,
			MinAspect: a.Erase.MinAspect, MaxAspect: a.Erase.MaxAspect},
		Jitter: dataset.Jitter(a.Jitter),
	}
}

func augmentConfig(a dataset.Augment) AugmentConfig {
	return AugmentConfig{
		Flip: a.Flip, PadCrop: a.PadCrop, PadMode: a.PadMode,
		ResizedCrop: ResizedCropConfig(a.ResizedCrop),
		Erase:       EraseConfig{a.Erase.Probability, a.Erase.MinArea, a.Erase.MaxArea, a.Erase.MinAspect, a.Erase.MaxAspect},
		Jitter:      JitterConfig(a.Jitter),
	}
}
