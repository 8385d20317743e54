package train

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/deepmutual/dml/dataset/source"
)

// DataConfig names the training data.
type DataConfig struct {
	Path string `yaml:"path"`
	// Kind of data, one of source.Kinds; default: recognised.
	Kind source.Kind `yaml:"kind,omitempty"`
	// Pattern of the file names of a re-identification data set, as
	// market1501.ParsePattern reads it; a folder is taken for such a data set
	// then. Default: recognised.
	Pattern string `yaml:"pattern,omitempty"`
	// Limit uses only this many of the training samples, those set aside for
	// validation included, chosen by the seed in proportion to the classes; 0
	// means all.
	Limit int `yaml:"limit,omitempty"`
	// Validation is the fraction of the training samples set aside to choose
	// the best checkpoint by, where the data has no validation part; default
	// 0.1. Test data is never read in training.
	Validation float64 `yaml:"validation"`
	// Height and Width of the students' input; default: those of the images.
	Height int `yaml:"height,omitempty"`
	Width  int `yaml:"width,omitempty"`
	// Cache is the memory, in MiB, to keep decoded images in; 0 keeps none.
	// Default 1024. It changes the speed alone.
	Cache *int `yaml:"cache,omitempty"`
}

// withDefaults returns d with every default written out.
func (d DataConfig) withDefaults() DataConfig {
	setDefault(&d.Validation, 0.1)
	setDefault(&d.Cache, new(1024))
	return d
}

// faults lists every fault. Each names its key.
func (d DataConfig) faults() []error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(d.Path != "", "data.path: missing; give the folder or file of the data")
	check(utf8.ValidString(d.Path), "data.path: %q is not valid UTF-8, which a configuration file cannot hold; rename or link it", d.Path)
	check(d.Kind == source.Auto || slices.Contains(source.Kinds(), d.Kind), "data.kind: %q is unknown; use one of %v", d.Kind, source.Kinds())
	if err := (source.Options{Pattern: d.Pattern}).Validate(); err != nil {
		faults = append(faults, fmt.Errorf("data.pattern: %w", err))
	} else if d.Pattern != "" && slices.Contains(source.Kinds(), d.Kind) {
		check(d.Kind == source.Market1501, "data.pattern: it is for data of the kind %s, not %s", source.Market1501, d.Kind)
	}
	check(d.Limit >= 0, "data.limit: %d is negative", d.Limit)
	check(d.Validation > 0 && d.Validation < 1, "data.validation: %g is not between 0 and 1", d.Validation)
	check(d.Height >= 0 && d.Width >= 0 && (d.Height == 0) == (d.Width == 0),
		"data.height, data.width: %d and %d; give both or neither", d.Height, d.Width)
	check(d.Height <= maxSide && d.Width <= maxSide, "data.height, data.width: %d and %d; at most %d", d.Height, d.Width, maxSide)
	check(*d.Cache >= 0 && *d.Cache <= maxCache, "data.cache: %d is not between 0 (none) and %d MiB", *d.Cache, maxCache)
	return faults
}
