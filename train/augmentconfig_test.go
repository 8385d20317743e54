package train

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset"
)

// fill gives every number below v another value, and every switch true.
func fill(v reflect.Value, next *float64) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	case reflect.Float64:
		*next += 0.01
		v.SetFloat(*next)
	case reflect.Int:
		v.SetInt(3)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("zero")
	}
}

// TestAugmentConfigReachesTheLoader: every setting has its place in the
// augmentation, and survives the defaults.
func TestAugmentConfigReachesTheLoader(t *testing.T) {
	var cfg AugmentConfig
	next := 0.0
	fill(reflect.ValueOf(&cfg).Elem(), &next)
	if got := cfg.withDefaults(); got != cfg {
		t.Errorf("defaults changed %+v to %+v", cfg, got)
	}
	want := dataset.Augment{
		ResizedCrop: dataset.ResizedCrop{MinScale: cfg.ResizedCrop.MinScale, MaxScale: cfg.ResizedCrop.MaxScale, MinRatio: cfg.ResizedCrop.MinRatio, MaxRatio: cfg.ResizedCrop.MaxRatio},
		PadCrop:     3, PadMode: dataset.PadZero, Flip: true,
		Jitter: dataset.Jitter{Brightness: cfg.Jitter.Brightness, Contrast: cfg.Jitter.Contrast, Saturation: cfg.Jitter.Saturation, Hue: cfg.Jitter.Hue},
		Erase:  dataset.Erase{Probability: cfg.Erase.Probability, MinArea: cfg.Erase.MinArea, MaxArea: cfg.Erase.MaxArea, MinAspect: cfg.Erase.MinAspect, MaxAspect: cfg.Erase.MaxAspect},
	}
	if got := cfg.augment(); got != want || next < 0.125 { // thirteen numbers
		t.Errorf("augmentation %+v, want %+v", got, want)
	}
}

func TestAugmentDefaults(t *testing.T) {
	if got := (AugmentConfig{}).withDefaults(); got != (AugmentConfig{PadMode: "reflect"}) {
		t.Errorf("without augmentation: %+v", got)
	}
	got := AugmentConfig{ResizedCrop: ResizedCropConfig{MinScale: 0.08}, Erase: EraseConfig{Probability: 0.5}}.withDefaults()
	if got.ResizedCrop != (ResizedCropConfig{0.08, 1, 0.75, 4.0 / 3}) || got.Erase != (EraseConfig{0.5, 0.02, 0.4, 0.3, 1 / 0.3}) {
		t.Errorf("%+v", got)
	}
}

func TestDataAndAugmentFaults(t *testing.T) {
	cfg := tinyConfig()
	cfg.Data = DataConfig{Kind: "folder", Pattern: "(", Limit: -1, Validation: 2, Height: 5000, Width: 5000, Cache: new(-1)}
	cfg.Augment = AugmentConfig{PadCrop: -1, PadMode: "mirror", ResizedCrop: ResizedCropConfig{MinScale: 2, MinRatio: 5},
		Erase: EraseConfig{MinArea: 0.1}, Jitter: JitterConfig{-1, -1, -1, 0.6}}
	err := cfg.WithDefaults().Validate()
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("error %v", err)
	}
	keys := []string{"data.path", "data.kind", "data.pattern", "data.limit", "data.validation", "data.height, data.width", "data.cache",
		"augment.pad_crop", "augment.pad_mode", "augment.resized_crop.min_scale", "augment.erase.probability",
		"augment.jitter.brightness", "augment.jitter.contrast", "augment.jitter.saturation", "augment.jitter.hue"}
	for _, key := range keys {
		if !strings.Contains(err.Error(), key+": ") {
			t.Errorf("no fault names %s:\n%v", key, err)
		}
	}
	if n := len(joined.Unwrap()); n != len(keys) {
		t.Errorf("%d faults, want %d:\n%v", n, len(keys), err)
	}
}

// TestCacheMayChange: a run goes on with another cache, but not with another
// augmentation.
func TestCacheMayChange(t *testing.T) {
	cfg := tinyConfig()
	states := newSession(t, cfg).States()
	cfg.Data.Cache = new(0)
	if err := newSession(t, cfg).Restore(states); err != nil {
		t.Errorf("another cache: %v", err)
	}
	cfg.Augment.Erase.Probability = 0.5
	if err := newSession(t, cfg).Restore(states); !errors.Is(err, ErrOtherRun) || !strings.Contains(err.Error(), "augment.erase.probability") {
		t.Errorf("another augmentation: %v", err)
	}
}
