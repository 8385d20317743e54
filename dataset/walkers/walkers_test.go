package walkers_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"image"
	"image/jpeg"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/dataset/walkers"
)

func newSet(t testing.TB, opts walkers.Options) *walkers.Set {
	t.Helper()
	s, err := walkers.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var small = walkers.Options{TrainIdentities: 3, TestIdentities: 2, Cameras: 3, Images: 2, Distractors: 0.5, Junk: 0.25}

// TestGolden holds the pixels of a small set of each difficulty. A change means
// that a seed gives other pictures than before: say so in the changelog.
func TestGolden(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skipf("on %s, products are fused into sums, which may move a pixel by a level", runtime.GOARCH)
	}
	for difficulty, want := range map[walkers.Difficulty]string{
		walkers.Easy:   "26271bd9bbd1cb28",
		walkers.Medium: "eb68f74f31877c35",
		walkers.Hard:   "7558ea7e81a4f967",
	} {
		opts := small
		opts.Difficulty = difficulty
		s := newSet(t, opts)
		hash := sha256.New()
		for _, m := range s.Images() {
			hash.Write(s.Draw(m).Pix)
		}
		if got := hex.EncodeToString(hash.Sum(nil))[:16]; got != want {
			t.Errorf("%s: pixels hash to %s, want %s", difficulty, got, want)
		}
	}
}

// TestPure draws images in another order, and of a set with more images: they
// are the same.
func TestPure(t *testing.T) {
	s := newSet(t, small)
	more := small
	more.Images, more.Distractors, more.Cameras = 5, 1, 4
	bigger := newSet(t, more)
	images := s.Images()
	for i := len(images) - 1; i >= 0; i-- {
		a, b := s.Draw(images[i]), bigger.Draw(images[i])
		if !slices.Equal(a.Pix, b.Pix) {
			t.Errorf("%s differs in a larger set", images[i].File())
		}
	}
	other := small
	other.Seed = 2
	if slices.Equal(newSet(t, other).Draw(images[0]).Pix, s.Draw(images[0]).Pix) {
		t.Error("another seed gives the same picture")
	}
}

// files reads a folder.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		out[name] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWriteWhateverTheWorkers(t *testing.T) {
	s := newSet(t, small)
	var want map[string]string
	for _, workers := range []int{1, 5} {
		dir := filepath.Join(t.TempDir(), "new", "set")
		last := 0
		err := s.Write(context.Background(), dir, walkers.WriteOptions{Workers: workers, Progress: func(done, total int) {
			if done != last+1 || total != len(s.Images()) {
				t.Errorf("%d of %d done after %d", done, total, last)
			}
			last = done
		}})
		if err != nil {
			t.Fatal(err)
		}
		got := files(t, dir)
		if len(got) != len(s.Images())+1 || last != len(s.Images()) {
			t.Errorf("%d files, %d reported, of %d images and a note", len(got), last, len(s.Images()))
		}
		if want == nil {
			want = got
		}
		for name, data := range want {
			if got[name] != data {
				t.Errorf("%d workers: %s differs", workers, name)
			}
		}
	}
	if note := want["README.txt"]; !strings.Contains(note, "Synthetic") || !strings.Contains(note, "seed 1, difficulty medium, 3 cameras") {
		t.Errorf("the note says %q", note)
	}
}

