package extract

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/deepmutual/dml/internal/pixels"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

const dim = 5

func recipe() features.Recipe {
	return features.Recipe{
		Models:        []features.Model{{File: "sums.onnx", SHA256: strings.Repeat("5a", 32), Features: dim}},
		Preprocessing: features.Preprocessing{Height: 4, Width: 3, Interpolation: "nearest", ChannelOrder: "rgb", Layout: "nchw"},
		Normalisation: features.L2, Dim: dim,
	}
}

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

func open(t *testing.T, path string) *Source {
	t.Helper()
	s, err := Open(path, SourceOptions{})
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
func slowly(t *testing.T, src *Source, part string) (rows [][]float32, labels []features.Row) {
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
func sameRows(t *testing.T, dir, part string, rows [][]float32, labels []features.Row) {
	t.Helper()
	m, err := features.ReadNPY(filepath.Join(dir, part+".npy"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := features.ReadList(filepath.Join(dir, part+".csv"))
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
	m, err := Run(t.Context(), dir, recipe(), sums, src, Options{Batch: 4, Progress: func(done, all int) {
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
	for _, part := range features.Parts() {
		rows, labels := slowly(t, src, part)
		sameRows(t, dir, part, rows, labels)
	}
	read, err := features.ReadManifest(dir)
	if err != nil || !reflect.DeepEqual(read, m) {
		t.Errorf("%+v, %v, want %+v", read, err, m)
	}
	want := []features.Part{{Name: "query", Images: 7, Rows: 7}, {Name: "gallery", Images: 23, Rows: 23}, {Name: "multi_query", Images: 9, Rows: 9}}
	if !reflect.DeepEqual(m.Parts, want) || m.Data.Pattern != "market1501" || m.Data.ZeroIsPerson || m.Data.Undivided || len(m.Data.SHA256) != 64 {
		t.Errorf("%+v", m)
	}
	if files := contents(t, dir); len(files) != 7 || !strings.HasPrefix(files["gallery.csv"], "name,pid,camid\nbounding_box_test/-1_c1s1_000021_00.png,-1,1\n") {
		t.Errorf("%d files, %.80q", len(files), files["gallery.csv"])
	}
	never := embedFunc(func(image.Image) ([]float32, error) { t.Error("what is complete was made again"); return nil, nil })
	if again, err := Run(t.Context(), dir, recipe(), never, src, Options{Batch: 7}); err != nil || !reflect.DeepEqual(again, m) {
		t.Errorf("%+v, %v", again, err)
	}
	// A file that was lost makes it incomplete.
	if err := os.Remove(filepath.Join(dir, "query.csv")); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), dir, recipe(), sums, src, Options{}); err != nil {
		t.Error(err)
	}
	rows, labels := slowly(t, src, features.Query)
	sameRows(t, dir, features.Query, rows, labels)
}

// TestGoesOn interrupts an extraction after each batch, and spoils what is left
// in several ways; the end is the same to the bit.
func TestGoesOn(t *testing.T) {
	data := market(t)
	write(t, filepath.Join(data, "bounding_box_test", "0003_c1s1_000009_00.png"), []byte("no image"))
	src := open(t, data)
	whole := t.TempDir()
	opts := Options{Batch: 4}
	if _, err := Run(t.Context(), whole, recipe(), sums, src, opts); err != nil {
		t.Fatal(err)
	}
	want := contents(t, whole)
	spoil := map[string]func(t *testing.T, partial string){
		"nothing": func(*testing.T, string) {},
		"torn journal": func(t *testing.T, partial string) {
			path := filepath.Join(partial, "journal")
			data, _ := os.ReadFile(path)
			write(t, path, data[:max(0, len(data)-3)])
		},
		"rows without an entry": func(t *testing.T, partial string) {
			for _, part := range []string{"query", "gallery"} {
				path := filepath.Join(partial, part+".rows")
				if data, err := os.ReadFile(path); err == nil {
					write(t, path, append(data, "some more rows"...))
				}
			}
		},
		"rows that were not written": func(t *testing.T, partial string) {
			path := filepath.Join(partial, "query.rows")
			if data, err := os.ReadFile(path); err == nil && len(data) > 0 {
				clear(data[len(data)/2:])
				write(t, path, data)
			}
		},
		"rows cut off": func(t *testing.T, partial string) {
			path := filepath.Join(partial, "gallery.rows")
			if data, err := os.ReadFile(path); err == nil {
				write(t, path, data[:len(data)/2])
			}
		},
		"no rows": func(t *testing.T, partial string) { _ = os.Remove(filepath.Join(partial, "query.rows")) },
	}
	for name, spoil := range spoil {
		for stop := range 11 {
			dir := t.TempDir()
			ctx, cancel := context.WithCancel(t.Context())
			batches := -1
			interrupted := opts
			interrupted.Progress = func(int, int) {
				if batches++; batches == stop {
					cancel()
				}
			}
			_, err := Run(ctx, dir, recipe(), sums, src, interrupted)
			cancel()
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s, after batch %d: %v", name, stop, err)
			}
			for file := range contents(t, dir) {
				if !strings.HasPrefix(file, partialDir) {
					t.Fatalf("%s is there before the end", file)
				}
			}
			spoil(t, filepath.Join(dir, partialDir))
			first := -1
			goOn := opts
			goOn.Progress = func(done, _ int) {
				if first < 0 {
					first = done
				}
			}
			if _, err := Run(t.Context(), dir, recipe(), sums, src, goOn); err != nil {
				t.Fatalf("%s, after batch %d: %v", name, stop, err)
			}
			if name == "nothing" && stop > 0 && first == 0 {
				t.Errorf("after %d batches it began anew", stop)
			}
			if got := contents(t, dir); !reflect.DeepEqual(got, want) {
				t.Fatalf("%s, after batch %d: other files", name, stop)
			}
		}
	}
}

// TestKilled kills processes in the middle of an extraction, again and again,
// until one comes to the end.
func TestKilled(t *testing.T) {
	if data := os.Getenv("EXTRACT_DATA"); data != "" {
		slow := embedFunc(func(m image.Image) ([]float32, error) {
			time.Sleep(5 * time.Millisecond)
			return sums(m)
		})
		if _, err := Run(t.Context(), os.Getenv("EXTRACT_OUT"), recipe(), slow, open(t, data), Options{Batch: 2}); err != nil {
			t.Fatal(err)
		}
		return
	}
	data := market(t)
	whole, dir := t.TempDir(), t.TempDir()
	if _, err := Run(t.Context(), whole, recipe(), sums, open(t, data), Options{Batch: 2}); err != nil {
		t.Fatal(err)
	}
	kills := 0
	for {
		if kills > 200 {
			t.Fatal("killed processes get nowhere")
		}
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "EXTRACT_DATA="+data, "EXTRACT_OUT="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		journal := filepath.Join(dir, partialDir, "journal")
		before := size(journal)
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		var err error
		for running := true; running; {
			select {
			case err = <-done:
				running = false
			case <-time.After(time.Millisecond):
				if kills < 6 && size(journal) > before+100 { // it got further
					_ = cmd.Process.Kill() // it may have ended by itself
				}
			}
		}
		if err == nil {
			break
		}
		kills++
	}
	if kills < 2 {
		t.Errorf("%d processes were killed, too few to tell", kills)
	}
	if !reflect.DeepEqual(contents(t, dir), contents(t, whole)) {
		t.Errorf("after %d kills: other files", kills)
	}
}

func size(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}

func TestBroken(t *testing.T) {
	data := market(t)
	broken := []string{"query/0000_c1s1_000000_00.png", "query/0001_c2s1_000004_00.png", "bounding_box_test/0002_c2s1_000007_00.png"}
	write(t, filepath.Join(data, broken[0]), []byte("no image"))
	write(t, filepath.Join(data, broken[1]), picture(t, 3)[:60])
	write(t, filepath.Join(data, broken[2]), nil)
	src := open(t, data)
	dir := t.TempDir()
	var told []features.Skipped
	m, err := Run(t.Context(), dir, recipe(), sums, src, Options{Batch: 3, Skipped: func(s features.Skipped) { told = append(told, s) }})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Skipped) != 3 || !reflect.DeepEqual(told, m.Skipped) || m.Parts[0].Skipped != 2 || m.Parts[0].Rows != 5 || m.Parts[1].Skipped != 1 {
		t.Errorf("%+v", m)
	}
	for i, s := range m.Skipped {
		if s.Image != broken[i] || s.Reason == "" || strings.Contains(s.Reason, dir) {
			t.Errorf("%+v", s)
		}
	}
	for _, part := range features.Parts() {
		rows, labels := slowly(t, src, part)
		sameRows(t, dir, part, rows, labels)
	}
	strict := t.TempDir()
	var unreadable *ImageError
	if _, err := Run(t.Context(), strict, recipe(), sums, src, Options{Strict: true}); !errors.As(err, &unreadable) || !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), broken[0]) {
		t.Errorf("strict: %v", err)
	}
	// Going on strictly refuses what was skipped before.
	ctx, cancel := context.WithCancel(t.Context())
	other := t.TempDir()
	if _, err := Run(ctx, other, recipe(), sums, src, Options{Batch: 3, Progress: func(done, _ int) {
		if done > 0 {
			cancel()
		}
	}}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), other, recipe(), sums, src, Options{Batch: 3, Strict: true}); !errors.Is(err, ErrImage) {
		t.Errorf("strict, after an interruption: %v", err)
	}
	for i := range 7 {
		write(t, filepath.Join(data, fmt.Sprintf("query/%04d_c%ds1_%06d_00.png", i/3, 1+i%3, i)), []byte("no image"))
	}
	if _, err := Run(t.Context(), t.TempDir(), recipe(), sums, open(t, data), Options{}); !errors.Is(err, ErrEmpty) || !strings.Contains(err.Error(), "all 7 are skipped") {
		t.Errorf("no query can be read: %v", err)
	}
}

