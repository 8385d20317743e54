package features

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/reid"
)

// ThresholdFormat is the version of the format that is written, and the newest
// that is read. The fingerprint of files of version 1 leaves out the metric.
const ThresholdFormat = 2

// ErrThreshold is wrapped by every fault of the content of a threshold's file.
var ErrThreshold = errors.New("bad threshold")

// Threshold tells one person from two by the distance of two images' features.
type Threshold struct {
	Format int `json:"format"`
	// Recipe is how the features were made: the threshold means nothing for
	// others.
	Recipe
	Metric reid.Metric `json:"metric"`
	// Threshold is the distance below which two images show one person.
	Threshold float64 `json:"threshold"`
	// WantedFPR is the false positive rate that was asked for; FPR and TPR are the
	// fractions of the pairs of two people, and of one, that are nearer than
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
	Data Data `json:"data"`
}

// NewThreshold makes a threshold of what was measured at a rate.
func NewThreshold(recipe Recipe, data Data, wanted float64, c *reid.Calibration) Threshold {
	return Threshold{Format: ThresholdFormat, Recipe: recipe, Metric: c.Metric, Threshold: c.Threshold, WantedFPR: wanted, FPR: c.FPR, TPR: c.TPR,
		AUC: c.AUC, EER: c.EER, SamePairs: c.Same, DifferentPairs: c.Different, Accepted: c.Accepted, Data: data}
}

// Same reports whether two images at a distance are taken to show one person.
func (t Threshold) Same(distance float64) bool { return distance < t.Threshold }

// Fingerprint identifies the features and the metric that t is about.
func (t Threshold) Fingerprint() string {
	if t.Format == 1 {
		return t.Recipe.Fingerprint()
	}
	sum := sha256.Sum256([]byte("dml threshold 2 " + t.Recipe.Fingerprint() + " " + string(t.Metric)))
	return hex.EncodeToString(sum[:])
}

// longestDistance is the largest distance of vectors of length 1 by any metric,
// and rounding bounds how far off the ends distances can be.
const longestDistance, rounding = 2, 1e-3

// Validate reports every fault of t, joined.
func (t Threshold) Validate() error {
	errs := []error{t.Recipe.Validate()}
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if t.Format < 1 || t.Format > ThresholdFormat {
		fault("format is %d, want %d", t.Format, ThresholdFormat)
	}
	if !slices.Contains(reid.Metrics(), t.Metric) {
		fault("the metric %.40q is not one of %q", t.Metric, reid.Metrics())
	}
	if !(t.Threshold >= -rounding && t.Threshold <= longestDistance+rounding) {
		fault("the threshold is %v, and %s distances of features of length 1 are from 0 to %d", t.Threshold, t.Metric, longestDistance)
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

// thresholdFile is the content of a threshold's file.
type thresholdFile struct {
	Fingerprint string `json:"fingerprint"`
	Threshold
}

// ReadThreshold reads a threshold. Faults of the content wrap ErrThreshold.
func ReadThreshold(path string) (Threshold, error) {
	data, err := files.Read(path)
	if err != nil {
		return Threshold{}, err
	}
	t, err := decodeThreshold(data)
	if err != nil {
		return Threshold{}, fmt.Errorf("%s: %w: %w", path, ErrThreshold, err)
	}
	return t, nil
}

func decodeThreshold(data []byte) (Threshold, error) {
	var f thresholdFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Threshold{}, err
	}
	if f.Format > ThresholdFormat {
		return Threshold{}, fmt.Errorf("it has format %d, and this program reads up to %d: use a newer one", f.Format, ThresholdFormat)
	}
	if err := need(data, "fingerprint", "format", "models", "preprocessing", "normalisation", "flip", "dim", "metric", "threshold",
		"wanted_fpr", "fpr", "tpr", "auc", "eer", "same_pairs", "different_pairs", "accepted", "data"); err != nil {
		return Threshold{}, err
	}
	if err := f.Validate(); err != nil {
		return Threshold{}, err
	}
	if want := f.Threshold.Fingerprint(); f.Fingerprint != want {
		return Threshold{}, fmt.Errorf("its fingerprint is %.12q, that of what it says %.12q: it was edited; calibrate again", f.Fingerprint, want)
	}
	return f.Threshold, nil
}

// need reports keys that a JSON object lacks.
func need(object []byte, keys ...string) error {
	var there map[string]json.RawMessage
	if err := json.Unmarshal(object, &there); err != nil {
		return err
	}
	var missing []string
	for _, key := range keys {
		if _, is := there[key]; !is {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("there is no %s", strings.Join(missing, ", no "))
	}
	return nil
}

// WriteThreshold writes a threshold. The file is whole or absent.
func WriteThreshold(path string, t Threshold) error {
	t.Format = ThresholdFormat
	if err := t.Validate(); err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrThreshold, err)
	}
	text, err := json.MarshalIndent(thresholdFile{t.Fingerprint(), t}, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return files.WriteFile(path, append(text, '\n'), 0o644)
}
