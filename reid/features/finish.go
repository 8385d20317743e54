package features

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/reid"
)

// write makes the files of rows that are all there, the manifest last.
func (r *run) write(ctx context.Context, dir string, data Data, listing []byte, j *journal) (Manifest, error) {
	if err := r.held(); err != nil {
		return Manifest{}, err
	}
	m := Manifest{Format: ManifestFormat, Recipe: r.recipe, Data: data, Pooling: r.opts.Pooling, Skipped: r.done.skipped(r.images.Parts)}
	// A manifest that is there, of files that were lost, must not vouch for
	// those that are being written.
	if err := os.Remove(filepath.Join(dir, ManifestFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	for _, p := range r.images.Parts {
		if err := ctx.Err(); err != nil {
			return m, context.Cause(ctx)
		}
		if err := r.held(); err != nil {
			return m, err
		}
		part, err := r.writePart(dir, p, j)
		if err != nil {
			return m, err
		}
		m.Parts = append(m.Parts, part)
	}
	if err := files.WriteFile(filepath.Join(dir, imagesFile), listing, 0o644); err != nil {
		return m, err
	}
	if err := r.held(); err != nil { // before what vouches for the files
		return m, err
	}
	return m, WriteManifest(dir, m)
}

func (r *run) writePart(dir string, p ImagesPart, j *journal) (part Part, err error) {
	f, err := os.Open(j.path(p.Name))
	if err != nil {
		return part, err
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	labels, groups := r.grouped(p)
	buf := make([]byte, j.width)
	row := func(i int, row []float32) error {
		if _, err := f.ReadAt(buf, int64(i)*int64(len(buf))); err != nil {
			return err
		}
		for k := range row {
			row[k] = math.Float32frombits(binary.LittleEndian.Uint32(buf[4*k:]))
		}
		return nil
	}
	text, err := labelsText(labels)
	if err != nil {
		return part, err
	}
	part = Part{Name: p.Name, Images: len(p.Images), Skipped: len(r.done[p.Name].skipped), Rows: len(labels), LabelsSHA256: sha256Of(text)}
	if part.FeaturesSHA256, err = writeRows(filepath.Join(dir, p.Name+".npy"), len(labels), r.recipe.Dim, pooled(groups, row, r.recipe.Dim)); err != nil {
		return part, err
	}
	return part, files.WriteFile(filepath.Join(dir, p.Name+".csv"), text, 0o644)
}

// grouped returns the labels of the rows of a part, and which rows of its images
// each is the mean of.
func (r *run) grouped(p ImagesPart) (labels []Row, groups [][]int) {
	kept := r.done.kept(p)
	if r.opts.Pooling == PoolTrack {
		groups = tracks(p, kept)
	} else {
		all := make([]int, len(kept))
		for i := range all {
			all[i] = i
			groups = append(groups, all[i:i+1])
		}
	}
	for _, g := range groups {
		labels = append(labels, p.Images[kept[g[0]]])
	}
	return labels, groups
}

func sha256Of(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// tracks reports whether any image is of a track.
func (s *Images) tracks() bool {
	for _, p := range s.Parts {
		for _, r := range p.Images {
			if r.Track != "" {
				return true
			}
		}
	}
	return false
}

// tracks groups the rows of a part, which are of the images kept, by person,
// camera and track, in the order of each one's first.
func tracks(p ImagesPart, kept []int) [][]int {
	type track struct {
		reid.Label
		name string
	}
	place := make(map[track]int)
	var groups [][]int
	for row, i := range kept {
		image := p.Images[i]
		key := track{image.Label, image.Track}
		at, there := place[key]
		if !there || image.Track == "" {
			at = len(groups)
			place[key] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], row)
	}
	return groups
}

// pooled returns a function that sets a row to the mean of a group, scaled to
// length 1, given one that sets it to a single one. It holds one row at a time,
// wherever those of a group lie.
func pooled(groups [][]int, single func(i int, row []float32) error, dim int) func(i int, row []float32) error {
	sum := make([]float64, dim)
	return func(i int, row []float32) error {
		g := groups[i]
		if len(g) == 1 { // it stays as it is, to the bit
			return single(g[0], row)
		}
		clear(sum)
		for _, k := range g {
			if err := single(k, row); err != nil {
				return err
			}
			for k, v := range row {
				sum[k] += float64(v)
			}
		}
		for k, v := range sum {
			row[k] = float32(v / float64(len(g)))
		}
		normalise(row)
		return nil
	}
}
