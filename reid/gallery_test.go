package reid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"
)

// newGallery makes and opens an empty gallery.
func newGallery(t testing.TB, dim int) *Gallery {
	t.Helper()
	path := filepath.Join(t.TempDir(), "g")
	if err := CreateGallery(path, dim, "model A"); err != nil {
		t.Fatal(err)
	}
	return openGallery(t, path)
}

func openGallery(t testing.TB, path string) *Gallery {
	t.Helper()
	g, err := OpenGallery(path, "model A")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	return g
}

func normal(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(r.NormFloat64())
	}
	return v
}

// people makes entries of few identities, cameras and times, some unknown.
func people(r *rand.Rand, first, n int) []Entry {
	out := make([]Entry, n)
	for i := range out {
		out[i] = Entry{Name: "image " + strconv.Itoa(first+i), Label: Label{PID: identity(r.IntN(10) - 2), Camera: camera(r.IntN(6) - 1)}}
		if r.IntN(4) > 0 {
			out[i].Time = time.Unix(int64(r.IntN(20)), 0).UTC()
		}
		if r.IntN(2) > 0 {
			out[i].Track = "track " + strconv.Itoa(r.IntN(9))
		}
	}
	return out
}

// known is what a test knows of an image that it added.
type known struct {
	Entry
	row      int
	features []float32 // as they were given
}

// unit is v scaled to length 1, as a gallery keeps it.
func unit(v []float32) []float32 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(float64(x) / math.Sqrt(sum))
	}
	return out
}

// slowSearch is what Search does, by its documentation.
func slowSearch(images []known, query []float32, top int, wanted func(Entry) bool) []Hit {
	var hits []Hit
	q := unit(query)
	for _, im := range images {
		if !wanted(im.Entry) {
			continue
		}
		var dot float64
		for k, x := range unit(im.features) {
			dot += float64(q[k]) * float64(x)
		}
		hits = append(hits, Hit{Entry: im.Entry, Row: im.row, Distance: min(max(1-dot, 0), 2)})
	}
	slices.SortFunc(hits, func(a, b Hit) int { return cmp.Or(cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.Row, b.Row)) })
	return hits[:min(top, len(hits))]
}

// identity and camera number the unknown, numbers, and texts.
func identity(n int) ID {
	switch {
	case n < -1:
		return Unknown
	case n > 5:
		return ID([]string{"anna", "person 7", "99999999999"}[n%3])
	}
	return Number(n)
}

func camera(n int) ID {
	switch {
	case n < 0:
		return Unknown
	case n > 2:
		return ID([]string{"door-2", "yard"}[n%2])
	}
	return Number(n)
}

func some(r *rand.Rand, lowest, highest int, id func(int) ID) []ID {
	var out []ID
	for range r.IntN(3) {
		out = append(out, id(lowest+r.IntN(highest-lowest+1)))
	}
	return out
}

// randomFilter is a filter, and what it means.
func randomFilter(r *rand.Rand) (Filter, func(Entry) bool) {
	f := Filter{PIDs: some(r, -2, 8, identity), NotPIDs: some(r, -2, 8, identity), Cameras: some(r, -1, 5, camera), NotCameras: some(r, -1, 5, camera)}
	if r.IntN(3) == 0 {
		f.Since = time.Unix(int64(r.IntN(10)), 0)
	}
	if r.IntN(3) == 0 {
		f.Until = time.Unix(int64(10+r.IntN(10)), 0)
	}
	if r.IntN(4) == 0 {
		for range 50 {
			f.Names = append(f.Names, "image "+strconv.Itoa(r.IntN(2000)))
		}
	}
	return f, func(e Entry) bool {
		switch {
		case len(f.PIDs) > 0 && !slices.Contains(f.PIDs, e.PID), slices.Contains(f.NotPIDs, e.PID):
		case len(f.Cameras) > 0 && !slices.Contains(f.Cameras, e.Camera), slices.Contains(f.NotCameras, e.Camera):
		case !f.Since.IsZero() && (e.Time.IsZero() || e.Time.Before(f.Since)):
		case !f.Until.IsZero() && (e.Time.IsZero() || !e.Time.Before(f.Until)):
		case len(f.Names) > 0 && !slices.Contains(f.Names, e.Name):
		default:
			return true
		}
		return false
	}
}

