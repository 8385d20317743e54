package features

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/internal/pixels"
	"github.com/deepmutual/dml/reid"
)

const dim = 5

func sumsRecipe() Recipe {
	return Recipe{
		Models:        []Model{{File: "sums.onnx", SHA256: strings.Repeat("5a", 32), Features: dim}},
		Preprocessing: Preprocessing{Height: 4, Width: 3, Interpolation: "nearest", ChannelOrder: "rgb", Layout: "nchw"},
		Normalisation: L2, Dim: dim,
	}
}

// maker is an embedder with a recipe.
type maker struct {
	reid.Embedder
	recipe Recipe
}

func (m maker) Recipe() Recipe { return m.recipe }

func by(recipe Recipe, e reid.Embedder) Embedder { return maker{e, recipe} }

// sums is an embedder of the pixels' weighted sums, of length 1.
var sums = embedFunc(func(m image.Image) ([]float32, error) {
	v := make([]float32, dim)
	for i, x := range pixels.FromImage(m).Pix {
		for k := range v {
			v[k] += float32(int(x)*(i*7+k*k*3+1)%101) / 100
		}
	}
	normalise(v)
	return v, nil
})

// picture is a PNG file of a picture of its own for each seed.
func picture(t *testing.T, seed int) []byte {
	t.Helper()
	m := image.NewNRGBA(image.Rect(0, 0, 3+seed%2, 4))
	for i := range m.Pix {
		m.Pix[i] = uint8(i*i*(seed+3) + seed*29)
	}
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 255
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, m); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

// market makes a folder in Market-1501's layout: 7 queries, a gallery of 23 with
// junk and distractors, and 9 further images.
func market(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	put := func(folder string, n int) {
		for i := range n {
			pid := fmt.Sprintf("%04d", i/3)
			if folder == "bounding_box_test" && i > 20 {
				pid = "-1"
			}
			write(t, filepath.Join(dir, folder, fmt.Sprintf("%s_c%ds1_%06d_00.png", pid, 1+i%3, i)), picture(t, i*17+len(folder)))
		}
	}
	put("query", 7)
	put("bounding_box_test", 23)
	put("gt_bbox", 9)
	return dir
}

