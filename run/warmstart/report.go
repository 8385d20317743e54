package warmstart

import (
	"fmt"
	"strings"

	"github.com/deepmutual/dml/models"
)

// Report says what became of a network's parameters and of a file's tensors.
type Report struct {
	File   string `json:"file"`
	Format Format `json:"format"`
	SHA256 string `json:"sha256"`
	// Matching is how layers were found: "names" or "structure".
	Matching string `json:"matching"`
	Naming   string `json:"naming,omitempty"` // of the library whose names they are
	// Values counts the parameters' values that were loaded, and Total all,
	// batch-norm statistics included.
	Values int `json:"values"`
	Total  int `json:"total"`

	Loaded  []Loaded `json:"loaded"`
	Neutral []string `json:"neutral,omitempty"` // parameters of batch norms that were folded
	Missing []Tensor `json:"missing,omitempty"` // parameters that keep their seeded values
	Skipped []Tensor `json:"skipped,omitempty"` // tensors of the file that were not taken

	// Compared says how far the outputs of the file and of the network are apart. It
	// is nil where they were not compared, and NotCompared says why; both are empty
	// for other formats than ONNX.
	Compared    *Comparison `json:"compared,omitempty"`
	NotCompared string      `json:"not_compared,omitempty"`
	// Calibrated is the number of samples that gave folded batch norms their
	// statistics.
	Calibrated int `json:"calibrated,omitempty"`

	Warnings []string `json:"warnings,omitempty"`
}

// Loaded is a parameter with the tensor that it was loaded from.
type Loaded struct {
	Parameter string `json:"parameter"`
	Tensor    string `json:"tensor"`
	Shape     []int  `json:"shape"`
}

// Comparison is the distance of two networks' outputs.
type Comparison struct {
	Output   string  `json:"output"`   // of the file
	Samples  int     `json:"samples"`  // of noise, the same for both
	Distance float64 `json:"distance"` // L2 norm of the difference, relative to that of the file's
}

// agree reports whether the outputs are equal but for rounding.
func (c *Comparison) agree() bool { return c != nil && c.Distance <= 0.01 }

// Tensor is a tensor that was left out.
type Tensor struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Summary says it in a line.
func (r *Report) Summary() string {
	parts := []string{fmt.Sprintf("%d of %d values loaded from %s (%s), matched by %s", r.Values, r.Total, r.File, r.Format, r.Matching)}
	if r.Naming != "" {
		parts[0] += " (" + r.Naming + ")"
	}
	for _, p := range []struct {
		n    int
		what string
	}{{len(r.Loaded), "loaded"}, {len(r.Neutral), "neutral"}, {len(r.Missing), "missing"}, {len(r.Skipped), "skipped"}} {
		parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
	}
	out := parts[0] + ": " + strings.Join(parts[1:], ", ")
	if r.Calibrated > 0 {
		out += fmt.Sprintf("; statistics of %d training samples for folded batch norms", r.Calibrated)
	}
	switch {
	case r.Compared != nil:
		out += fmt.Sprintf("; its %s differ by %.1g", r.Compared.Output, r.Compared.Distance)
	case r.NotCompared != "":
		out += "; outputs not compared: " + r.NotCompared
	}
	return out
}

// Rows returns a table, one row a parameter of the network in its order and
// then one a skipped tensor: parameter, what became of it, tensor or reason.
func (r *Report) Rows(net *models.Network) ([][]string, error) {
	params, err := net.Params()
	if err != nil {
		return nil, err
	}
	fate := make(map[string][]string)
	for _, l := range r.Loaded {
		fate[l.Parameter] = []string{l.Parameter, "loaded", l.Tensor}
	}
	for _, name := range r.Neutral {
		fate[name] = []string{name, "neutral", "the batch norm is folded into the convolution"}
	}
	for _, t := range r.Missing {
		fate[t.Name] = []string{t.Name, "missing", t.Reason}
	}
	var rows [][]string
	for _, p := range params {
		rows = append(rows, fate[p.Name])
	}
	for _, t := range r.Skipped {
		rows = append(rows, []string{t.Name, "skipped", t.Reason})
	}
	return rows, nil
}
