package reid

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"
)

// TestRelabel changes labels at random, beside searches and after opening again,
// and compares with a list.
func TestRelabel(t *testing.T) {
	const dim = 3
	r := rand.New(rand.NewPCG(8, 1))
	g := newGallery(t, dim)
	var images []known
	for step := range 30 {
		entries, features := people(r, step*50, 50), normal(r, 50*dim)
		if _, err := g.Add(entries, features, RefuseExisting); err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			images = append(images, known{e, step*50 + i, features[i*dim : (i+1)*dim]})
		}
		f, meant := randomFilter(r)
		var to NewLabel
		if id := identity(r.IntN(10) - 2); r.IntN(2) == 0 {
			to.PID = &id
		}
		if id := camera(r.IntN(6) - 1); r.IntN(2) == 0 {
			to.Camera = &id
		}
		if at := []time.Time{{}, time.Unix(int64(r.IntN(20)), 0).UTC()}[r.IntN(2)]; r.IntN(2) == 0 {
			to.Time = &at
		}
		before := g.store.View()
		want := 0
		changed := slices.Clone(images)
		for i := range changed {
			if meant(changed[i].Entry) {
				want++
				to.apply(&changed[i].Entry)
			}
		}
		n, err := g.Relabel(f, to)
		if errors.Is(err, ErrOptions) && (to == NewLabel{} || want == len(images)) {
			continue
		}
		if err != nil || n != want {
			t.Fatalf("%d labelled, %v; want %d", n, err, want)
		}
		for i, im := range images { // a search under way sees all of a change or nothing
			if entryOf(before.Row(i)) != im.Entry {
				t.Fatalf("row %d of a view has changed", i)
			}
		}
		images = changed
		for _, of := range []*Gallery{g, openGallery(t, g.path)} {
			listed, err := of.Images(Filter{})
			if err != nil {
				t.Fatal(err)
			}
			at := 0
			for row, e := range listed {
				if row != at || e != images[at].Entry {
					t.Fatalf("row %d is %+v, want %+v", row, e, images[at].Entry)
				}
				at++
			}
			if at != len(images) {
				t.Fatalf("%d images listed of %d", at, len(images))
			}
		}
	}
	f, meant := Filter{PIDs: []ID{"anna"}, NotCameras: []ID{"yard"}}, func(e Entry) bool { return e.PID == "anna" && e.Camera != "yard" }
	query := normal(r, dim)
	got, err := g.Search(t.Context(), query, SearchOptions{Filter: f, Top: 7})
	if err != nil || !slices.Equal(got[0], slowSearch(images, query, 7, meant)) {
		t.Errorf("%v, %v", got, err)
	}
	some := 0
	listed, _ := g.Images(f)
	for _, e := range listed {
		if !meant(e) {
			t.Errorf("listed: %+v", e)
		}
		if some++; some == 3 {
			break
		}
	}
	bad, empty := ID("-7"), Unknown
	for _, tc := range []struct {
		f    Filter
		to   NewLabel
		want error
	}{
		{Filter{}, NewLabel{PID: &empty}, ErrOptions}, {Filter{PIDs: []ID{"1"}}, NewLabel{}, ErrOptions},
		{Filter{PIDs: []ID{"1"}}, NewLabel{PID: &bad}, ErrLabel}, {Filter{PIDs: []ID{"-7"}}, NewLabel{PID: &empty}, ErrOptions},
	} {
		if _, err := g.Relabel(tc.f, tc.to); !errors.Is(err, tc.want) {
			t.Errorf("%+v: %v", tc, err)
		}
	}
	if n, err := g.Relabel(Filter{Names: []string{"missing"}}, NewLabel{PID: &empty}); n != 0 || err != nil {
		t.Errorf("nobody: %d, %v", n, err)
	}
}

func TestNote(t *testing.T) {
	g := newGallery(t, 1)
	for _, note := range []string{"first", "", "last"} {
		if err := g.SetNote([]byte(note)); err != nil || string(g.Note()) != note || string(openGallery(t, g.path).Note()) != note {
			t.Errorf("%q: %q, %v", note, g.Note(), err)
		}
	}
	if err := g.SetNote(make([]byte, 2<<20)); !errors.Is(err, ErrOptions) {
		t.Errorf("%v", err)
	}
}

// slowGroups keeps the nearest hit of each group that is near enough.
func slowGroups(hits []Hit, by Group, limit float64, top int) []Hit {
	var out []Hit
	seen := map[string]bool{}
	for _, h := range hits {
		key := ""
		if by == GroupTrack {
			key = h.Track
		} else if by == GroupIdentity && h.PID.Person() {
			key = string(h.PID)
		}
		if limit > 0 && h.Distance >= limit || key != "" && seen[key] {
			continue
		}
		seen[key] = true
		out = append(out, h)
	}
	return out[:min(top, len(out))]
}

// TestOpenSet searches within distances, and for groups, some of which need most
// of the gallery.
func TestOpenSet(t *testing.T) {
	const dim, n = 5, 3000
	r := rand.New(rand.NewPCG(3, 3))
	g := newGallery(t, dim)
	entries, features := people(r, 0, n), normal(r, n*dim)
	for i := range entries {
		if i%40 != 0 { // most are of one person and track, near each other
			entries[i].PID, entries[i].Track = "anna", "long"
			for k := range dim {
				features[i*dim+k] = 1 + .1*features[i*dim+k]
			}
		}
	}
	if _, err := g.Add(entries, features, RefuseExisting); err != nil {
		t.Fatal(err)
	}
	var images []known
	for i, e := range entries {
		images = append(images, known{e, i, features[i*dim : (i+1)*dim]})
	}
	queries := normal(r, 40*dim)
	for k := range 5 * dim {
		queries[k] = 1 + .01*queries[k]
	}
	all := make([][]Hit, 40)
	for q := range all {
		all[q] = slowSearch(images, queries[q*dim:(q+1)*dim], n, func(Entry) bool { return true })
	}
	for _, by := range []Group{GroupNone, GroupIdentity, GroupTrack} {
		for _, limit := range []float64{0, 1e-9, .05, .5, 1, 2} {
			for _, top := range []int{0, 1, 4, 50, 5000} {
				for _, count := range []int{1, 3, 40} {
					got, err := g.Search(context.Background(), queries[:count*dim], SearchOptions{Top: top, MaxDistance: limit, Group: by})
					if err != nil {
						t.Fatal(err)
					}
					for q := range count {
						if want := slowGroups(all[q], by, limit, cmp.Or(top, 10)); !slices.Equal(got[q], want) {
							t.Fatalf("group %d, limit %v, top %d, query %d of %d:\n%v\nwant\n%v", by, limit, top, q, count, got[q], want)
						}
					}
				}
			}
		}
	}
	// A distance that is met exactly is not below the limit.
	for _, at := range []int{0, 9, 99, 2999} {
		got, err := g.Search(t.Context(), queries[:dim], SearchOptions{Top: n, MaxDistance: all[0][at].Distance})
		if err != nil || len(got[0]) > at {
			t.Errorf("limit %v, of hit %s: %d hits, %v", all[0][at].Distance, strconv.Itoa(at), len(got[0]), err)
		}
	}
	for _, opts := range []SearchOptions{{MaxDistance: -1}, {MaxDistance: 2.1}, {Group: 3}, {Group: -1}} {
		if err := opts.Validate(); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", opts, err)
		}
	}
}