func open(t *testing.T, path string) *Images {
	t.Helper()
	s, err := OpenImages(path, ImagesOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// contents are the files of a folder, by name.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir+string(filepath.Separator))] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// slowly makes the rows of a part in the obvious way.
func slowly(t *testing.T, src *Images, part string) (rows [][]float32, labels []Row) {
	t.Helper()
	for _, p := range src.Parts {
		if p.Name != part {
			continue
		}
		for _, r := range p.Images {
			data, err := os.ReadFile(filepath.Join(src.Root, r.Name))
			if err != nil {
				continue
			}
			m, err := png.Decode(bytes.NewReader(data))
			if err != nil {
				continue
			}
			v, err := sums(m)
			if err != nil {
				t.Fatal(err)
			}
			rows, labels = append(rows, v), append(labels, r)
		}
	}
	return rows, labels
}

// sameRows compares a part's files with rows and labels.
func sameRows(t *testing.T, dir, part string, rows [][]float32, labels []Row) {
	t.Helper()
	m, err := ReadNPY(filepath.Join(dir, part+".npy"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := ReadList(filepath.Join(dir, part+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	if m.Rows != len(rows) || m.Dim != dim || len(got) != len(labels) {
		t.Fatalf("%s: %d x %d, %d labels, want %d and %d", part, m.Rows, m.Dim, len(got), len(rows), len(labels))
	}
	for i, v := range rows {
		if !reflect.DeepEqual(m.Data[i*dim:(i+1)*dim], v) {
			t.Errorf("%s: row %d is %v, want %v", part, i, m.Data[i*dim:(i+1)*dim], v)
		}
		a, b := got[i], labels[i]
		a.Line, b.Line = 0, 0
		if a != b {
			t.Errorf("%s: label %d is %+v, want %+v", part, i, a, b)
		}
	}
}

func TestRun(t *testing.T) {
	data := market(t)
	src := open(t, data)
	dir := filepath.Join(t.TempDir(), "new", "F")
	last, total := 0, 0
	m, err := Extract(t.Context(), dir, by(sumsRecipe(), sums), src, ExtractOptions{Batch: 4, Progress: func(done, all int) {
		if done < last || done > all {
			t.Errorf("progress: %d after %d", done, last)
		}
		last, total = done, all
	}})
	if err != nil {
		t.Fatal(err)
	}
	if last != 39 || total != 39 {
		t.Errorf("progress: %d of %d", last, total)
	}
	for _, part := range Parts() {
		rows, labels := slowly(t, src, part)
		sameRows(t, dir, part, rows, labels)
	}
	read, err := ReadManifest(dir)
	if err != nil || !reflect.DeepEqual(read, m) {
		t.Errorf("%+v, %v, want %+v", read, err, m)
	}
	for i := range m.Parts {
		if p := &m.Parts[i]; len(p.FeaturesSHA256) != 64 || len(p.LabelsSHA256) != 64 {
			t.Errorf("no checksums: %+v", p)
		}
		m.Parts[i].FeaturesSHA256, m.Parts[i].LabelsSHA256 = "", ""
	}
	want := []Part{{Name: "query", Images: 7, Rows: 7}, {Name: "gallery", Images: 23, Rows: 23}, {Name: "multi_query", Images: 9, Rows: 9}}
	if !reflect.DeepEqual(m.Parts, want) || m.Data.Pattern != "market1501" || m.Data.ZeroIsIdentity || m.Data.Undivided || len(m.Data.SHA256) != 64 {
		t.Errorf("%+v", m)
	}
	if files := contents(t, dir); len(files) != 8 || !strings.HasPrefix(files["gallery.csv"], "name,pid,camid\nbounding_box_test/-1_c1s1_000021_00.png,-1,1\n") {
		t.Errorf("%d files, %.80q", len(files), files["gallery.csv"])
	}
	never := embedFunc(func(image.Image) ([]float32, error) { t.Error("what is complete was made again"); return nil, nil })
	if again, err := Extract(t.Context(), dir, by(sumsRecipe(), never), src, ExtractOptions{Batch: 7}); err != nil || !reflect.DeepEqual(again, read) {
		t.Errorf("%+v, %v", again, err)
	}
	// A file that was lost or cut off makes it incomplete.
	rows, labels := slowly(t, src, Query)
	for name, spoil := range map[string]func(path string) error{
		"query.csv": os.Remove,
		"query.npy": func(path string) error { return os.Truncate(path, 150) },
	} {
		if err := spoil(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		if _, err := Extract(t.Context(), dir, by(sumsRecipe(), sums), src, ExtractOptions{}); err != nil {
			t.Error(err)
		}
		sameRows(t, dir, Query, rows, labels)
	}
	write(t, filepath.Join(dir, "query.csv"), []byte("name,pid,camid\n"))
	if _, err := Extract(t.Context(), dir, by(sumsRecipe(), sums), src, ExtractOptions{}); err != nil {
		t.Error(err)
	}
	sameRows(t, dir, Query, rows, labels)
	write(t, filepath.Join(dir, ManifestFile), []byte("{}"))
	if _, err := Extract(t.Context(), dir, by(sumsRecipe(), sums), src, ExtractOptions{}); !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), "remove "+dir) {
		t.Errorf("a manifest that says nothing: %v", err)
	}
}

// TestPoolTrack compares with means made in the obvious way.
func TestPoolTrack(t *testing.T) {
	dir := t.TempDir()
	list := "path,pid,camid,track,time\n"
	for i, row := range []string{"1,1,a,10", "1,1,b,11", "1,1,a,12", "1,2,a,13", ",,a,14", "2,1,,15", "2,1,,16", "1,1,a,17", "1,1,gone,18"} {
		list += fmt.Sprintf("images/%d.png,%s\n", i, row)
		if i < 8 {
			write(t, filepath.Join(dir, "images", fmt.Sprintf("%d.png", i)), picture(t, i))
		}
	}
	write(t, filepath.Join(dir, "list.csv"), []byte(list))
	src, out := open(t, filepath.Join(dir, "list.csv")), t.TempDir()
	m, err := Extract(t.Context(), out, by(sumsRecipe(), sums), src, ExtractOptions{Batch: 2, Pooling: PoolTrack})
	if err != nil {
		t.Fatal(err)
	}
	all, labels := slowly(t, src, Gallery)
	var rows [][]float32
	var want []Row
	for _, group := range [][]int{{0, 2, 7}, {1}, {3}, {4}, {5}, {6}} {
		mean := make([]float64, dim)
		for _, i := range group {
			for k, v := range all[i] {
				mean[k] += float64(v)
			}
		}
		v := make([]float32, dim)
		for k := range v {
			v[k] = float32(mean[k] / float64(len(group)))
		}
		if len(group) > 1 {
			normalise(v)
		}
		rows, want = append(rows, v), append(want, labels[group[0]])
	}
	sameRows(t, out, Gallery, rows, want)
	made := load(t, Source{Images: src, Embedder: by(sumsRecipe(), sums), Extract: ExtractOptions{Batch: 3, Pooling: PoolTrack}}, LoadOptions{})
	if got := made.Gallery; !slices.Equal(got.Features, slices.Concat(rows...)) || len(got.Rows) != 6 || got.Rows[3].Name != want[3].Name || made.Query != got {
		t.Errorf("in memory: %+v", got)
	}
	if p := m.Parts[0]; m.Pooling != PoolTrack || p.Images != 9 || p.Skipped != 1 || p.Rows != 6 || !m.Data.Undivided {
		t.Errorf("%+v", m)
	}
}

// BenchmarkRun measures what surrounds an embedder that costs nothing.
func BenchmarkRun(b *testing.B) {
	dir := b.TempDir()
	m := image.NewNRGBA(image.Rect(0, 0, 64, 128))
	for i := range m.Pix {
		m.Pix[i] = uint8(i * i)
	}
	m.Set(0, 0, color.NRGBA{A: 255})
	var buf bytes.Buffer
	if err := png.Encode(&buf, m); err != nil {
		b.Fatal(err)
	}
	list := "path,pid,camid\n"
	for i := range 640 {
		name := fmt.Sprintf("%d.png", i)
		if err := os.WriteFile(filepath.Join(dir, name), buf.Bytes(), 0o644); err != nil {
			b.Fatal(err)
		}
		list += name + ",1,1\n"
	}
	if err := os.WriteFile(filepath.Join(dir, "l.csv"), []byte(list), 0o644); err != nil {
		b.Fatal(err)
	}
	src, err := OpenImages(filepath.Join(dir, "l.csv"), ImagesOptions{})
	if err != nil {
		b.Fatal(err)
	}
	fixed := make([]float32, dim)
	free := embedFunc(func(image.Image) ([]float32, error) { return fixed, nil })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Extract(b.Context(), b.TempDir(), by(sumsRecipe(), free), src, ExtractOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*640), "ns/image")
}
