package features

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/deepmutual/dml/reid"
)

func TestBroken(t *testing.T) {
	data := market(t)
	broken := []string{"query/0000_c1s1_000000_00.png", "query/0001_c2s1_000004_00.png", "bounding_box_test/0002_c2s1_000007_00.png"}
	write(t, filepath.Join(data, broken[0]), []byte("no image"))
	write(t, filepath.Join(data, broken[1]), picture(t, 3)[:60])
	write(t, filepath.Join(data, broken[2]), nil)
	src := open(t, data)
	dir := t.TempDir()
	m, err := Extract(t.Context(), dir, by(sumsRecipe(), sums), src, ExtractOptions{Batch: 3})
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Skipped) != 3 || m.Parts[0].Skipped != 2 || m.Parts[0].Rows != 5 || m.Parts[1].Skipped != 1 {
		t.Errorf("%+v", m)
	}
	for i, s := range m.Skipped {
		if s.Image != broken[i] || s.Reason == "" || strings.Contains(s.Reason, dir) {
			t.Errorf("%+v", s)
		}
	}
	for _, part := range Parts() {
		rows, labels := slowly(t, src, part)
		sameRows(t, dir, part, rows, labels)
	}
	strict := t.TempDir()
	var unreadable *ImageError
	if _, err := Extract(t.Context(), strict, by(sumsRecipe(), sums), src, ExtractOptions{Strict: true}); !errors.As(err, &unreadable) || !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), broken[0]) {
		t.Errorf("strict: %v", err)
	}
	// Going on strictly refuses what was skipped before.
	ctx, cancel := context.WithCancel(t.Context())
	other := t.TempDir()
	if _, err := Extract(ctx, other, by(sumsRecipe(), sums), src, ExtractOptions{Batch: 3, Progress: func(done, _ int) {
		if done > 0 {
			cancel()
		}
	}}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := Extract(t.Context(), other, by(sumsRecipe(), sums), src, ExtractOptions{Batch: 3, Strict: true}); !errors.Is(err, ErrImage) {
		t.Errorf("strict, after an interruption: %v", err)
	}
	for i := range 7 {
		write(t, filepath.Join(data, fmt.Sprintf("query/%04d_c%ds1_%06d_00.png", i/3, 1+i%3, i)), []byte("no image"))
	}
	if _, err := Extract(t.Context(), t.TempDir(), by(sumsRecipe(), sums), open(t, data), ExtractOptions{}); !errors.Is(err, reid.ErrEmpty) || !strings.Contains(err.Error(), "all 7 are skipped") {
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
	opts := ExtractOptions{Batch: 5, Unusable: func(err error) bool { return errors.Is(err, narrow) }}
	m, err := Extract(t.Context(), t.TempDir(), by(sumsRecipe(), picky), src, opts)
	if err != nil || len(m.Skipped) != 1 || m.Skipped[0].Reason != "too narrow" || !strings.Contains(m.Skipped[0].Image, "_000002_") || m.Parts[0].Rows != 6 {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := Extract(t.Context(), t.TempDir(), by(sumsRecipe(), picky), src, ExtractOptions{}); !errors.Is(err, narrow) {
		t.Errorf("an error of the embedder's own: %v", err)
	}
	opts.Strict = true
	if _, err := Extract(t.Context(), t.TempDir(), by(sumsRecipe(), picky), src, opts); !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), "_000002_") {
		t.Errorf("strict: %v", err)
	}
}

