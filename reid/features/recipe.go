package features

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/deepmutual/dml/reid"
)

// Recipe is how features were made: all that two sets of them must have in
// common for distances between them to mean anything.
type Recipe struct {
	// Models whose features are put side by side, in this order.
	Models        []Model       `json:"models"`
	Preprocessing Preprocessing `json:"preprocessing"`
	// Normalisation of a row: L2.
	Normalisation string `json:"normalisation"`
	// Flip says that a row is the mean of an image's features and its mirror
	// image's.
	Flip bool `json:"flip"`
	// Dim is the number of features of an image.
	Dim int `json:"dim"`
}

// L2 is the normalisation of rows to length 1.
const L2 = "l2"

// Model is a file that features were made with.
type Model struct {
	File     string `json:"file"` // its name, without folders; for people
	SHA256   string `json:"sha256"`
	Features int    `json:"features,omitempty"` // how many, of an image; 0 where it is not known
}

// Preprocessing is what happens to an image before the models see it.
type Preprocessing struct {
	// Preset is the name, or file, of the way to prepare images that was asked
	// for; "" where the models say it themselves. For people: what it stands for
	// follows.
	Preset        string    `json:"preset,omitempty"`
	Height        int       `json:"height"`
	Width         int       `json:"width"`
	Interpolation string    `json:"interpolation"`
	Crop          float64   `json:"crop,omitempty"` // the share of the shorter side that a central crop keeps
	Mean          []float32 `json:"mean"`
	Std           []float32 `json:"std"`
	ChannelOrder  string    `json:"channel_order"`
	Layout        string    `json:"layout"`
	// Output of the models that is taken where none is called an embedding.
	Output string `json:"output,omitempty"`
}

// Fingerprint is a text that is the same for recipes whose features can be
// compared, and for no others: the SHA-256, in hexadecimal, of what matters.
func (r Recipe) Fingerprint() string {
	sums := make([]string, len(r.Models))
	for i, m := range r.Models {
		sums[i] = m.SHA256
	}
	p := r.Preprocessing
	p.Preset = ""
	p.Mean, p.Std = append([]float32{}, p.Mean...), append([]float32{}, p.Std...) // none is as good as empty
	// The order of fields and the form of numbers are encoding/json's, which
	// keeps them; Validate refuses the numbers that it cannot write.
	text, err := json.Marshal(struct {
		Format        string
		Models        []string
		Preprocessing Preprocessing
		Normalisation string
		Flip          bool
		Dim           int
	}{"dml features 1", sums, p, r.Normalisation, r.Flip, r.Dim})
	if err != nil {
		text = fmt.Appendf(nil, "%+v", r)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// MismatchError says that two sets of features cannot be compared, and why.
// errors.Is finds reid.ErrFingerprint in it.
type MismatchError struct {
	Name, Other string   // of the sets
	Differences []string // such as "flip: true, and false"
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s and %s: %v: %s", e.Name, e.Other, reid.ErrFingerprint, strings.Join(e.Differences, "; "))
}

func (e *MismatchError) Unwrap() error { return reid.ErrFingerprint }

// Match returns nil where the features of r and other can be compared, else a
// *MismatchError that calls them by these names.
func (r Recipe) Match(name string, other Recipe, otherName string) error {
	if r.Fingerprint() == other.Fingerprint() {
		return nil
	}
	e := &MismatchError{Name: name, Other: otherName}
	differ := func(what string, a, b any) {
		if x, y := fmt.Sprint(a), fmt.Sprint(b); x != y {
			e.Differences = append(e.Differences, fmt.Sprintf("%s: %s, and %s", what, x, y))
		}
	}
	e.Differences = append(e.Differences, modelDifferences(r.Models, other.Models)...)
	p, q := r.Preprocessing, other.Preprocessing
	differ("images of height x width", fmt.Sprintf("%dx%d", p.Height, p.Width), fmt.Sprintf("%dx%d", q.Height, q.Width))
	differ("interpolation", p.Interpolation, q.Interpolation)
	differ("crop", p.Crop, q.Crop)
	differ("mean", p.Mean, q.Mean)
	differ("std", p.Std, q.Std)
	differ("channel order", p.ChannelOrder, q.ChannelOrder)
	differ("layout", p.Layout, q.Layout)
	differ("output", cmp.Or(p.Output, "embedding"), cmp.Or(q.Output, "embedding"))
	differ("normalisation", r.Normalisation, other.Normalisation)
	differ("flip", r.Flip, other.Flip)
	differ("features of an image", r.Dim, other.Dim)
	return e
}

// modelDifferences compares models by their content.
func modelDifferences(a, b []Model) []string {
	if len(a) != len(b) {
		return []string{fmt.Sprintf("models: %d, and %d", len(a), len(b))}
	}
	var out []string
	for i := range a {
		if a[i].SHA256 != b[i].SHA256 {
			out = append(out, fmt.Sprintf("model %d: %s (SHA-256 %.12s), and %s (%.12s)", i+1, a[i].File, a[i].SHA256, b[i].File, b[i].SHA256))
		}
	}
	return out
}

// Validate reports every fault of r, joined.
func (r Recipe) Validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(r.Models) == 0 {
		fault("models: there are none")
	}
	for i, m := range r.Models {
		if sum, err := hex.DecodeString(m.SHA256); err != nil || len(sum) != sha256.Size || strings.ToLower(m.SHA256) != m.SHA256 {
			fault("models: number %d has the SHA-256 %.80q, which is not one", i+1, m.SHA256)
		}
		if m.Features < 0 {
			fault("models: number %d has %d features", i+1, m.Features)
		}
	}
	if r.Dim < 1 {
		fault("dim is %d", r.Dim)
	}
	if r.Normalisation != L2 {
		fault("normalisation is %.40q, want %q", r.Normalisation, L2)
	}
	p := r.Preprocessing
	if p.Height < 1 || p.Width < 1 {
		fault("preprocessing: height and width are %d and %d", p.Height, p.Width)
	}
	finite := func(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
	for _, v := range slices.Concat(p.Mean, p.Std, []float32{float32(p.Crop)}) {
		if !finite(float64(v)) {
			fault("preprocessing: %v among its numbers", v)
		}
	}
	return errors.Join(errs...)
}
