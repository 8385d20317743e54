// Package calibration reads and writes the files of thresholds: the distance
// below which two images are taken to show one person, with what it was measured
// on and the models whose features it is about.
package calibration

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// Format is the version of the format that is written, and the newest that is
// read.
const Format = 1

// ErrThreshold is wrapped by every fault of a file's content.
var ErrThreshold = errors.New("bad threshold")

// Threshold tells one person from two by the distance of two images' features.
type Threshold struct {
	Format int `json:"format"`
	// Recipe is how the features were made: the threshold means nothing for
	// others.
	features.Recipe
	Metric reid.Metric `json:"metric"`
	// Threshold is the distance below which two images show one person.
	Threshold float64 `json:"threshold"`
	// WantedFPR is the false positive rate that was asked for; FPR and TPR are the
	// fractions of the pairs of two persons, and of one, that are nearer than
	// Threshold.
	WantedFPR float64 `json:"wanted_fpr"`
	FPR       float64 `json:"fpr"`
	TPR       float64 `json:"tpr"`
	AUC       float64 `json:"auc"` // see reid.Calibration
	EER       float64 `json:"eer"` // see reid.Calibration
	// SamePairs and DifferentPairs are how many pairs were compared, of one
	// person and of two; Accepted are those of two that are nearer than Threshold.
	SamePairs      int64 `json:"same_pairs"`
	DifferentPairs int64 `json:"different_pairs"`
	Accepted       int64 `json:"accepted"`
	// Data that was measured on.
	Data features.Data `json:"data"`
}

// New makes a threshold of what was measured at a rate.
func New(recipe features.Recipe, data features.Data, wanted float64, c *reid.Calibration) Threshold {
	return Threshold{Format: Format, Recipe: recipe, Metric: c.Metric, Threshold: c.Threshold, WantedFPR: wanted, FPR: c.FPR, TPR: c.TPR,
		AUC: c.AUC, EER: c.EER, SamePairs: c.Same, DifferentPairs: c.Different, Accepted: c.Accepted, Data: data}
}

// Same reports whether two images at a distance are taken to show one person.
func (t Threshold) Same(distance float64) bool { return distance < t.Threshold }

// Validate reports every fault of t, joined.
func (t Threshold) Validate() error {
	errs := []error{t.Recipe.Validate()}
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if t.Format != Format {
		fault("format is %d, want %d", t.Format, Format)
	}
	if !slices.Contains(reid.Metrics(), t.Metric) {
		fault("the metric %.40q is none of %q", t.Metric, reid.Metrics())
	}
	if math.IsNaN(t.Threshold) || math.IsInf(t.Threshold, 0) {
		fault("the threshold is %v", t.Threshold)
	}
	for _, rate := range []struct {
		name  string
		value float64
	}{{"wanted_fpr", t.WantedFPR}, {"fpr", t.FPR}, {"tpr", t.TPR}, {"auc", t.AUC}, {"eer", t.EER}} {
		if !(rate.value >= 0 && rate.value <= 1) {
			fault("%s is %v, not between 0 and 1", rate.name, rate.value)
		}
	}
	if t.SamePairs < 1 || t.DifferentPairs < 1 || t.Accepted < 0 || t.Accepted > t.DifferentPairs {
		fault("there are %d pairs of one person and %d of two, %d of these nearer", t.SamePairs, t.DifferentPairs, t.Accepted)
	}
	return errors.Join(errs...)
}

// file is the content of a threshold's file.
type file struct {
	Fingerprint string `json:"fingerprint"`
	Threshold
}

// Read reads a threshold. Faults of the content wrap ErrThreshold.
func Read(path string) (Threshold, error) {
	data, err := files.Read(path)
	if err != nil {
		return Threshold{}, err
	}
	t, err := decode(data)
	if err != nil {
		return Threshold{}, fmt.Errorf("%s: %w: %w", path, ErrThreshold, err)
	}
	return t, nil
}

func decode(data []byte) (Threshold, error) {
	var f file
	if err := json.Unmarshal(data, &f); err != nil {
		return Threshold{}, err
	}
	if f.Format > Format {
		return Threshold{}, fmt.Errorf("it has format %d, and this program reads up to %d: use a newer one", f.Format, Format)
	}
	if err := f.Validate(); err != nil {
		return Threshold{}, err
	}
	if want := f.Recipe.Fingerprint(); f.Fingerprint != want {
		return Threshold{}, fmt.Errorf("its fingerprint is %.12q, that of what it says %.12q: it was edited; calibrate again", f.Fingerprint, want)
	}
	return f.Threshold, nil
}

// Write writes a threshold. The file is whole or absent.
func Write(path string, t Threshold) error {
	t.Format = Format
	if err := t.Validate(); err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrThreshold, err)
	}
	text, err := json.MarshalIndent(file{t.Fingerprint(), t}, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return files.WriteFile(path, append(text, '\n'), 0o644)
}