// TestSearchAgainstSlow adds, replaces and removes at random, in galleries of
// several segments too, and compares searches of every kind with slowSearch.
func TestSearchAgainstSlow(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 1))
			dim := []int{1, 3, 16, 67}[r.IntN(4)]
			g := newGallery(t, dim)
			var images []known
			rows, names := 0, 0
			for step := range 6 {
				n := r.IntN(400)
				if seed == 3 && step == 1 {
					n = 9000
				}
				entries, features := people(r, names, n), normal(r, n*dim)
				names += n
				for i := range entries {
					if len(images) > 0 && i%7 == 0 { // again, which makes equal distances
						copy(features[i*dim:(i+1)*dim], images[r.IntN(len(images))].features)
					}
				}
				for i := range entries {
					if len(images) > 0 && i%11 == 0 {
						old := r.IntN(len(images))
						entries[i].Name = images[old].Name
						images = slices.Delete(images, old, old+1)
					}
				}
				added, err := g.Add(entries, features, ReplaceExisting)
				if err != nil || added != n {
					t.Fatal(added, err)
				}
				for i, e := range entries {
					images = append(images, known{e, rows + i, features[i*dim : (i+1)*dim]})
				}
				rows += n
				if f, meant := randomFilter(r); step%2 == 1 {
					removed, err := g.Remove(f)
					if errors.Is(err, ErrOptions) { // everything
						continue
					}
					before := len(images)
					images = slices.DeleteFunc(images, func(im known) bool { return meant(im.Entry) })
					if err != nil || removed != before-len(images) {
						t.Fatalf("removed %d, %v; want %d", removed, err, before-len(images))
					}
				}
			}
			if step := openGallery(t, g.path); step.Len() != len(images) || g.Len() != len(images) {
				t.Fatalf("%d and %d images, want %d", step.Len(), g.Len(), len(images))
			}
			var called []string
			for _, im := range images {
				called = append(called, im.Name)
			}
			if got := g.Names(); !slices.Equal(got, called) {
				t.Fatalf("names %q, want %q", got, called)
			}
			again := openGallery(t, g.path)
			for range 12 {
				f, meant := randomFilter(r)
				opts := SearchOptions{Top: 1 + r.IntN(40), Filter: f, Workers: 1 + r.IntN(3)}
				queries := normal(r, dim*[]int{1, 2, 40, 300}[r.IntN(4)])
				for _, of := range []*Gallery{g, again} {
					got, err := of.Search(context.Background(), queries, opts)
					if err != nil {
						t.Fatal(err)
					}
					for q, hits := range got {
						want := slowSearch(images, queries[q*dim:(q+1)*dim], opts.Top, meant)
						if !slices.Equal(hits, want) {
							t.Fatalf("query %d, %+v: got\n%v\nwant\n%v", q, opts, hits, want)
						}
					}
				}
			}
			if err := again.Verify(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
}

// wild multiplies badly, within the bound that float32 has.
type wild struct{ Gonum }

func (w wild) MultiplyTransposed(c, a, b []float32, m, n, k int) error {
	err := w.Gonum.MultiplyTransposed(c, a, b, m, n, k)
	for i := range c {
		c[i] += float32(i%3-1) * float32(k) / (1 << 24) * .9
	}
	return err
}

// TestSearchDespiteRounding has neighbours whose order float32 cannot tell.
func TestSearchDespiteRounding(t *testing.T) {
	const dim, n = 256, 600
	r := rand.New(rand.NewPCG(5, 5))
	g := newGallery(t, dim)
	base := unit(normal(r, dim))
	var features []float32
	for range n {
		for _, x := range base {
			features = append(features, x+float32(r.NormFloat64())*1e-4)
		}
	}
	entries := people(r, 0, n)
	if _, err := g.Add(entries, features, RefuseExisting); err != nil {
		t.Fatal(err)
	}
	var images []known
	for i, e := range entries {
		images = append(images, known{e, i, features[i*dim : (i+1)*dim]})
	}
	queries := slices.Repeat(base, 20)
	want := slowSearch(images, base, 10, func(Entry) bool { return true })
	for _, m := range []Multiplier{nil, wild{}} {
		got, err := g.Search(context.Background(), queries, SearchOptions{Multiplier: m})
		if err != nil {
			t.Fatal(err)
		}
		for q := range got {
			if !slices.Equal(got[q], want) {
				t.Fatalf("query %d: got\n%v\nwant\n%v", q, got[q], want)
			}
		}
	}
}

