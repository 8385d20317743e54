package features

import (
	"fmt"
	"path/filepath"

	"github.com/deepmutual/dml/reid"
)

// LoadPart reads a part of a folder of features, whose manifest m is. Images
// need not be known, as in ReadList. The set is called after the file of the
// features. Counts that are not the manifest's wrap reid.ErrCount, another number
// of features reid.ErrDimension.
func LoadPart(dir string, m Manifest, part string) (reid.Set, []Row, error) {
	p, there := m.Part(part)
	if !there {
		return reid.Set{}, nil, fmt.Errorf("%s: %w of a part %s", dir, reid.ErrEmpty, part)
	}
	npy := filepath.Join(dir, part+".npy")
	s, rows, err := load(npy, filepath.Join(dir, part+".csv"), false)
	if err != nil {
		return reid.Set{}, nil, err
	}
	manifest := filepath.Join(dir, ManifestFile)
	if len(rows) != p.Rows {
		return reid.Set{}, nil, fmt.Errorf("%w: %s has %d rows, %s says %d; extract the features again", reid.ErrCount, npy, len(rows), manifest, p.Rows)
	}
	if s.Dim != m.Dim {
		return reid.Set{}, nil, fmt.Errorf("%w: %s has rows of %d features, %s says %d; extract the features again", reid.ErrDimension, npy, s.Dim, manifest, m.Dim)
	}
	return s, rows, nil
}