func TestRefuses(t *testing.T) {
	data := market(t)
	interrupted := func(t *testing.T) string {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := Extract(ctx, dir, by(sumsRecipe(), sums), open(t, data), ExtractOptions{Batch: 4, Progress: func(done, _ int) {
			if done > 0 {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		return dir
	}
	flipped, otherModel := sumsRecipe(), sumsRecipe()
	flipped.Flip, otherModel.Models = true, []Model{{File: "new.onnx", SHA256: strings.Repeat("00", 32)}}
	for want, change := range map[string]func(src *Images, r *Recipe, o *ExtractOptions){
		"flip: false, and true":      func(_ *Images, r *Recipe, _ *ExtractOptions) { *r = flipped },
		"sums.onnx (SHA-256 5a5a":    func(_ *Images, r *Recipe, _ *ExtractOptions) { *r = otherModel },
		"images at a time: 4, and 5": func(_ *Images, _ *Recipe, o *ExtractOptions) { o.Batch = 5 },
		"pooling: none, and track": func(s *Images, _ *Recipe, o *ExtractOptions) {
			o.Pooling, s.Parts[0].Images[0].Track = PoolTrack, "7"
		},
		"data: the images":      func(s *Images, _ *Recipe, _ *ExtractOptions) { s.Parts[1].Images[3].PID += "0" },
		"pattern of file names": func(s *Images, _ *Recipe, _ *ExtractOptions) { s.Data.Pattern = "own" },
		"data without queries":  func(s *Images, _ *Recipe, _ *ExtractOptions) { s.Data.Undivided = true },
		"images were changed in between": func(s *Images, _ *Recipe, _ *ExtractOptions) {
			path := s.file(s.Parts[1].Images[3])
			if err := os.Chtimes(path, time.Time{}, time.Unix(1e9, 0)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		dir := interrupted(t)
		before := contents(t, dir)
		src, r, o := open(t, data), sumsRecipe(), ExtractOptions{Batch: 4}
		change(src, &r, &o)
		if _, err := Extract(t.Context(), dir, by(r, sums), src, o); !errors.Is(err, ErrResume) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%v lacks %q", err, want)
		}
		if !reflect.DeepEqual(contents(t, dir), before) {
			t.Errorf("%s: what was done is lost", want)
		}
	}
	complete := t.TempDir()
	if _, err := Extract(t.Context(), complete, by(sumsRecipe(), sums), open(t, data), ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Extract(t.Context(), complete, by(flipped, sums), open(t, data), ExtractOptions{}); !errors.Is(err, ErrResume) || !strings.Contains(err.Error(), "flip") {
		t.Errorf("complete with another recipe: %v", err)
	}
	foreign := t.TempDir()
	write(t, filepath.Join(foreign, "gallery.npy"), []byte("mine"))
	if _, err := Extract(t.Context(), foreign, by(sumsRecipe(), sums), open(t, data), ExtractOptions{}); err == nil || !strings.Contains(err.Error(), "in the way") {
		t.Errorf("a file of others: %v", err)
	}
	for want, v := range map[string][]float32{"feature 2 is NaN": {0, 0, float32(math.NaN()), 0, 0}, "2 features, and 5": {1, 2}} {
		odd := embedFunc(func(image.Image) ([]float32, error) { return v, nil })
		if _, err := Extract(t.Context(), t.TempDir(), by(sumsRecipe(), odd), open(t, data), ExtractOptions{}); !errors.Is(err, ErrEmbedder) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "0000_c1s1_000000_00.png") {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	for _, o := range []ExtractOptions{{Batch: -1}, {Workers: -1}, {Pooling: "person"}} {
		if _, err := Extract(t.Context(), t.TempDir(), by(sumsRecipe(), sums), open(t, data), o); !errors.Is(err, reid.ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := Extract(t.Context(), t.TempDir(), by(sumsRecipe(), sums), open(t, data), ExtractOptions{Pooling: PoolTrack}); !errors.Is(err, ErrTrack) {
		t.Errorf("no tracks: %v", err)
	}
}

// TestZero: features that are all zero have no direction. Their image is skipped,
// among others that are broken, in the images' order.
func TestZero(t *testing.T) {
	data := market(t)
	write(t, filepath.Join(data, "query", "0001_c2s1_000004_00.png"), nil)
	calls := 0
	some := embedFunc(func(m image.Image) ([]float32, error) {
		if calls++; calls == 2 {
			return make([]float32, dim), nil
		}
		return sums(m)
	})
	dir := t.TempDir()
	m, err := Extract(t.Context(), dir, by(sumsRecipe(), some), open(t, data), ExtractOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if p := m.Parts[0]; p.Images != 7 || p.Skipped != 2 || p.Rows != 5 || len(m.Skipped) != 2 || m.Skipped[0].Image != "query/0000_c2s1_000001_00.png" || m.Skipped[0].Reason != errZero.Error() {
		t.Errorf("%+v", m)
	}
	if rows, err := ReadList(filepath.Join(dir, "query.csv")); err != nil || len(rows) != 5 || rows[1].Name != "query/0000_c3s1_000002_00.png" {
		t.Errorf("%+v, %v", rows, err)
	}
	calls = 0
	if _, err := Extract(t.Context(), t.TempDir(), by(sumsRecipe(), some), open(t, data), ExtractOptions{Strict: true}); !errors.Is(err, ErrImage) {
		t.Errorf("strict: %v", err)
	}
}
