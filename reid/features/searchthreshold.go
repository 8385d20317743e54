package features

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/reid"
)

// ErrSearchThreshold is wrapped by every fault of a search threshold's content.
var ErrSearchThreshold = errors.New("bad threshold of searches")

// searchKind tells files of SearchThreshold from those of pairs.
const searchKind = "search"

// SearchThreshold says up to which distance a gallery's search finds somebody. It
// is for features of one recipe, and for galleries of about one size.
type SearchThreshold struct {
	Format int    `json:"format"` // 1
	Kind   string `json:"kind"`   // "search"
	Recipe
	// Wanted is the rate of false alarms per search that was asked for.
	Wanted float64 `json:"wanted_false_alarms"`
	reid.SearchCalibration
	// Data that was measured on.
	Data Data `json:"data"`
}

// Images is the size of the galleries that the threshold is for.
func (t SearchThreshold) Images() int {
	if len(t.Sizes) == 0 {
		return 0
	}
	return t.Sizes[len(t.Sizes)-1].Images
}

// Validate reports every fault of t, joined.
func (t SearchThreshold) Validate() error {
	errs := []error{t.Recipe.Validate()}
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if t.Format != 1 {
		fault("format is %d, want 1", t.Format)
	}
	if t.Kind != searchKind {
		fault("kind is %.40q, want %q: a threshold of pairs is far too large for searches; make one with dml reid calibrate --search", t.Kind, searchKind)
	}
	if !slices.Contains(reid.Metrics(), t.Metric) {
		fault("the metric %.40q is not one of %q", t.Metric, reid.Metrics())
	}
	if !(t.Threshold > 0 && t.Threshold < 1e18) || t.Metric == reid.Cosine && t.Threshold > 2 {
		fault("the threshold is %v", t.Threshold)
	}
	for name, v := range map[string]float64{"wanted_false_alarms": t.Wanted, "false_alarms": t.FalseAlarms, "identified": t.Identified} {
		if !(v >= 0 && v <= 1) {
			fault("%s is %v, not between 0 and 1", name, v)
		}
	}
	if t.Searches < 1 || t.Images() < 1 {
		fault("there are %d searches, and a gallery of %d images", t.Searches, t.Images())
	}
	return errors.Join(errs...)
}

type searchFile struct {
	Fingerprint string `json:"fingerprint"`
	SearchThreshold
}

// ReadSearchThreshold reads what WriteSearchThreshold wrote. Faults of the content
// wrap ErrSearchThreshold.
func ReadSearchThreshold(path string) (SearchThreshold, error) {
	data, err := files.Read(path)
	if err != nil {
		return SearchThreshold{}, err
	}
	var f searchFile
	if err = json.Unmarshal(data, &f); err == nil {
		if err = f.Validate(); err == nil && f.Fingerprint != f.Recipe.Fingerprint() {
			err = fmt.Errorf("its fingerprint is %.12q, that of what it says %.12q: it was edited; calibrate again", f.Fingerprint, f.Recipe.Fingerprint())
		}
	}
	if err != nil {
		return SearchThreshold{}, fmt.Errorf("%s: %w: %w", path, ErrSearchThreshold, err)
	}
	return f.SearchThreshold, nil
}

// WriteSearchThreshold writes a threshold, whose Format and Kind it sets. The file
// is whole or absent.
func WriteSearchThreshold(path string, t SearchThreshold) error {
	t.Format, t.Kind = 1, searchKind
	if err := t.Validate(); err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrSearchThreshold, err)
	}
	text, err := json.MarshalIndent(searchFile{t.Fingerprint(), t}, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return files.WriteFile(path, append(text, '\n'), 0o644)
}
