//go:build unix

package reid

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// holds reports whether a file of a gallery has the features of an image.
func holds(t *testing.T, path string, features []float32) bool {
	t.Helper()
	var want []byte
	for _, x := range unit(features) {
		want = binary.LittleEndian.AppendUint32(want, math.Float32bits(x))
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		content, err := os.ReadFile(filepath.Join(path, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, want) {
			return true
		}
	}
	return false
}

// TestCompact compacts galleries of several segments at random, and compares with
// a list, also in handles that were opened before.
func TestCompact(t *testing.T) {
	const dim = 6
	r := rand.New(rand.NewPCG(4, 2))
	g := newGallery(t, dim)
	reader := openGallery(t, g.path)
	var images []known
	names := 0
	if err := g.SetNote([]byte("kept")); err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		n := []int{0, 300, 9000, 1, 700, 50}[round]
		entries, features := people(r, names, n), normal(r, n*dim)
		names += n
		if _, err := g.Add(entries, features, RefuseExisting); err != nil {
			t.Fatal(err)
		}
		for i, e := range entries {
			images = append(images, known{e, 0, features[i*dim : (i+1)*dim]})
		}
		if err := reader.Refresh(); err != nil {
			t.Fatal(err)
		}
		id := identity(r.IntN(9) - 1)
		if _, err := g.Remove(Filter{PIDs: []ID{id}}); err != nil {
			t.Fatal(err)
		}
		var gone []known
		kept := slices.Clone(images)
		kept = slices.DeleteFunc(kept, func(im known) bool { return im.PID == id })
		for _, im := range images {
			if im.PID == id {
				gone = append(gone, im)
			}
		}
		images = kept
		query := normal(r, dim)
		before, err := reader.Search(t.Context(), query, SearchOptions{Top: 20})
		if err != nil {
			t.Fatal(err)
		}
		if err := g.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		again, err := reader.Search(t.Context(), query, SearchOptions{Top: 20})
		if err != nil || !slices.Equal(before[0], again[0]) {
			t.Fatalf("a reader that has not refreshed: %v, %v; before %v", again, err, before)
		}
		if err := reader.Refresh(); err != nil {
			t.Fatal(err)
		}
		for i := range images {
			images[i].row = i
		}
		for _, of := range []*Gallery{g, reader, openGallery(t, g.path)} {
			hits, err := of.Search(t.Context(), query, SearchOptions{Top: 20})
			if err != nil || !slices.Equal(hits[0], slowSearch(images, query, 20, func(Entry) bool { return true })) {
				t.Fatalf("round %d: %v, %v", round, hits, err)
			}
			if err := of.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			info, err := of.Info()
			if err != nil || info.Images != len(images) || info.Removed != 0 || string(of.Note()) != "kept" {
				t.Errorf("%+v, %v, note %q", info, err, of.Note())
			}
		}
		for _, im := range gone[:min(3, len(gone))] {
			if holds(t, g.path, im.features) {
				t.Error("the features of a removed image can still be read")
			}
		}
		for _, im := range images[:min(1, len(images))] {
			if !holds(t, g.path, im.features) {
				t.Error("the features of an image that stays cannot be read")
			}
		}
		entriesOf, err := os.ReadDir(g.path)
		if err != nil || len(entriesOf) != 3 {
			t.Errorf("the folder has %v, %v", entriesOf, err)
		}
	}
	// The names are still known.
	if _, err := g.Add([]Entry{images[0].Entry}, images[0].features, RefuseExisting); !errors.Is(err, ErrDuplicate) {
		t.Errorf("%v", err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Compact(cancelled); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := g.Add(people(r, names, 1), normal(r, dim), RefuseExisting); err != nil {
		t.Errorf("after a compaction that was cancelled: %v", err)
	}
}

// TestSearchWhileCompacting: what is found stays the same.
func TestSearchWhileCompacting(t *testing.T) {
	const dim, n = 4, 2000
	r := rand.New(rand.NewPCG(4, 3))
	g := newGallery(t, dim)
	if _, err := g.Add(people(r, 0, n), normal(r, n*dim), RefuseExisting); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Remove(Filter{PIDs: []ID{"1"}}); err != nil {
		t.Fatal(err)
	}
	reader := openGallery(t, g.path)
	query := normal(r, dim)
	want, err := g.Search(t.Context(), query, SearchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() {
		for range 20 {
			if err := g.Compact(t.Context()); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		for _, of := range []*Gallery{g, reader} {
			hits, err := of.Search(t.Context(), query, SearchOptions{})
			if err != nil {
				t.Fatal(err)
			}
			for i, h := range hits[0] {
				if h.Entry != want[0][i].Entry || h.Distance != want[0][i].Distance {
					t.Fatalf("hit %d is %+v, was %+v", i, h, want[0][i])
				}
			}
		}
		if err := reader.Refresh(); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

// compacterVariable makes the test's own program compact the gallery of that path.
const compacterVariable = "DML_TEST_COMPACT"

// keepCompacting compacts again and again, and says so each time.
func keepCompacting(path string) error {
	g, err := OpenGallery(path, "model A")
	if err != nil {
		return err
	}
	for {
		if err := g.Compact(context.Background()); err != nil {
			return err
		}
		fmt.Println("compacted")
	}
}

// TestKilledWhileCompacting kills a process that compacts at moments of all
// kinds: the gallery holds what it held, and a change goes through.
func TestKilledWhileCompacting(t *testing.T) {
	const dim, kills = 5, 60
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(5, 2))
	g := newGallery(t, dim)
	images, features := people(r, 0, 1500), normal(r, 1500*dim)
	if _, err := g.Add(images, features, RefuseExisting); err != nil {
		t.Fatal(err)
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	left := 0
	for k := range kills {
		g := openGallery(t, g.path)
		extra := fmt.Sprintf("extra %d", k)
		if _, err := g.Add([]Entry{{Name: extra}}, normal(r, dim), RefuseExisting); err != nil {
			t.Fatal(err)
		}
		if n, err := g.Remove(Filter{Names: []string{extra}}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if err := g.Close(); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), compacterVariable+"="+g.path)
		var out, stderr strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Duration(5000+r.IntN(60_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
			t.Fatalf("the process was not killed: %v, %s", err, stderr.String())
		}
		if entries, err := os.ReadDir(g.path); err != nil || len(entries) > 3 {
			left++
		}
		again := openGallery(t, g.path)
		listed, err := again.Images(Filter{})
		if err != nil {
			t.Fatal(err)
		}
		var got []Entry
		for _, e := range listed {
			got = append(got, e)
		}
		if err := again.Verify(t.Context()); err != nil || !slices.Equal(got, images) {
			t.Fatalf("kill %d: %d images, %v", k, len(got), err)
		}
		if err := again.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d processes killed, %d left files of a compaction behind", kills, left)
}

// TestWaitForOthers: a writer waits for another one, up to its limit.
func TestWaitForOthers(t *testing.T) {
	first := newGallery(t, 1)
	second := openGallery(t, first.path)
	add := func(g *Gallery, name string) error {
		_, err := g.Add([]Entry{{Name: name}}, []float32{1}, RefuseExisting)
		return err
	}
	if err := add(first, "a"); err != nil {
		t.Fatal(err)
	}
	second.WaitForOthers(50 * time.Millisecond)
	if err := add(second, "b"); !errors.Is(err, ErrGalleryLocked) || !strings.Contains(err.Error(), "50ms") {
		t.Errorf("%v", err)
	}
	second.WaitForOthers(time.Minute)
	time.AfterFunc(50*time.Millisecond, func() { _ = first.Close() })
	if err := add(second, "b"); err != nil || second.Len() != 2 {
		t.Errorf("%v, %d images", err, second.Len())
	}
}
