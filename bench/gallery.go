package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/deepmutual/dml/reid"
)

// What a search of a gallery should take.
const (
	galleryMilliseconds = 200
	galleryMiB          = 2.5e9 / (1 << 20)
)

// galleryContest times the search of a gallery of random features on disk, and
// checks what it finds against an obvious search.
func galleryContest(out io.Writer, images, dim, threads int) (err error) {
	dir, err := os.MkdirTemp(envOr("DML_BENCH_DIR", ""), "dml-gallery-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	path := filepath.Join(dir, "gallery")
	built, err := builtElsewhere(path, images, dim)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "exact top-%d of a gallery of %d x %d, %d threads; made in %.1f s\n", len(built.Nearest), images, dim, threads, built.Seconds)
	want, err := json.Marshal(built.Nearest)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-role", "gallery-search", "-threads", strconv.Itoa(threads), path, string(want))
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("searching the gallery: %w", err)
	}
	return nil
}

// searchGallery is the process that searches, whose memory counts. Its arguments
// are the gallery and the rows to find.
func searchGallery(out io.Writer, args []string, threads int) (err error) {
	if len(args) != 2 {
		return fmt.Errorf("gallery: %d arguments", len(args))
	}
	runtime.GOMAXPROCS(threads)
	path := args[0]
	var want []int
	if err := json.Unmarshal([]byte(args[1]), &want); err != nil {
		return err
	}
	info, err := reid.ReadGalleryInfo(path)
	if err != nil {
		return err
	}
	images, dim := info.Images, info.Dim
	query := randomVector(rand.New(rand.NewPCG(querySeed, 0)), dim)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	const later = "later ones, median of 9"
	fmt.Fprintln(w, "what\tms\tGB/s\tpeak MiB")
	report := func(what string, seconds float64) {
		target := 0.0
		if what == later {
			target = galleryMilliseconds
		}
		fmt.Fprintf(w, "%s\t%s\t%.1f\t%s\n", what, aim(1000*seconds, target, false), float64(images)*float64(dim)*4/1e9/seconds,
			aim(peakMemory(os.Getpid()), galleryMiB, false))
	}
	cold := dropFromCache(filepath.Join(path, "features.f32"))
	start := time.Now()
	g, err := reid.OpenGallery(path, "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	fmt.Fprintf(w, "open\t%.2f\n", 1000*time.Since(start).Seconds())
	search := func(query []float32, filter reid.Filter) (float64, error) {
		start := time.Now()
		hits, err := g.Search(context.Background(), query, reid.SearchOptions{Filter: filter})
		seconds := time.Since(start).Seconds()
		if err == nil && filter.PIDs == nil && filter.NotCameras == nil {
			err = sameRows(hits[0], want)
		}
		return seconds, err
	}
	seconds, err := search(query, reid.Filter{})
	if err != nil {
		return err
	}
	first := "first, features verified"
	if cold {
		first += ", from disk"
	}
	report(first, seconds)
	r := rand.New(rand.NewPCG(3, 3))
	for _, c := range []struct {
		what   string
		query  []float32
		filter reid.Filter
	}{
		{later, query, reid.Filter{}},
		{"all cameras but one of six, median of 9", query, reid.Filter{NotCameras: []reid.ID{"3"}}},
		{"ten identities of 20,000, median of 9", query, reid.Filter{PIDs: []reid.ID{"1", "2", "3", "4", "5", "6", "7", "8", "9", "10"}}},
		{"8 queries at once, median of 9", slices.Concat(query, randomVector(r, 7*dim)), reid.Filter{}},
	} {
		var all []float64
		for range 9 {
			seconds, err := search(c.query, c.filter)
			if err != nil {
				return err
			}
			all = append(all, seconds)
		}
		report(c.what, median(all))
	}
	return w.Flush()
}

func randomVector(r *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = r.Float32() - .5
	}
	return v
}

// querySeed is of the query.
const querySeed = 7

// Built is what a process says that made a gallery.
type Built struct {
	Nearest []int   // rows nearest to the query, by an obvious search
	Seconds float64 // spent adding
}

// builtElsewhere makes a gallery in another process, whose memory does not count.
func builtElsewhere(path string, images, dim int) (Built, error) {
	self, err := os.Executable()
	if err != nil {
		return Built{}, err
	}
	cmd := exec.Command(self, "-role", "gallery", path, strconv.Itoa(images), strconv.Itoa(dim))
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		return Built{}, fmt.Errorf("making the gallery: %w", err)
	}
	var b Built
	return b, json.Unmarshal(text, &b)
}

// buildGallery is the other process, given what builtElsewhere says.
func buildGallery(out io.Writer, args []string) (err error) {
	if len(args) != 3 {
		return fmt.Errorf("gallery: %d arguments", len(args))
	}
	images, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	dim, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	if err := reid.CreateGallery(args[0], dim, "bench"); err != nil {
		return err
	}
	g, err := reid.OpenGallery(args[0], "bench")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	query, r := randomVector(rand.New(rand.NewPCG(querySeed, 0)), dim), rand.New(rand.NewPCG(1, 2))
	type hit struct {
		similarity float64
		row        int
	}
	var best []hit
	var b Built
	const batch, top = 10_000, 10
	for first := 0; first < images; first += batch {
		n := min(batch, images-first)
		features, entries := randomVector(r, n*dim), make([]reid.Entry, n)
		for i := range entries {
			entries[i] = reid.Entry{Name: "images/" + strconv.Itoa(first+i) + ".jpg", Label: reid.Label{PID: reid.Number(r.IntN(20_000) + 1), Camera: reid.Number(r.IntN(6))}}
			var dot, square float64
			for k, x := range features[i*dim : (i+1)*dim] {
				dot, square = dot+float64(x)*float64(query[k]), square+float64(x)*float64(x)
			}
			best = append(best, hit{dot / math.Sqrt(square), first + i})
		}
		slices.SortStableFunc(best, func(a, b hit) int { return cmp.Compare(b.similarity, a.similarity) })
		best = best[:min(top, len(best))]
		start := time.Now()
		if _, err := g.Add(entries, features, reid.RefuseExisting); err != nil {
			return err
		}
		b.Seconds += time.Since(start).Seconds()
	}
	for _, h := range best {
		b.Nearest = append(b.Nearest, h.row)
	}
	return json.NewEncoder(out).Encode(b)
}

func sameRows(hits []reid.Hit, want []int) error {
	var got []int
	for _, h := range hits {
		got = append(got, h.Row)
	}
	if !slices.Equal(got, want) {
		return fmt.Errorf("the search found rows %v, not %v", got, want)
	}
	return nil
}

// dropFromCache makes the system forget a file that is on disk, if it can.
func dropFromCache(path string) bool {
	return exec.Command("dd", "of="+path, "oflag=nocache", "conv=notrunc,fdatasync", "count=0", "status=none").Run() == nil
}