func TestGalleryRefuses(t *testing.T) {
	g := newGallery(t, 2)
	ctx := context.Background()
	add := func(existing Existing, features []float32, names ...string) (int, error) {
		entries := make([]Entry, len(names))
		for i, name := range names {
			entries[i].Name = name
		}
		return g.Add(entries, features, existing)
	}
	if _, err := add(RefuseExisting, []float32{1, 0, 0, 1}, "a", "b"); err != nil {
		t.Fatal(err)
	}
	nan := float32(math.NaN())
	for _, tc := range []struct {
		what     string
		features []float32
		names    []string
		want     error
		row      int // of the RowError, or -1
	}{
		{"NaN", []float32{1, 0, nan, 0}, []string{"c", "d"}, ErrNotFinite, 1},
		{"infinite", []float32{float32(math.Inf(1)), 0}, []string{"c"}, ErrNotFinite, 0},
		{"zero", []float32{1, 0, 0, 0}, []string{"c", "d"}, ErrNotFinite, 1},
		{"there already", []float32{1, 0, 0, 1}, []string{"c", "b"}, ErrDuplicate, 1},
		{"twice", []float32{1, 0, 0, 1}, []string{"c", "c"}, ErrDuplicate, 1},
		{"no name", []float32{1, 0}, []string{""}, ErrLabel, 0},
		{"dimension", []float32{1, 0, 0, 1, 1, 1}, []string{"c", "d"}, ErrDimension, -1},
		{"count", []float32{1, 0, 0}, []string{"c", "d"}, ErrCount, -1},
	} {
		_, err := add(RefuseExisting, tc.features, tc.names...)
		var row *RowError
		if !errors.Is(err, tc.want) || errors.As(err, &row) != (tc.row >= 0) || row != nil && row.Row != tc.row {
			t.Errorf("%s: %v", tc.what, err)
		}
	}
	for _, e := range []Entry{
		{Name: "c", Label: Label{PID: "-3"}}, {Name: "c", Label: Label{Camera: "-2"}}, {Name: "c", Label: Label{PID: "0007"}},
		{Name: "c", Time: time.Date(3000, 1, 1, 0, 0, 0, 0, time.UTC)}, {Name: string(make([]byte, 5000))},
	} {
		if _, err := g.Add([]Entry{e}, []float32{1, 0}, RefuseExisting); !errors.Is(err, ErrLabel) {
			t.Errorf("%.40v: %v", e, err)
		}
	}
	if _, err := g.Add(nil, nil, 7); !errors.Is(err, ErrOptions) {
		t.Errorf("%v", err)
	}
	if g.Len() != 2 {
		t.Errorf("%d images after refusals", g.Len())
	}
	if n, err := add(SkipExisting, []float32{1, 1, 2, 2, 3, 3}, "b", "c", "a"); n != 1 || err != nil || g.Len() != 3 {
		t.Errorf("skipping: %d, %v, %d images", n, err, g.Len())
	}

	for _, tc := range []struct {
		queries []float32
		opts    SearchOptions
		want    error
	}{
		{nil, SearchOptions{}, ErrEmpty},
		{[]float32{1, 0, 1}, SearchOptions{}, ErrDimension},
		{[]float32{1, 0, 0, 0}, SearchOptions{}, ErrNotFinite},
		{[]float32{1, nan}, SearchOptions{}, ErrNotFinite},
		{[]float32{1, 0}, SearchOptions{Top: -1}, ErrOptions},
		{[]float32{1, 0}, SearchOptions{Workers: -1}, ErrOptions},
		{[]float32{1, 0}, SearchOptions{Filter: Filter{PIDs: []ID{"-3"}}}, ErrOptions},
		{[]float32{1, 0}, SearchOptions{Filter: Filter{Since: time.Unix(5, 0), Until: time.Unix(5, 0)}}, ErrOptions},
	} {
		if _, err := g.Search(ctx, tc.queries, tc.opts); !errors.Is(err, tc.want) {
			t.Errorf("%v, %+v: %v", tc.queries, tc.opts, err)
		}
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := g.Search(cancelled, []float32{1, 0}, SearchOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := g.Remove(Filter{}); !errors.Is(err, ErrOptions) {
		t.Errorf("removing everything: %v", err)
	}

	var mismatch *FingerprintError
	_, err := OpenGallery(g.path, "model B")
	if !errors.As(err, &mismatch) || !errors.Is(err, ErrFingerprint) || mismatch.Given != "model B" || mismatch.Fingerprint != "model A" {
		t.Errorf("another model: %v", err)
	}
	if err := CreateGallery(g.path, 2, "model A"); !errors.Is(err, ErrGalleryExists) {
		t.Errorf("again: %v", err)
	}
	for dim, print := range map[int]string{0: "x", 1 << 20: "x", 2: ""} {
		if err := CreateGallery(filepath.Join(t.TempDir(), "h"), dim, print); !errors.Is(err, ErrOptions) {
			t.Errorf("%d features, fingerprint %q: %v", dim, print, err)
		}
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Search(ctx, []float32{1, 0}, SearchOptions{}); !errors.Is(err, ErrGalleryClosed) {
		t.Errorf("closed: %v", err)
	}
	if _, err := add(RefuseExisting, []float32{1, 1}, "d"); !errors.Is(err, ErrGalleryClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestOneWriter: a second handle is like another process.
func TestOneWriter(t *testing.T) {
	first := newGallery(t, 1)
	second := openGallery(t, first.path)
	one := func(g *Gallery, name string) error {
		_, err := g.Add([]Entry{{Name: name}}, []float32{1}, RefuseExisting)
		return err
	}
	if err := one(first, "a"); err != nil {
		t.Fatal(err)
	}
	if err := one(second, "b"); !errors.Is(err, ErrGalleryLocked) {
		t.Fatalf("a second writer: %v", err)
	}
	if second.Len() != 0 {
		t.Errorf("%d images without Refresh", second.Len())
	}
	if err := second.Refresh(); err != nil || second.Len() != 1 {
		t.Errorf("%d images after Refresh, %v", second.Len(), err)
	}
	if err := one(first, "c"); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	// The lock brings it up to date.
	if err := one(second, "c"); !errors.Is(err, ErrDuplicate) {
		t.Errorf("%v", err)
	}
	if err := one(second, "d"); err != nil || second.Len() != 3 {
		t.Errorf("%d images, %v", second.Len(), err)
	}
}

// TestSearchWhileAdding: what is found is whole, and never less than before.
func TestSearchWhileAdding(t *testing.T) {
	const dim, batches, each = 4, 60, 100
	g := newGallery(t, dim)
	r := rand.New(rand.NewPCG(9, 9))
	var all sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		all.Go(func() {
			before := 0
			for {
				select {
				case <-stop:
					return
				default:
				}
				hits, err := g.Search(context.Background(), []float32{1, 0, 0, 0}, SearchOptions{Top: 1 << 20, Filter: Filter{PIDs: []ID{"1"}}})
				if err != nil {
					t.Error(err)
					return
				}
				if n := len(hits[0]); n%each != 0 || n < before {
					t.Errorf("%d images found, after %d", n, before)
					return
				} else {
					before = n
				}
				if _, err := g.Info(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for b := range batches {
		entries := make([]Entry, each)
		for i := range entries {
			entries[i] = Entry{Name: fmt.Sprint(b, i), Label: Label{PID: "1"}}
		}
		if _, err := g.Add(entries, normal(r, each*dim), RefuseExisting); err != nil {
			t.Error(err)
		}
		if _, err := g.Add([]Entry{{Name: "other", Label: Label{PID: "2"}}}, []float32{1, 1, 1, 1}, ReplaceExisting); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	all.Wait()
}

// TestSearchAllocations: they follow the hits, not the gallery.
func TestSearchAllocations(t *testing.T) {
	const dim = 8
	r := rand.New(rand.NewPCG(2, 2))
	var counts []float64
	for _, n := range []int{300, 20000} {
		g := newGallery(t, dim)
		if _, err := g.Add(people(r, 0, n), normal(r, n*dim), RefuseExisting); err != nil {
			t.Fatal(err)
		}
		query := normal(r, dim)
		// The least of many: under the race detector sync.Pool forgets at random.
		least := math.Inf(1)
		for range 30 {
			least = min(least, testing.AllocsPerRun(1, func() {
				if _, err := g.Search(context.Background(), query, SearchOptions{Workers: 2, Filter: Filter{NotCameras: []ID{"1"}}}); err != nil {
					t.Fatal(err)
				}
			}))
		}
		counts = append(counts, least)
	}
	if counts[1] > counts[0]+4 {
		t.Errorf("%v allocations a search in galleries of 300 and 20000 images", counts)
	}
}

func TestGalleryInfo(t *testing.T) {
	g := newGallery(t, 1)
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	entries := []Entry{
		{Name: "a", Label: Label{PID: "5", Camera: "3"}, Time: at.Add(time.Hour)}, {Name: "b", Label: Label{PID: "5", Camera: "1"}, Time: at},
		{Name: "c", Label: Label{PID: Junk, Camera: Unknown}}, {Name: "d", Label: Label{PID: Distractor, Camera: "door-2"}}, {Name: "e", Label: Label{PID: Unknown, Camera: "9"}},
	}
	if _, err := g.Add(entries, []float32{1, 1, 1, 1, 1}, RefuseExisting); err != nil {
		t.Fatal(err)
	}
	if n, err := g.Remove(Filter{Names: []string{"e", "missing"}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	info, err := ReadGalleryInfo(g.path)
	if err != nil {
		t.Fatal(err)
	}
	want := GalleryInfo{Path: g.path, Fingerprint: "model A", Dim: 1, Images: 4, Removed: 1, Identities: 1, Cameras: []ID{"1", "3", "door-2"}, First: at, Last: at.Add(time.Hour), Bytes: info.Bytes}
	if fmt.Sprint(info) != fmt.Sprint(want) || info.Bytes < 4096 {
		t.Errorf("got %+v, want %+v", info, want)
	}
}

// TestDamagedGallery changes the files of a gallery with two blocks of images.
func TestDamagedGallery(t *testing.T) {
	const dim, n = 4, 500
	r := rand.New(rand.NewPCG(4, 4))
	g := newGallery(t, dim)
	if _, err := g.Add(people(r, 0, n), normal(r, n*dim), RefuseExisting); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	query := make([]float32, 20*dim)
	for i := range query {
		query[i] = 1
	}
	file := filepath.Join(g.path, "features.f32")
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []int{0, 255, 256, 499} {
		content := slices.Clone(good)
		content[row*dim*4+5] ^= 0x40
		if err := os.WriteFile(file, content, 0o644); err != nil {
			t.Fatal(err)
		}
		damaged := openGallery(t, g.path)
		var damage *DamageError
		for _, queries := range [][]float32{query[:dim], query} {
			if _, err := damaged.Search(context.Background(), queries, SearchOptions{}); !errors.As(err, &damage) || damage.File != file || damage.Offset != int64(row*dim*4) {
				t.Errorf("row %d: %v", row, err)
			}
		}
		if err := damaged.Verify(context.Background()); !errors.As(err, &damage) || damage.Offset != int64(row*dim*4) {
			t.Errorf("row %d: %v", row, err)
		}
	}
	if err := os.Truncate(file, 100); err != nil {
		t.Fatal(err)
	}
	var damage *DamageError
	if _, err := OpenGallery(g.path, "model A"); !errors.As(err, &damage) {
		t.Errorf("cut: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenGallery(g.path, "model A"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing: %v", err)
	}
}
