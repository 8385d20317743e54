package train

import (
	"fmt"

	"github.com/deepmutual/dml/dataset"
)

// AugmentConfig changes training images at random.
type AugmentConfig struct {
	Flip    bool   `yaml:"flip,omitempty"`     // mirror left and right
	PadCrop int    `yaml:"pad_crop,omitempty"` // pad by so many pixels and crop at random
	PadMode string `yaml:"pad_mode,omitempty"` // reflect (default, the paper's) or zero
}

// withDefaults returns a with every default written out.
func (a AugmentConfig) withDefaults() AugmentConfig {
	setDefault(&a.PadMode, "reflect")
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
	return faults
}

// augment is the augmentation that a describes.
func (a AugmentConfig) augment() dataset.Augment {
	out := dataset.Augment{Flip: a.Flip, PadCrop: a.PadCrop}
	if a.PadMode == "zero" {
		out.PadMode = dataset.PadZero
	}
	return out
}
