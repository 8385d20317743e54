package features

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/deepmutual/dml/reid"
)

// LoadPart reads a part of a folder of features, whose manifest m is. Images
// need not be known, as in ReadList. The set is called after the file of the
// features. Counts that are not the manifest's wrap reid.ErrCount, another number
// of features reid.ErrDimension.
func LoadPart(dir string, m Manifest, part string) (reid.Set, []Row, error) {
	p, there := m.Part(part)
	if !there {
		var others []string
		for _, p := range m.Parts {
			others = append(others, p.Name)
		}
		return reid.Set{}, nil, fmt.Errorf("%s: %w of a part %s: %s has only %s", dir, reid.ErrEmpty, part, m.Data.Path, strings.Join(others, ", "))
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

// PartWhole tells whether the files of a part are as long as the manifest m of the
// folder says. The features themselves are not read.
func PartWhole(dir string, m Manifest, part string) bool {
	p, there := m.Part(part)
	if !there {
		return false
	}
	info, err := os.Stat(filepath.Join(dir, part+".npy"))
	if err != nil || info.Size() != int64(len(npyHeader(p.Rows, m.Dim)))+4*int64(p.Rows)*int64(m.Dim) {
		return false
	}
	rows, err := ReadList(filepath.Join(dir, part+".csv"))
	return err == nil && len(rows) == p.Rows
}
