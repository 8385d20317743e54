package features

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/reid"
)

// LoadOptions of Load. The zero value is ready to use.
type LoadOptions struct {
	// Parts that are needed; others are neither read nor made. Default: Query and
	// Gallery, and MultiQuery where it is there.
	Parts []string
	// Labelled says that all images need an identity and a camera.
	Labelled bool
	// Float64 keeps features of files in float64 as they are. Default: they are
	// rounded to float32.
	Float64 bool
	// MapFrom maps files of at least this many bytes into memory, where the system
	// can, instead of reading them. Nobody may shorten them before Close. Default
	// 0: none.
	MapFrom int64
}

// Errors of Load, besides those of the files; test with errors.Is.
var (
	// ErrSource: a source says nothing, or too much.
	ErrSource = errors.New("bad source of features")
	// ErrInterrupted: a folder's extraction has not come to its end.
	ErrInterrupted = errors.New("its extraction was interrupted; run it again, and it goes on")
)

// Load loads features. Close the set after use. A part that is needed and not
// there is a reid.ErrEmpty, a file of a folder that is not as it was written an
// ErrChecksum, content that cannot be read an ErrManifest, an ErrNPY or a *RowError;
// counts that do not fit wrap reid.ErrCount or reid.ErrDimension, queries and a
// gallery of other recipes are a *MismatchError. That the numbers are usable is
// for package reid to check.
func Load(ctx context.Context, src Source, opts LoadOptions) (s *Set, err error) {
	if err := src.validate(); err != nil {
		return nil, err
	}
	l := &loader{Set: new(Set), opts: opts, needed: opts.Parts}
	if l.needed == nil {
		l.needed = []string{Gallery}
		if src.Queries == nil {
			l.needed = []string{Gallery, Query}
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.Close())
		}
	}()
	if src.Queries != nil {
		l.needed = slices.DeleteFunc(slices.Clone(l.needed), func(part string) bool { return part == Query })
	}
	switch {
	case src.Folder != "":
		err = l.folder(src.Folder)
	case src.Files != nil:
		err = l.files(src)
	default:
		err = l.images(ctx, src)
	}
	if err != nil || src.Queries == nil {
		return l.Set, err
	}
	own := opts
	own.Parts = []string{Query}
	q, err := Load(ctx, *src.Queries, own)
	if err != nil {
		return nil, err
	}
	l.unmap = append(l.unmap, q.unmap...)
	if q.Recipe != nil && l.Recipe != nil {
		if err := l.Recipe.Match(l.name(), *q.Recipe, q.name()); err != nil {
			return nil, err
		}
	}
	l.Query = q.Query
	l.Recipe = cmp.Or(l.Recipe, q.Recipe)
	return l.Set, nil
}

// loader is a set under way.
type loader struct {
	*Set
	opts   LoadOptions
	needed []string
}

// wants tells whether a part that is there shall be loaded.
func (l *loader) wants(part string) bool {
	return slices.Contains(l.needed, part) || l.opts.Parts == nil && part == MultiQuery
}

func (l *loader) put(part string, p *SetPart) {
	p.part = part
	switch part {
	case Query:
		l.Query = p
	case Gallery:
		l.Gallery = p
	default:
		l.MultiQuery = p
	}
}

// divide makes the gallery the queries where the data names none, and refuses
// data without a part that is needed.
func (l *loader) divide(place string, there []string) error {
	for _, part := range l.needed {
		if slices.Contains(there, part) || part == Query && l.Data.Undivided {
			continue
		}
		return fmt.Errorf("%s: %w of a part %s: there is only %s", place, reid.ErrEmpty, part, strings.Join(there, ", "))
	}
	return nil
}

