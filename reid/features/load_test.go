package features

import (
	"errors"
	"image"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/reid"
)

// extracted is a folder of features of market, and its source.
func extracted(t *testing.T) (data, dir string) {
	t.Helper()
	data, dir = market(t), t.TempDir()
	if _, err := Extract(t.Context(), dir, by(sumsRecipe(), sums), open(t, data), ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	return data, dir
}

func load(t *testing.T, src Source, opts LoadOptions) *Set {
	t.Helper()
	s, err := Load(t.Context(), src, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// TestLoadForms: of one data set all forms give the same, but for names.
func TestLoadForms(t *testing.T) {
	data, dir := extracted(t)
	files := make(map[string]File)
	for _, part := range Parts() {
		files[part] = File{NPY: filepath.Join(dir, part+".npy")}
	}
	want := load(t, Source{Folder: dir}, LoadOptions{})
	for name, got := range map[string]*Set{
		"mapped":          load(t, Source{Folder: dir}, LoadOptions{MapFrom: 1}),
		"in float64":      load(t, Source{Folder: dir}, LoadOptions{Float64: true}),
		"bare files":      load(t, Source{Files: files}, LoadOptions{Labelled: true}),
		"images":          load(t, Source{Images: open(t, data), Embedder: by(sumsRecipe(), sums)}, LoadOptions{Labelled: true}),
		"images by twos":  load(t, Source{Images: open(t, data), Embedder: by(sumsRecipe(), sums), Extract: ExtractOptions{Batch: 2}}, LoadOptions{}),
		"a query of them": load(t, Source{Folder: dir, Queries: &Source{Folder: dir}}, LoadOptions{Parts: Parts()}),
	} {
		for _, part := range Parts() {
			a, b := got.Part(part), want.Part(part)
			if a == nil || b == nil {
				t.Fatalf("%s: no part %s", name, part)
			}
			if !slices.Equal(a.Features, b.Features) || a.Dim != b.Dim || !reflect.DeepEqual(a.Labels, b.Labels) || len(a.Rows) != len(b.Rows) || a.Rows[1].Name != b.Rows[1].Name {
				t.Errorf("%s: the %s part differs", name, part)
			}
		}
		if got.Fingerprint() != sumsRecipe().Fingerprint() {
			t.Errorf("%s: fingerprint %q", name, got.Fingerprint())
		}
	}
	if want.Data.Path != data || want.Query.Name != filepath.Join(dir, "query.npy") || !strings.Contains(want.Query.Rows[0].Name, "query/0000_c1s1") {
		t.Errorf("%+v, %s, %+v", want.Data, want.Query.Name, want.Query.Rows[0])
	}
	for i, part := range map[int]*SetPart{0: want.Query, 3: want.Gallery} {
		f, err := part.Open(i)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		stored, _ := os.ReadFile(filepath.Join(data, part.Rows[i].Name))
		if err != nil || len(got) == 0 || !slices.Equal(got, stored) || f.Close() != nil {
			t.Errorf("the image %s: %v", part.Rows[i].Name, err)
		}
	}
	some := load(t, Source{Folder: dir}, LoadOptions{Parts: []string{Gallery}})
	if some.Query != nil || some.MultiQuery != nil || some.Gallery == nil {
		t.Errorf("%+v", some)
	}
	if _, err := Load(t.Context(), Source{Images: open(t, data), Embedder: by(sumsRecipe(), embedFunc(func(image.Image) ([]float32, error) { t.Error("made for nothing"); return nil, nil }))}, LoadOptions{Parts: []string{"train"}}); !errors.Is(err, reid.ErrEmpty) {
		t.Errorf("a part that is not there: %v", err)
	}
}

// TestLoadOwnQueries searches for image files, with labels where names have some.
func TestLoadOwnQueries(t *testing.T) {
	data, dir := extracted(t)
	mine := filepath.Join(t.TempDir(), "me.png")
	write(t, mine, picture(t, 5))
	listed := filepath.Join(data, "query", "0001_c1s1_000003_00.png")
	pattern, err := identities.ParsePattern("market1501")
	if err != nil {
		t.Fatal(err)
	}
	own := &Source{Images: ImageFiles([]string{mine, listed}, pattern), Embedder: by(sumsRecipe(), sums)}
	s := load(t, Source{Folder: dir, Queries: own}, LoadOptions{})
	if len(s.Query.Rows) != 2 || s.Query.Labels[0].PID != reid.Unknown || s.Query.Labels[1] != label(1, 1) || s.Query.Rows[0].Name != mine {
		t.Errorf("%+v", s.Query)
	}
	if f, err := s.Query.Open(0); err != nil || f.Close() != nil {
		t.Errorf("%v", err)
	}
	if want := load(t, Source{Folder: dir}, LoadOptions{}).Query; !slices.Equal(s.Query.Features[dim:], want.Features[3*dim:4*dim]) {
		t.Error("the same image has other features")
	}
	flipped := sumsRecipe()
	flipped.Flip = true
	own.Embedder = by(flipped, sums)
	if _, err := Load(t.Context(), Source{Folder: dir, Queries: own}, LoadOptions{}); !errors.Is(err, reid.ErrFingerprint) || !strings.Contains(err.Error(), "flip: false, and true") {
		t.Errorf("queries of other features: %v", err)
	}
	write(t, mine, []byte("no image"))
	own.Extract.Strict = true
	var unreadable *ImageError
	if _, err := Load(t.Context(), *own, LoadOptions{Parts: []string{Query}}); !errors.As(err, &unreadable) || unreadable.File != mine {
		t.Errorf("%v", err)
	}
	if _, err := Load(t.Context(), *own, LoadOptions{Parts: []string{Query}, Labelled: true}); !errors.Is(err, ErrImage) {
		t.Errorf("%v", err)
	}
}

// TestLoadFiles: of bare files the labels lie beside them, and queries need none.
func TestLoadFiles(t *testing.T) {
	dir := t.TempDir()
	npy, csv := filepath.Join(dir, "f.npy"), filepath.Join(dir, "f.csv")
	if err := WriteNPY(npy, Matrix{[]float32{1, 2, 3, 4}, 2, 2}); err != nil {
		t.Fatal(err)
	}
	src := Source{Files: map[string]File{Query: {NPY: npy}}}
	opts := LoadOptions{Parts: []string{Query}}
	s := load(t, src, opts)
	if s.Query.Rows[1].Name != npy+" row 1" || s.Query.Labels[1].PID != reid.Unknown || s.Recipe != nil || s.Fingerprint() != "" {
		t.Errorf("%+v", s.Query)
	}
	write(t, csv, []byte("name,pid,camid\na,1,2\nb,,4\n"))
	s = load(t, src, opts)
	want := reid.Set{Name: npy, Features: []float32{1, 2, 3, 4}, Dim: 2, Labels: []reid.Label{{PID: "1", Camera: "2"}, {PID: reid.Unknown, Camera: "4"}}}
	if !reflect.DeepEqual(s.Query.Set, want) || s.Query.Rows[1].Name != "b" {
		t.Errorf("%+v", s.Query)
	}
	opts.Labelled = true
	refused := func(src Source, is error, want ...string) {
		t.Helper()
		_, err := Load(t.Context(), src, opts)
		for _, want := range want {
			if !errors.Is(err, is) || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %v with %q", err, is, want)
			}
		}
	}
	refused(src, ErrRow, csv+": row 3", "pid is empty")
	write(t, csv, []byte("name,pid,camid\na,1,2\n"))
	refused(src, reid.ErrCount, npy, csv)
	refused(Source{Files: map[string]File{Query: {NPY: npy + "x", CSV: csv}}}, os.ErrNotExist, "npyx")
	refused(Source{Files: map[string]File{Query: {NPY: npy, CSV: csv + "x"}}}, os.ErrNotExist, "csvx")
	refused(Source{Files: map[string]File{Gallery: {NPY: npy}}}, reid.ErrEmpty, "query")
	refused(Source{Files: map[string]File{Query: {NPY: npy}}, RecipeFrom: dir}, os.ErrNotExist, "features.json")
	refused(Source{}, ErrSource, "names 0")
	refused(Source{Folder: dir, Files: map[string]File{}}, ErrSource, "names 2")
	refused(Source{Images: &Images{}}, ErrSource, "what makes features")

	// What says how they were made is beside them, or named.
	write(t, csv, []byte("name,pid,camid\na,1,2\nb,3,4\n"))
	_, made := extracted(t)
	refused(Source{Files: map[string]File{Query: {NPY: npy}}, RecipeFrom: made}, reid.ErrDimension, "2 features", made)
	if err := WriteNPY(npy, Matrix{make([]float32, 2*dim), 2, dim}); err != nil {
		t.Fatal(err)
	}
	if s := load(t, Source{Files: map[string]File{Query: {NPY: npy}}, RecipeFrom: made}, opts); s.Fingerprint() != sumsRecipe().Fingerprint() {
		t.Errorf("fingerprint %q", s.Fingerprint())
	}
}

// TestLoadFloat64 keeps what float32 cannot hold.
func TestLoadFloat64(t *testing.T) {
	npy := filepath.Join(t.TempDir(), "f.npy")
	write(t, npy, file("{'descr': '<f8', 'fortran_order': True, 'shape': (1, 2), }", "\x01\x00\x00\x00\x00\x00\xf0\x3f\x00\x00\x00\x00\x00\x00\x00\x40"))
	src := Source{Files: map[string]File{Query: {NPY: npy}}}
	s := load(t, src, LoadOptions{Parts: []string{Query}, Float64: true})
	if want := []float64{1 + 0x1p-52, 2}; !slices.Equal(s.Query.Features64, want) || s.Query.Features != nil {
		t.Errorf("%v", s.Query.Set)
	}
	if s := load(t, src, LoadOptions{Parts: []string{Query}}); !slices.Equal(s.Query.Features, []float32{1, 2}) || s.Query.Features64 != nil {
		t.Errorf("%v", s.Query.Set)
	}
}

// TestLoadChanged: files that are not as they were written are refused by name.
func TestLoadChanged(t *testing.T) {
	data, dir := extracted(t)
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	zeroed := read("gallery.npy")
	clear(zeroed[len(zeroed)-5*dim*4:])
	lines := strings.SplitAfter(strings.TrimSuffix(string(read("gallery.csv")), "\n"), "\n")
	resorted := lines[0] + lines[2] + lines[1] + strings.Join(lines[3:], "") + "\n"
	for name, text := range map[string][]byte{"gallery.npy": zeroed, "gallery.csv": []byte(resorted)} {
		before := read(name)
		write(t, filepath.Join(dir, name), text)
		for what, src := range map[string]Source{"the folder": {Folder: dir}, "a bare file": {Files: map[string]File{Gallery: {NPY: filepath.Join(dir, "gallery.npy")}}},
			"labels by another path": {Files: map[string]File{Gallery: {NPY: filepath.Join(dir, "gallery.npy"), CSV: dir + "/./gallery.csv"}}}} {
			for _, from := range []int64{0, 1} {
				if _, err := Load(t.Context(), src, LoadOptions{Parts: []string{Gallery}, MapFrom: from}); !errors.Is(err, ErrChecksum) || !strings.Contains(err.Error(), name) {
					t.Errorf("%s changed, %s: %v", name, what, err)
				}
			}
		}
		if _, err := Extract(t.Context(), dir, by(sumsRecipe(), sums), open(t, data), ExtractOptions{}); !errors.Is(err, ErrChecksum) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s changed, extracted again: %v", name, err)
		}
		write(t, filepath.Join(dir, name), before)
	}
	load(t, Source{Folder: dir}, LoadOptions{})
	// Two images of one size change places.
	a, b := filepath.Join(data, "query", "0000_c2s1_000001_00.png"), filepath.Join(data, "query", "0001_c1s1_000003_00.png")
	write(t, a, slices.Repeat([]byte{7}, 90))
	write(t, b, slices.Repeat([]byte{8}, 90))
	if err := os.Chtimes(a, time.Time{}, time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	other := t.TempDir()
	if _, err := Extract(t.Context(), other, by(sumsRecipe(), sums), open(t, data), ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	swap := a + ".swap"
	if err := errors.Join(os.Rename(a, swap), os.Rename(b, a), os.Rename(swap, b)); err != nil {
		t.Fatal(err)
	}
	if _, err := Extract(t.Context(), other, by(sumsRecipe(), sums), open(t, data), ExtractOptions{}); !errors.Is(err, ErrResume) || !strings.Contains(err.Error(), "0000_c2s1_000001_00.png") {
		t.Errorf("exchanged images: %v", err)
	}
	if err := os.Remove(filepath.Join(other, imagesFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := Extract(t.Context(), other, by(sumsRecipe(), sums), open(t, data), ExtractOptions{}); !errors.Is(err, ErrResume) || !strings.Contains(err.Error(), "images were changed") {
		t.Errorf("exchanged images without their list: %v", err)
	}
}

// TestLoadOld reads a folder whose features.json knows no checksums.
func TestLoadOld(t *testing.T) {
	data, dir := extracted(t)
	m, err := ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Parts {
		m.Parts[i].FeaturesSHA256, m.Parts[i].LabelsSHA256 = "", ""
	}
	m.Data.ImagesSHA256 = ""
	if err := errors.Join(WriteManifest(dir, m), os.Remove(filepath.Join(dir, imagesFile))); err != nil {
		t.Fatal(err)
	}
	load(t, Source{Folder: dir}, LoadOptions{})
	never := embedFunc(func(image.Image) ([]float32, error) { t.Error("what is complete was made again"); return nil, nil })
	if _, err := Extract(t.Context(), dir, by(sumsRecipe(), never), open(t, data), ExtractOptions{}); err != nil {
		t.Error(err)
	}
}

func TestLoadFolderRefuses(t *testing.T) {
	_, dir := extracted(t)
	refused := func(opts LoadOptions, is error, want string) {
		t.Helper()
		if _, err := Load(t.Context(), Source{Folder: dir}, opts); !errors.Is(err, is) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	m, err := ReadManifest(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i := range m.Parts {
		m.Parts[i].FeaturesSHA256, m.Parts[i].LabelsSHA256 = "", ""
	}
	put := func(change func(m *Manifest)) {
		t.Helper()
		changed := m
		changed.Parts = slices.Clone(m.Parts)
		change(&changed)
		if err := WriteManifest(dir, changed); err != nil {
			t.Fatal(err)
		}
	}
	put(func(m *Manifest) { m.Parts[1].Images, m.Parts[1].Rows = 24, 24 })
	refused(LoadOptions{}, reid.ErrCount, "has 23 rows")
	put(func(m *Manifest) { m.Dim = 4 })
	refused(LoadOptions{}, reid.ErrDimension, "rows of 5 features")
	put(func(m *Manifest) { m.Parts = m.Parts[1:2] })
	refused(LoadOptions{}, reid.ErrEmpty, "a part query: there is only gallery")
	put(func(m *Manifest) { m.Parts = m.Parts[1:2]; m.Data.Undivided = true })
	if s := load(t, Source{Folder: dir}, LoadOptions{}); s.Query != s.Gallery || s.MultiQuery != nil {
		t.Errorf("%+v", s)
	}
	put(func(*Manifest) {})
	if err := os.Remove(filepath.Join(dir, "gallery.csv")); err != nil {
		t.Fatal(err)
	}
	refused(LoadOptions{}, os.ErrNotExist, "gallery.csv")
	if err := os.Remove(filepath.Join(dir, ManifestFile)); err != nil {
		t.Fatal(err)
	}
	refused(LoadOptions{}, os.ErrNotExist, ManifestFile)
	if err := os.Mkdir(filepath.Join(dir, partialDir), 0o755); err != nil {
		t.Fatal(err)
	}
	refused(LoadOptions{}, ErrInterrupted, dir)
}