// TestLayout reads the set as Market-1501 is read: the parts have the images
// that were planned, and their identities are as the protocol wants them.
func TestLayout(t *testing.T) {
	s := newSet(t, small)
	dir := t.TempDir() // there already, and empty
	if err := s.Write(context.Background(), dir, walkers.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	want := walkers.Counts{Train: 18, Query: 6, Gallery: 12 + 6 + 3, Distractors: 6, Junk: 3, MultiQuery: 18}
	if s.Counts() != want {
		t.Errorf("counts %+v, want %+v", s.Counts(), want)
	}
	planned := make(map[string]bool)
	for _, m := range s.Images() {
		if planned[m.File()] {
			t.Errorf("%s is planned twice", m.File())
		}
		planned[m.File()] = true
	}
	for part, n := range map[identities.Part]int{identities.Train: 18, identities.Query: 6, identities.Gallery: 21, identities.MultiQuery: 18} {
		list, err := identities.List(os.DirFS(dir), part, identities.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Images) != n || list.Pattern.String() != "market1501" || len(list.Skipped) != 0 {
			t.Errorf("%s: %d images by %s, %v skipped; want %d", part, len(list.Images), list.Pattern, list.Skipped, n)
		}
		seen := make(map[[2]int]int) // images by identity and camera
		for _, m := range list.Images {
			if !planned[m.File] || (walkers.Image{Part: part, Name: m.Name}).File() != m.File {
				t.Errorf("%s is not planned", m.File)
			}
			seen[[2]int{m.PID, m.Camera}]++
		}
		for pid := 1; pid <= 5; pid++ {
			for camera := 1; camera <= 3; camera++ {
				want := map[identities.Part]int{identities.Train: 2, identities.Query: 1, identities.Gallery: 2, identities.MultiQuery: 3}[part]
				if (pid <= 3) != (part == identities.Train) {
					want = 0
				}
				if got := seen[[2]int{pid, camera}]; got != want {
					t.Errorf("%s: %d images of %d by camera %d, want %d", part, got, pid, camera, want)
				}
			}
		}
	}
	f, err := os.Open(filepath.Join(dir, s.Images()[0].File()))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if img, err := jpeg.Decode(f); err != nil || img.Bounds() != image.Rect(0, 0, walkers.Width, walkers.Height) {
		t.Errorf("a file is %v, error %v", img.Bounds(), err)
	}
}

func TestWriteRefuses(t *testing.T) {
	s := newSet(t, small)
	parent := t.TempDir()
	used := filepath.Join(parent, "used")
	if err := os.Mkdir(used, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(used, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(context.Background(), used, walkers.WriteOptions{}); !errors.Is(err, walkers.ErrNotEmpty) || !strings.Contains(err.Error(), used) {
		t.Errorf("a folder in use: %v", err)
	}
	if err := s.Write(context.Background(), filepath.Join(used, "mine"), walkers.WriteOptions{}); err == nil {
		t.Error("wrote over a file")
	}
	// Cancelled half way, it leaves nothing.
	ctx, cancel := context.WithCancel(context.Background())
	err := s.Write(ctx, filepath.Join(parent, "new"), walkers.WriteOptions{Progress: func(done, _ int) {
		if done == 5 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if got := files(t, parent); len(got) != 1 {
		t.Errorf("left behind: %d files", len(got))
	}
	if entries, err := os.ReadDir(parent); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, error %v", entries, err)
	}
}

// TestHolds tells the set from none, from another and from a damaged one.
func TestHolds(t *testing.T) {
	s := newSet(t, small)
	dir := filepath.Join(t.TempDir(), "set")
	if held, err := s.Holds(dir); held || err != nil {
		t.Errorf("a folder that is not there: %v, %v", held, err)
	}
	if err := s.Write(context.Background(), dir, walkers.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if held, err := s.Holds(dir); !held || err != nil {
		t.Errorf("the set: %v, %v", held, err)
	}
	other := small
	other.Seed = 2
	if held, err := newSet(t, other).Holds(dir); held || !errors.Is(err, walkers.ErrNotEmpty) || !strings.Contains(err.Error(), "README.txt") {
		t.Errorf("another seed's: %v, %v", held, err)
	}
	for _, m := range []walkers.Image{s.Images()[1], s.Images()[0]} { // one is looked for, one compared
		if err := os.WriteFile(filepath.Join(dir, m.File()), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if held, err := s.Holds(dir); held || !errors.Is(err, walkers.ErrNotEmpty) || !strings.Contains(err.Error(), m.File()) {
			t.Errorf("%s is empty: %v, %v", m.File(), held, err)
		}
	}
}

func TestValidate(t *testing.T) {
	_, err := walkers.New(walkers.Options{TrainIdentities: 1, TestIdentities: -1, Cameras: 1, Images: -2, Distractors: -1, Junk: 11, Difficulty: "mean"})
	if !errors.Is(err, walkers.ErrOptions) {
		t.Fatal(err)
	}
	for _, says := range []string{"1 identities to train", "-1 identities to test", "1 cameras", "-2 images", "distractors of -1", "junk of 11", `"mean"`} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
	for _, o := range []walkers.Options{{TrainIdentities: math.MaxInt}, {TestIdentities: math.MaxInt}, {TrainIdentities: math.MaxInt, TestIdentities: math.MaxInt}} {
		if err := o.WithDefaults().Validate(); !errors.Is(err, walkers.ErrOptions) || !strings.Contains(err.Error(), "at most") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	if _, err := walkers.New(walkers.Options{TrainIdentities: 9000, TestIdentities: 1000}); !errors.Is(err, walkers.ErrOptions) {
		t.Errorf("too many people: %v", err)
	}
}

// TestAlike compares the middles of the pictures, where clothes are: two of a
// person by different cameras are nearer on average than two of different
// people by different cameras, and less clearly so where it is harder.
func TestAlike(t *testing.T) {
	last := 0.0
	for _, difficulty := range walkers.Difficulties() {
		s := newSet(t, walkers.Options{TrainIdentities: 2, TestIdentities: 20, Images: 1, Difficulty: difficulty})
		type seen struct {
			walkers.Image
			mean []float64
		}
		var all []seen
		for _, m := range s.Images() {
			if m.Part == identities.Gallery {
				all = append(all, seen{m, cells(s.Draw(m))})
			}
		}
		var sum, n [2]float64
		for _, a := range all {
			for _, b := range all {
				if a.Camera == b.Camera {
					continue
				}
				same := 0
				if a.PID == b.PID {
					same = 1
				}
				d := 0.0
				for i := range a.mean {
					d += (a.mean[i] - b.mean[i]) * (a.mean[i] - b.mean[i])
				}
				sum[same] += d
				n[same]++
			}
		}
		ratio := (sum[1] / n[1]) / (sum[0] / n[0])
		if !(ratio > last && ratio < 0.95) {
			t.Errorf("%s: distances within a person are %.3f of those between people", difficulty, ratio)
		}
		last = ratio
	}
}

// cells averages the colours of blocks in the middle of a picture.
func cells(img *image.RGBA) []float64 {
	var out []float64
	for y := 24; y < 104; y += 8 {
		for k := range 3 {
			sum := 0
			for i := range 8 {
				for x := 24; x < 40; x++ {
					sum += int(img.Pix[img.PixOffset(x, y+i)+k])
				}
			}
			out = append(out, float64(sum)/(8*16))
		}
	}
	return out
}