func (l *loader) folder(dir string) error {
	m, err := ReadManifest(dir)
	if errors.Is(err, fs.ErrNotExist) && interrupted(dir) {
		return fmt.Errorf("%s: %w", dir, ErrInterrupted)
	}
	if err != nil {
		return err
	}
	l.Recipe, l.Data, l.Skipped = &m.Recipe, m.Data, m.Skipped
	var there []string
	for _, p := range m.Parts {
		there = append(there, p.Name)
	}
	if err := l.divide(dir, there); err != nil {
		return err
	}
	manifest := filepath.Join(dir, ManifestFile)
	for _, p := range m.Parts {
		if !l.wants(p.Name) && !(p.Name == Gallery && m.Data.Undivided && l.wants(Query)) {
			continue
		}
		npy := filepath.Join(dir, p.Name+".npy")
		part, err := l.read(npy, filepath.Join(dir, p.Name+".csv"), p)
		if err != nil {
			return err
		}
		if len(part.Rows) != p.Rows {
			return fmt.Errorf("%w: %s has %d rows, %s says %d; extract the features again", reid.ErrCount, npy, len(part.Rows), manifest, p.Rows)
		}
		if part.Dim != m.Dim {
			return fmt.Errorf("%w: %s has rows of %d features, %s says %d; extract the features again", reid.ErrDimension, npy, part.Dim, manifest, m.Dim)
		}
		part.Root = rootOf(m.Data.Path)
		l.put(p.Name, part)
	}
	if m.Data.Undivided && slices.Contains(l.needed, Query) {
		l.Query = l.Gallery
	}
	return nil
}

// rootOf is the folder that the names in data are relative to: of a list, its own.
func rootOf(data string) string {
	if info, err := os.Stat(data); err == nil && !info.IsDir() {
		return filepath.Dir(data)
	}
	return data
}

func (l *loader) files(src Source) error {
	var there []string
	for _, part := range Parts() {
		if src.Files[part].NPY != "" {
			there = append(there, part)
		}
	}
	if err := l.divide("the files", there); err != nil {
		return err
	}
	for _, name := range there {
		if !l.wants(name) {
			continue
		}
		f := src.Files[name]
		csv := cmp.Or(f.CSV, strings.TrimSuffix(f.NPY, filepath.Ext(f.NPY))+".csv")
		if _, err := os.Stat(csv); name == Query && !l.opts.Labelled && f.CSV == "" && errors.Is(err, fs.ErrNotExist) {
			csv = ""
		}
		recipe, sums, err := beside(f.NPY, src.RecipeFrom)
		if err != nil {
			return err
		}
		part, err := l.read(f.NPY, csv, sums)
		if err != nil {
			return err
		}
		part.Root = filepath.Dir(csv)
		l.put(name, part)
		switch {
		case recipe == nil || recipe.Dim != part.Dim && src.RecipeFrom == "":
		case recipe.Dim != part.Dim:
			return fmt.Errorf("%w: %s has rows of %d features, %s says %d", reid.ErrDimension, f.NPY, part.Dim, filepath.Join(src.RecipeFrom, ManifestFile), recipe.Dim)
		case l.Recipe == nil:
			l.Recipe = recipe
		default:
			if err := l.Recipe.Match(l.name(), *recipe, part.Name); err != nil {
				return err
			}
		}
	}
	return nil
}

// beside returns the recipe of a bare file, if one is known, and the part of the
// folder that it is, if it is one.
func beside(npy, from string) (*Recipe, Part, error) {
	dir := cmp.Or(from, filepath.Dir(npy))
	m, err := ReadManifest(dir)
	if errors.Is(err, fs.ErrNotExist) && from == "" {
		return nil, Part{}, nil
	}
	if err != nil {
		return nil, Part{}, err
	}
	part, _ := m.Part(strings.TrimSuffix(filepath.Base(npy), ".npy"))
	if from != "" || filepath.Ext(npy) != ".npy" {
		part = Part{}
	}
	return &m.Recipe, part, nil
}

