package features

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"

	"github.com/deepmutual/dml/internal/files"
)

// ManifestFile is the name of a Manifest's file in a folder of features.
const ManifestFile = "features.json"

// ManifestFormat is the version of the format that is written, and the newest
// that is read.
const ManifestFormat = 1

// The parts of a folder of features: each has the files PART.npy and PART.csv.
const (
	Query      = "query"
	Gallery    = "gallery"
	MultiQuery = "multi_query" // further images of the queries' people
)

// Parts lists the parts in the order in which they are extracted.
func Parts() []string { return []string{Query, Gallery, MultiQuery} }

// PoolTrack is the pooling that averages the images of a track.
const PoolTrack = "track"

// Manifest describes a folder of features. It is there only when all the
// others of the folder's files are whole.
type Manifest struct {
	Format int `json:"format"`
	Recipe
	Data Data `json:"data"`
	// Pooling of rows: "" for a row an image, PoolTrack for a row a track.
	Pooling string `json:"pooling,omitempty"`
	Parts   []Part `json:"parts"`
	// Skipped images, which could not be read.
	Skipped []Skipped `json:"skipped"`
}

// Data is what features were extracted from.
type Data struct {
	Path string `json:"path"` // as it was given
	// SHA256 of the listing: parts, file names, sizes and labels in their order.
	SHA256 string `json:"sha256"`
	// ImagesSHA256 is of the images' sizes and times of change, which images.csv
	// lists; "" in older folders.
	ImagesSHA256 string `json:"images_sha256,omitempty"`
	// Pattern of the file names, where these gave the labels.
	Pattern string `json:"pattern,omitempty"`
	// ZeroIsIdentity says that identity 0 is a person, not a distractor.
	ZeroIsIdentity bool `json:"zero_is_identity,omitempty"`
	// Undivided says that the data named neither queries nor a gallery: all of
	// it is the gallery, and each image of it may serve as a query.
	Undivided bool `json:"undivided,omitempty"`
}

// Part is a matrix of features and its labels.
type Part struct {
	Name    string `json:"name"`   // Query, Gallery or MultiQuery
	Images  int    `json:"images"` // listed
	Skipped int    `json:"skipped"`
	Rows    int    `json:"rows"` // written
	// The checksums of PART.npy and PART.csv; "" in older folders.
	FeaturesSHA256 string `json:"npy_sha256,omitempty"`
	LabelsSHA256   string `json:"csv_sha256,omitempty"`
}

// Skipped is an image that could not be read.
type Skipped struct {
	Part   string `json:"part"`
	Image  string `json:"image"`
	Reason string `json:"reason"`
}

// ErrManifest is wrapped by every fault of a features.json's content.
var ErrManifest = errors.New("bad features.json")

// ErrChecksum: a file is not as it was written.
var ErrChecksum = errors.New("it is not as it was written (SHA-256): restore it, or remove the folder and extract again")

// verify reads the files of all parts and checks them against their checksums,
// where there are some.
func (m Manifest) verify(dir string) error {
	for _, p := range m.Parts {
		for ext, want := range map[string]string{".npy": p.FeaturesSHA256, ".csv": p.LabelsSHA256} {
			path := filepath.Join(dir, p.Name+ext)
			if want == "" {
				continue
			}
			f, err := files.Open(path)
			if err != nil {
				return err
			}
			sum := sha256.New()
			_, err = io.Copy(sum, f)
			if err := errors.Join(err, f.Close()); err != nil {
				return err
			}
			if hex.EncodeToString(sum.Sum(nil)) != want {
				return fmt.Errorf("%s: %w", path, ErrChecksum)
			}
		}
	}
	return nil
}

// Part returns the part of that name, and whether there is one.
func (m Manifest) Part(name string) (Part, bool) {
	i := slices.IndexFunc(m.Parts, func(p Part) bool { return p.Name == name })
	if i < 0 {
		return Part{}, false
	}
	return m.Parts[i], true
}

// Validate reports every fault of m, joined.
func (m Manifest) Validate() error {
	errs := []error{m.Recipe.Validate()}
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if m.Format != ManifestFormat {
		fault("format is %d, want %d", m.Format, ManifestFormat)
	}
	if m.Pooling != "" && m.Pooling != PoolTrack {
		fault("pooling is %.40q", m.Pooling)
	}
	skipped := make(map[string]int)
	for _, s := range m.Skipped {
		skipped[s.Part]++
	}
	seen := make(map[string]bool)
	for _, p := range m.Parts {
		switch {
		case !slices.Contains(Parts(), p.Name):
			fault("there is no part %.40q", p.Name)
		case seen[p.Name]:
			fault("the part %s is there twice", p.Name)
		case p.Rows < 1 || p.Skipped < 0 || p.Images < p.Skipped || p.Rows > p.Images-p.Skipped || m.Pooling == "" && p.Rows != p.Images-p.Skipped:
			fault("the part %s has %d images, %d skipped, in %d rows", p.Name, p.Images, p.Skipped, p.Rows)
		case skipped[p.Name] != p.Skipped:
			fault("the part %s has skipped %d images, %d are listed", p.Name, p.Skipped, skipped[p.Name])
		}
		seen[p.Name] = true
	}
	if len(m.Parts) == 0 {
		fault("parts: there are none")
	}
	for _, s := range m.Skipped {
		if !seen[s.Part] {
			fault("skipped: %.80q is of the part %.40q, which is not there", s.Image, s.Part)
			break
		}
	}
	return errors.Join(errs...)
}

// ReadManifest reads the manifest of a folder of features. Faults of the
// content wrap ErrManifest.
func ReadManifest(dir string) (Manifest, error) {
	path := filepath.Join(dir, ManifestFile)
	data, err := files.Read(path)
	if err != nil {
		return Manifest{}, err
	}
	m, err := decodeManifest(data)
	if err != nil {
		return Manifest{}, fmt.Errorf("%s: %w: %w", path, ErrManifest, err)
	}
	return m, nil
}

// manifestFile is the content of the file.
type manifestFile struct {
	Fingerprint string `json:"fingerprint"`
	Manifest
}

func decodeManifest(data []byte) (Manifest, error) {
	var f manifestFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Manifest{}, err
	}
	if f.Format > ManifestFormat {
		return Manifest{}, fmt.Errorf("it has format %d, and this program reads up to %d: use a newer one", f.Format, ManifestFormat)
	}
	if err := f.Validate(); err != nil {
		return Manifest{}, err
	}
	if want := f.Recipe.Fingerprint(); f.Fingerprint != want {
		return Manifest{}, fmt.Errorf("its fingerprint is %.12q, that of what it says %.12q: it was edited; extract the features again", f.Fingerprint, want)
	}
	return f.Manifest, nil
}

// WriteManifest writes the manifest of a folder of features. The file is whole
// or absent.
func WriteManifest(dir string, m Manifest) error {
	path := filepath.Join(dir, ManifestFile)
	m.Format = ManifestFormat
	if err := m.Validate(); err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrManifest, err)
	}
	if m.Skipped == nil {
		m.Skipped = []Skipped{}
	}
	text, err := json.MarshalIndent(manifestFile{m.Fingerprint(), m}, "", "  ")
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return files.WriteFile(path, append(text, '\n'), 0o644)
}
