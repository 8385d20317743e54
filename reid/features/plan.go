package features

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/deepmutual/dml/internal/files"
)

// ErrResume: an extraction that was interrupted, or is complete, cannot go on as
// another.
var ErrResume = errors.New("another extraction")

// partialDir is the folder of the work that is not done yet.
const partialDir = ".partial"

// interrupted reports whether the folder dir holds work that is not done yet,
// with which Extract would go on.
func interrupted(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, partialDir))
	return err == nil
}

// plan is all that the result of an extraction depends on.
type plan struct {
	Recipe  Recipe `json:"recipe"`
	Data    Data   `json:"data"`
	Batch   int    `json:"batch"`
	Pooling string `json:"pooling"`
}

// differences tells how q differs from p; nil where it does not.
func (p plan) differences(q plan) []string {
	var out []string
	var mismatch *MismatchError
	if errors.As(p.Recipe.Match("it", q.Recipe, "this one"), &mismatch) {
		out = mismatch.Differences
	}
	differ := func(what string, a, b any) {
		if a != b {
			out = append(out, fmt.Sprintf("%s: %v, and %v", what, a, b))
		}
	}
	differ("pooling", orNone(p.Pooling), orNone(q.Pooling))
	differ("pattern of file names", orNone(p.Data.Pattern), orNone(q.Data.Pattern))
	differ("data without queries", p.Data.Undivided, q.Data.Undivided)
	if p.Data.SHA256 != q.Data.SHA256 {
		out = append(out, fmt.Sprintf("data: the images, their sizes or labels of %s then, and of %s now, are not the same", p.Data.Path, q.Data.Path))
	}
	return out
}

// changes are differences that matter only while batches are still to come.
func (p plan) changes(q plan) []string {
	out := p.differences(q)
	if p.Data.SHA256 == q.Data.SHA256 && p.Data.ImagesSHA256 != q.Data.ImagesSHA256 {
		out = append(out, "data: images were changed in between, by their times of change")
	}
	if p.Batch != q.Batch {
		out = append(out, fmt.Sprintf("images at a time: %d, and %d", p.Batch, q.Batch))
	}
	return out
}

func orNone(name string) string {
	if name == "" {
		return "none"
	}
	return name
}

// complete returns the manifest of dir where the same extraction is done there,
// and its files are of the length that it says: one that was cut off is made
// again. Where it was another one, or others' files are in the way, that is an
// error, as are images and files that were changed since. The listing is of the
// images now.
func (p plan) complete(dir string, parts []ImagesPart, listing []byte) (Manifest, bool, error) {
	m, err := ReadManifest(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return m, false, fmt.Errorf("%w; choose another folder, or remove %s", err, dir)
	}
	whole := err == nil
	if whole {
		before := plan{Recipe: m.Recipe, Data: m.Data, Pooling: m.Pooling}
		if d := before.differences(p); len(d) > 0 {
			return m, false, fmt.Errorf("%s holds the features of %w: %s; choose another folder, or remove it", dir, ErrResume, strings.Join(d, "; "))
		}
		if old := m.Data.ImagesSHA256; old != "" && old != p.Data.ImagesSHA256 {
			return m, false, fmt.Errorf("%s holds the features of %w: %s; choose another folder, or remove it", dir, ErrResume, changedImage(dir, old, listing))
		}
	}
	foreign := !whole && !interrupted(dir) // else they may be of an interrupted end
	for _, part := range parts {
		whole = whole && partWhole(dir, m, part.Name)
		for _, ext := range []string{".npy", ".csv"} {
			path := filepath.Join(dir, part.Name+ext)
			_, err := os.Stat(path)
			switch {
			case errors.Is(err, fs.ErrNotExist):
			case err != nil:
				return m, false, err
			case foreign:
				return m, false, fmt.Errorf("%s is in the way, and no %s beside it says what it is: choose another folder, or remove it", path, ManifestFile)
			}
		}
	}
	if !whole {
		return m, false, nil
	}
	return m, true, m.verify(dir)
}

// changedImage names the first image that is not as in the listing of a folder,
// whose checksum is given.
func changedImage(dir, checksum string, listing []byte) string {
	old, err := files.Read(filepath.Join(dir, imagesFile))
	if err != nil || sha256Of(old) != checksum {
		return "images were changed since, by their sizes or times of change"
	}
	before, now := bytes.Split(old, []byte("\n")), bytes.Split(listing, []byte("\n"))
	for i, line := range now {
		if i >= len(before) || !bytes.Equal(line, before[i]) {
			if row, err := csv.NewReader(bytes.NewReader(line)).Read(); err == nil && len(row) > 1 {
				return fmt.Sprintf("the image %.200q was changed since, by its size or time of change", row[1])
			}
			break
		}
	}
	return "images were changed since"
}

// prepare makes the folder of partial work, or checks that the work there is of
// this plan.
func (p plan) prepare(partial string) error {
	path := filepath.Join(partial, "plan.json")
	text, err := files.Read(path)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = json.MarshalIndent(p, "", "  "); err != nil {
			return err
		}
		return files.WriteFile(path, text, 0o644)
	}
	if err != nil {
		return err
	}
	var before plan
	if err := json.Unmarshal(text, &before); err != nil {
		return fmt.Errorf("%s: %w; remove the folder it is in to start anew", path, err)
	}
	if d := before.changes(p); len(d) > 0 {
		return fmt.Errorf("%s holds the interrupted work of %w: %s; extract as before, choose another folder, or remove %[1]s to start anew",
			partial, ErrResume, strings.Join(d, "; "))
	}
	return nil
}

// partWhole tells whether the files of a part are as long as the manifest m of the
// folder says. The features themselves are not read.
func partWhole(dir string, m Manifest, part string) bool {
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
