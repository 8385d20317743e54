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

func sha256Of(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
