package extract

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"

	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// finish makes the files of rows that are all there, the manifest last.
func (r *run) finish(ctx context.Context, dir string) (features.Manifest, error) {
	m := features.Manifest{Format: features.ManifestFormat, Recipe: r.plan.Recipe, Data: r.plan.Data, Pooling: r.plan.Pooling,
		Skipped: r.journal.skipped(r.src.Parts)}
	for _, p := range r.src.Parts {
		if r.journal.done[p.Name].rows == 0 {
			first := r.journal.done[p.Name].skipped[0]
			return m, fmt.Errorf("%s: %w of the %s part can be read: all %d are skipped, such as %s: %s",
				r.src.Data.Path, reid.ErrEmpty, p.Name, len(p.Images), r.src.file(p.Images[first.Image]), first.Reason)
		}
	}
	// A manifest that is there, of files that were lost, must not vouch for
	// those that are being written.
	if err := os.Remove(filepath.Join(dir, features.ManifestFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	for _, p := range r.src.Parts {
		if err := ctx.Err(); err != nil {
			return m, context.Cause(ctx)
		}
		rows, err := r.finishPart(dir, p)
		if err != nil {
			return m, err
		}
		m.Parts = append(m.Parts, features.Part{Name: p.Name, Images: len(p.Images), Skipped: len(r.journal.done[p.Name].skipped), Rows: rows})
	}
	return m, features.WriteManifest(dir, m)
}

func (r *run) finishPart(dir string, p Part) (rows int, err error) {
	f, err := os.Open(r.journal.rows(p.Name))
	if err != nil {
		return 0, err
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	kept := r.journal.kept(p)
	var in io.Reader = f
	labels := make([]features.Row, 0, len(kept))
	if r.plan.Pooling == features.PoolTrack {
		groups := tracks(p, kept)
		for _, g := range groups {
			labels = append(labels, p.Images[kept[g[0]]])
		}
		in = newPooler(f, groups, r.plan.Recipe.Dim)
	} else {
		for _, i := range kept {
			labels = append(labels, p.Images[i])
		}
	}
	if err := features.CopyNPY(filepath.Join(dir, p.Name+".npy"), len(labels), r.plan.Recipe.Dim, in); err != nil {
		return 0, err
	}
	return len(labels), features.WriteLabels(filepath.Join(dir, p.Name+".csv"), labels)
}

// tracks reports whether any image is of a track.
func (s *Source) tracks() bool {
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
func tracks(p Part, kept []int) [][]int {
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

// pooler reads the rows' means by group, scaled to length 1, as CopyNPY takes
// them. It holds one row at a time, wherever those of a group lie.
type pooler struct {
	rows   io.ReaderAt
	groups [][]int
	sum    []float64
	mean   []float32
	row    []byte
	rest   []byte // of the mean that is being read
}

func newPooler(rows io.ReaderAt, groups [][]int, dim int) *pooler {
	return &pooler{rows: rows, groups: groups, sum: make([]float64, dim), mean: make([]float32, dim), row: make([]byte, 4*dim)}
}

func (p *pooler) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		if len(p.groups) == 0 {
			return 0, io.EOF
		}
		if err := p.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func (p *pooler) next() error {
	clear(p.sum)
	for _, i := range p.groups[0] {
		if _, err := p.rows.ReadAt(p.row, int64(i)*int64(len(p.row))); err != nil {
			return err
		}
		for k := range p.sum {
			p.sum[k] += float64(math.Float32frombits(binary.LittleEndian.Uint32(p.row[4*k:])))
		}
	}
	if len(p.groups[0]) > 1 { // a row alone stays as it is, to the bit
		n := float64(len(p.groups[0]))
		for k, v := range p.sum {
			p.mean[k] = float32(v / n)
		}
		normalise(p.mean)
		for k, v := range p.mean {
			binary.LittleEndian.PutUint32(p.row[4*k:], math.Float32bits(v))
		}
	}
	p.groups, p.rest = p.groups[1:], p.row
	return nil
}