// read reads the files of a part, which are checked against the checksums of p.
// Without a csv nothing is known of the images.
func (l *loader) read(npy, csv string, p Part) (*SetPart, error) {
	var rows []Row
	if csv != "" {
		data, err := files.Read(csv)
		if err != nil {
			return nil, err
		}
		if own := strings.TrimSuffix(npy, ".npy") + ".csv"; filepath.Clean(csv) == filepath.Clean(own) && p.LabelsSHA256 != "" && sha256Of(data) != p.LabelsSHA256 {
			return nil, fmt.Errorf("%s: %w", csv, ErrChecksum)
		}
		if rows, err = decodeLabels(data, csv, l.opts.Labelled); err != nil {
			return nil, err
		}
	}
	n, err := readNumbers(npy, p.FeaturesSHA256, l.opts)
	if err != nil {
		return nil, err
	}
	if n.unmap != nil {
		l.unmap = append(l.unmap, n.unmap)
	}
	if csv == "" {
		for i := range n.rows {
			rows = append(rows, Row{Name: fmt.Sprintf("%s row %d", npy, i)})
		}
	}
	if n.rows != len(rows) {
		return nil, fmt.Errorf("%w: %s has %d rows, %s has %d; they must describe the same images in the same order", reid.ErrCount, npy, n.rows, csv, len(rows))
	}
	part := newSetPart(npy, n.single, n.double, n.dim, rows)
	part.List = csv
	return part, nil
}

func newSetPart(name string, single []float32, double []float64, dim int, rows []Row) *SetPart {
	p := &SetPart{Set: reid.Set{Name: name, Features: single, Features64: double, Dim: dim, Labels: make([]reid.Label, len(rows))}, Rows: rows}
	for i, r := range rows {
		p.Labels[i] = r.Label
	}
	return p
}

// images makes features.
func (l *loader) images(ctx context.Context, src Source) error {
	l.Data = src.Images.Data
	if _, err := src.Images.checksums(&l.Data); err != nil {
		return err
	}
	var there []string
	for _, p := range src.Images.Parts {
		there = append(there, p.Name)
	}
	if err := l.divide(src.Images.Data.Path, there); err != nil {
		return err
	}
	some := *src.Images
	some.Parts = nil
	for _, p := range src.Images.Parts {
		if l.wants(p.Name) || p.Name == Gallery && l.Data.Undivided && l.wants(Query) {
			some.Parts = append(some.Parts, p)
		}
	}
	p, opts, err := planned(src.Embedder, &some, src.Extract)
	if err != nil {
		return err
	}
	made := make(map[string][]float32)
	for _, p := range some.Parts {
		made[p.Name] = make([]float32, 0, len(p.Images)*src.Embedder.Recipe().Dim)
	}
	r := run{recipe: p.Recipe, images: &some, embedder: src.Embedder, opts: opts, done: newProgress(some.Parts),
		put: func(part string, rows []float32, _ []skippedImage) error {
			made[part] = append(made[part], rows...)
			return nil
		}}
	if err := r.extract(ctx); err != nil {
		return err
	}
	l.Recipe, l.Skipped = &p.Recipe, r.done.skipped(some.Parts)
	for _, p := range some.Parts {
		features, dim := made[p.Name], l.Recipe.Dim
		labels, groups := r.grouped(p)
		if opts.Pooling != "" {
			single := func(i int, row []float32) error {
				copy(row, made[p.Name][i*dim:])
				return nil
			}
			mean := pooled(groups, single, dim)
			features = make([]float32, len(groups)*dim)
			for i := range groups {
				if err := mean(i, features[i*dim:(i+1)*dim]); err != nil {
					return err
				}
			}
		}
		part := newSetPart("the "+p.Name+" part of "+l.Data.Path, features, nil, dim, labels)
		part.Root, part.List = some.Root, l.Data.Path
		if l.opts.Labelled {
			if err := labelled(part); err != nil {
				return err
			}
		}
		l.put(p.Name, part)
	}
	if l.Data.Undivided && slices.Contains(l.needed, Query) {
		l.Query = l.Gallery
	}
	return nil
}

// labelled refuses a part with images that are not known.
func labelled(p *SetPart) error {
	for _, r := range p.Rows {
		if r.PID == reid.Unknown || r.Camera == reid.Unknown {
			return fmt.Errorf("%s: %w: nothing says identity and camera of %.200q", p.Name, reid.ErrLabel, r.Name)
		}
	}
	return nil
}