// TestUnusable: an image that decodes, and that the embedder refuses.
func TestUnusable(t *testing.T) {
	narrow := errors.New("too narrow")
	data := market(t)
	src := open(t, data)
	bad, err := png.Decode(bytes.NewReader(picture(t, 2*17+len("query")))) // the third query
	if err != nil {
		t.Fatal(err)
	}
	picky := embedFunc(func(m image.Image) ([]float32, error) {
		if reflect.DeepEqual(m, bad) {
			return nil, narrow
		}
		return sums(m)
	})
	opts := Options{Batch: 5, Unusable: func(err error) bool { return errors.Is(err, narrow) }}
	m, err := Run(t.Context(), t.TempDir(), recipe(), picky, src, opts)
	if err != nil || len(m.Skipped) != 1 || m.Skipped[0].Reason != "too narrow" || !strings.Contains(m.Skipped[0].Image, "_000002_") || m.Parts[0].Rows != 6 {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := Run(t.Context(), t.TempDir(), recipe(), picky, src, Options{}); !errors.Is(err, narrow) {
		t.Errorf("an error of the embedder's own: %v", err)
	}
	opts.Strict = true
	if _, err := Run(t.Context(), t.TempDir(), recipe(), picky, src, opts); !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), "_000002_") {
		t.Errorf("strict: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	data := market(t)
	interrupted := func(t *testing.T) string {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Run(ctx, dir, recipe(), sums, open(t, data), Options{Batch: 4, Progress: func(done, _ int) {
			if done > 0 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		return dir
	}
	flipped, otherModel := recipe(), recipe()
	flipped.Flip, otherModel.Models = true, []features.Model{{File: "new.onnx", SHA256: strings.Repeat("00", 32)}}
	for want, change := range map[string]func(src *Source, r *features.Recipe, o *Options){
		"flip: false, and true":      func(_ *Source, r *features.Recipe, _ *Options) { *r = flipped },
		"sums.onnx (SHA-256 5a5a":    func(_ *Source, r *features.Recipe, _ *Options) { *r = otherModel },
		"images at a time: 4, and 5": func(_ *Source, _ *features.Recipe, o *Options) { o.Batch = 5 },
		"pooling: none, and track": func(s *Source, _ *features.Recipe, o *Options) {
			o.Pooling, s.Parts[0].Images[0].Track = features.PoolTrack, "7"
		},
		"data: the images":      func(s *Source, _ *features.Recipe, _ *Options) { s.Parts[1].Images[3].PID++ },
		"pattern of file names": func(s *Source, _ *features.Recipe, _ *Options) { s.Data.Pattern = "own" },
		"data without queries":  func(s *Source, _ *features.Recipe, _ *Options) { s.Data.Undivided = true },
		"images were changed in between": func(s *Source, _ *features.Recipe, _ *Options) {
			path := s.file(s.Parts[1].Images[3])
			if err := os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		dir := interrupted(t)
		before := contents(t, dir)
		src, r, o := open(t, data), recipe(), Options{Batch: 4}
		change(src, &r, &o)
		if _, err := Run(t.Context(), dir, r, sums, src, o); !errors.Is(err, ErrResume) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v lacks %q", err, want)
		}
		if !reflect.DeepEqual(contents(t, dir), before) {
			t.Errorf("%s: what was done is lost", want)
		}
	}
	complete := t.TempDir()
	if _, err := Run(t.Context(), complete, recipe(), sums, open(t, data), Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), complete, flipped, sums, open(t, data), Options{}); !errors.Is(err, ErrResume) || !strings.Contains(err.Error(), "flip") {
		t.Errorf("complete with another recipe: %v", err)
	}
	foreign := t.TempDir()
	write(t, filepath.Join(foreign, "gallery.npy"), []byte("mine"))
	if _, err := Run(t.Context(), foreign, recipe(), sums, open(t, data), Options{}); err == nil || !strings.Contains(err.Error(), "in the way") {
		t.Errorf("a file of others: %v", err)
	}
	for want, v := range map[string][]float32{"feature 2 is NaN": {0, 0, float32(math.NaN()), 0, 0}, "2 features, and 5": {1, 2}} {
		odd := embedFunc(func(image.Image) ([]float32, error) { return v, nil })
		if _, err := Run(t.Context(), t.TempDir(), recipe(), odd, open(t, data), Options{}); !errors.Is(err, ErrEmbedder) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "0000_c1s1_000000_00.png") {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	for _, o := range []Options{{Batch: -1}, {Workers: -1}, {Pooling: "person"}} {
		if _, err := Run(t.Context(), t.TempDir(), recipe(), sums, open(t, data), o); !errors.Is(err, reid.ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := Run(t.Context(), t.TempDir(), recipe(), sums, open(t, data), Options{Pooling: features.PoolTrack}); !errors.Is(err, ErrTrack) {
		t.Errorf("no tracks: %v", err)
	}
}

func TestBusy(t *testing.T) {
	src, dir := open(t, market(t)), t.TempDir()
	inside := embedFunc(func(m image.Image) ([]float32, error) {
		if _, err := Run(t.Context(), dir, recipe(), sums, src, Options{}); !errors.Is(err, ErrBusy) {
			t.Errorf("two at once: %v", err)
		}
		return sums(m)
	})
	if _, err := Run(t.Context(), dir, recipe(), inside, src, Options{Workers: 1}); err != nil {
		t.Fatal(err)
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
	m, err := Run(t.Context(), out, recipe(), sums, src, Options{Batch: 2, Pooling: features.PoolTrack})
	if err != nil {
		t.Fatal(err)
	}
	all, labels := slowly(t, src, features.Gallery)
	var rows [][]float32
	var want []features.Row
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
	sameRows(t, out, features.Gallery, rows, want)
	if p := m.Parts[0]; m.Pooling != features.PoolTrack || p.Images != 9 || p.Skipped != 1 || p.Rows != 6 || !m.Data.Undivided {
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
	src, err := Open(filepath.Join(dir, "l.csv"), SourceOptions{})
	if err != nil {
		b.Fatal(err)
	}
	fixed := make([]float32, dim)
	free := embedFunc(func(image.Image) ([]float32, error) { return fixed, nil })
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Run(b.Context(), b.TempDir(), recipe(), free, src, Options{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*640), "ns/image")
}
