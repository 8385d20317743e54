// Package features reads and writes the files of re-identification features:
// matrices as NumPy files (.npy) of a row an image, and labels as CSV files of a
// row for each of theirs, in the same order:
//
//	name,pid,camid
//	0002_c1s1_000451_03.jpg,2,1
//
// Package extract makes folders of such files, which a Manifest describes.
//
// The NumPy format is read here, not by a library: the one at hand panics on
// damaged headers, allocates what a header claims, and writes no float32
// matrices.
package features

import (
	"fmt"

	"github.com/deepmutual/dml/reid"
)

// Load reads features and their labels. The set is called after the file of
// the features. That the numbers are usable is for reid.Evaluate to check.
func Load(npy, csv string) (reid.Set, []Row, error) { return load(npy, csv, true) }

func load(npy, csv string, known bool) (reid.Set, []Row, error) {
	rows, err := read(csv, known)
	if err != nil {
		return reid.Set{}, nil, err
	}
	m, err := ReadNPY(npy)
	if err != nil {
		return reid.Set{}, nil, err
	}
	if m.Rows != len(rows) {
		return reid.Set{}, nil, fmt.Errorf("%w: %s has %d rows, %s has %d; they must describe the same images in the same order", reid.ErrCount, npy, m.Rows, csv, len(rows))
	}
	s := reid.Set{Name: npy, Features: m.Data, Dim: m.Dim, Labels: make([]reid.Label, len(rows))}
	for i, r := range rows {
		s.Labels[i] = r.Label
	}
	return s, rows, nil
}
