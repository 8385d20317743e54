package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/dataset/source"
	"github.com/deepmutual/dml/train"
)

// dataSettings lists the flags of the data that a run trains on.
func dataSettings() []setting {
	return []setting{
		text("data.path", "data", "train on `PATH`: MNIST or CIFAR files, a folder of images, re-identification data, or a CSV list", func(c *train.Config) *string { return &c.Data.Path }),
		textOr("data.kind", "kind", "recognised", kindUsage(), func(c *train.Config) *string { return (*string)(&c.Data.Kind) }),
		textOr("data.pattern", "pattern", "recognised", "read persons from file names by `PATTERN`: market1501, msmt17, cuhk03-np, pku-reid, or a regular expression with groups pid and camera",
			func(c *train.Config) *string { return &c.Data.Pattern }),
		{"data.height, data.width", &cli.StringFlag{Name: "size", DefaultText: "the first image's", Usage: "scale images to `HxW` pixels"}, applySize},
		integer("data.limit", "limit", "all", "use `N` of the training images, those to validate on included", func(c *train.Config) *int { return &c.Data.Limit }),
		nonzero(number("data.validation", "validation", "0.1", "`FRACTION` of the training images to validate on, where the data has no such part",
			func(c *train.Config) *float64 { return &c.Data.Validation })),
		integer("data.cache", "cache", "1024", "keep decoded images in `N` MiB of memory; 0 keeps none", func(c *train.Config) *int { return fresh(&c.Data.Cache) }),
	}
}

// kindUsage is the help of a flag that takes a kind of data.
func kindUsage() string {
	kinds := source.Kinds()
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	last := len(names) - 1
	return "`FORMAT` of the data: " + strings.Join(names[:last], ", ") + " or " + names[last]
}

// augmentSettings lists the flags of what changes training images at random.
// The bounds that have usual values are for configuration files alone.
func augmentSettings() []setting {
	return []setting{
		toggle("augment.flip", "flip", "mirror training images at random", func(c *train.Config) *bool { return &c.Augment.Flip }),
		integer("augment.pad_crop", "pad-crop", "0", "pad training images by `N` pixels and crop at random", func(c *train.Config) *int { return &c.Augment.PadCrop }),
		textOr("augment.pad_mode", "pad-mode", "reflect", "pad by `MODE`: reflect or zero", func(c *train.Config) *string { return &c.Augment.PadMode }),
		number("augment.resized_crop.min_scale", "resized-crop", "0: off", "scale a random part, of at least the `SHARE` of the area, to the input; 0.08 is usual for photographs",
			func(c *train.Config) *float64 { return &c.Augment.ResizedCrop.MinScale }),
		number("augment.erase.probability", "erase", "0: off", "blank a random rectangle with probability `P`; 0.5 is usual for persons", func(c *train.Config) *float64 { return &c.Augment.Erase.Probability }),
		number("augment.jitter.brightness", "brightness", "0", "multiply brightness at random by 1-`X` to 1+X", func(c *train.Config) *float64 { return &c.Augment.Jitter.Brightness }),
		number("augment.jitter.contrast", "contrast", "0", "likewise contrast, by `X`", func(c *train.Config) *float64 { return &c.Augment.Jitter.Contrast }),
		number("augment.jitter.saturation", "saturation", "0", "likewise saturation, by `X`", func(c *train.Config) *float64 { return &c.Augment.Jitter.Saturation }),
		number("augment.jitter.hue", "hue", "0", "turn the hue at random by up to `X` of the circle, at most 0.5", func(c *train.Config) *float64 { return &c.Augment.Jitter.Hue }),
	}
}

func applySize(cfg *train.Config, ctx *cli.Context) error {
	var rest string
	if n, _ := fmt.Sscanf(ctx.String("size")+" ", "%dx%d %s", &cfg.Data.Height, &cfg.Data.Width, &rest); n != 2 {
		return usagef("--size: %q is not of the form HxW, as in 32x32", ctx.String("size"))
	}
	return nil
}
