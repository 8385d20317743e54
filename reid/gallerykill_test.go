//go:build unix

package reid

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// adderVariable makes the test's own program add to the gallery of that path.
const adderVariable = "DML_TEST_GALLERY"

func TestMain(m *testing.M) {
	if path := os.Getenv(adderVariable); path != "" {
		if err := keepAdding(path, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	if path := os.Getenv(compacterVariable); path != "" {
		fmt.Fprintln(os.Stderr, keepCompacting(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

const killDim = 5

// batchOf is what is added at once; each batch replaces the image "current".
func batchOf(b int) ([]Entry, []float32) {
	r := rand.New(rand.NewPCG(uint64(b), 3))
	entries := []Entry{{Name: "current", Label: Label{PID: Number(b), Camera: "0"}}}
	for i := range r.IntN(200) {
		entries = append(entries, Entry{Name: fmt.Sprintf("%d/%d", b, i), Label: Label{PID: Number(b), Camera: "1"}})
	}
	return entries, normal(r, len(entries)*killDim)
}

// keepAdding adds batches from the number on that it reads, and writes the
// number of each one that is finished.
func keepAdding(path string, in io.Reader, out io.Writer) error {
	var b int
	if _, err := fmt.Fscan(in, &b); err != nil {
		return err
	}
	g, err := OpenGallery(path, "kill")
	if err != nil {
		return err
	}
	for ; ; b++ {
		entries, features := batchOf(b)
		if _, err := g.Add(entries, features, ReplaceExisting); err != nil {
			return err
		}
		fmt.Fprintln(out, b)
	}
}

// TestKilledWhileAdding kills a process that adds at moments of all kinds: each
// batch that it finished is there, whole, and of the others at most the next.
func TestKilledWhileAdding(t *testing.T) {
	const kills = 60
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "g")
	if err := CreateGallery(path, killDim, "kill"); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(11, 11))
	batches, unfinished, torn := 0, 0, 0
	for range kills {
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), adderVariable+"="+path)
		cmd.Stdin = strings.NewReader(strconv.Itoa(batches))
		var stderr strings.Builder
		cmd.Stderr = &stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, finished := bufio.NewScanner(stdout), batches
		if lines.Scan() { // the first, so that the kill meets an addition
			finished++
		}
		time.AfterFunc(time.Duration(r.IntN(12_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
		for lines.Scan() {
			finished++
		}
		if err := cmd.Wait(); err == nil || stderr.Len() > 0 {
			t.Fatalf("the process was not killed: %v, %s", err, stderr.String())
		}
		found := countBatches(t, path, batches-1)
		if found != finished && found != finished+1 {
			t.Fatalf("%d batches are there, %d were finished", found, finished)
		}
		if found > finished {
			unfinished++
		}
		if tail(t, path) {
			torn++
		}
		batches = found
	}
	countBatches(t, path, 0)
	t.Logf("%d batches by %d processes; %d died between the commit and saying so, %d left parts of a batch behind", batches, kills, unfinished, torn)
}

// tail reports whether there are bytes behind the committed log.
func tail(t *testing.T, path string) bool {
	t.Helper()
	info, err := os.Stat(filepath.Join(path, "log"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := OpenGallery(path, "kill")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	return info.Size() > g.store.Committed()
}

// countBatches checks that the gallery is whole batches from the first on, and
// searches for every image of the batches from one on.
func countBatches(t *testing.T, path string, searched int) int {
	t.Helper()
	g, err := OpenGallery(path, "kill")
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	ctx := context.Background()
	if err := g.Verify(ctx); err != nil {
		t.Fatal(err)
	}
	images := 0
	for b := 0; ; b++ {
		entries, features := batchOf(b)
		last := images+len(entries) == g.Len() // of which each has one more image
		images += len(entries) - 1
		if b < searched {
			continue
		}
		from := 0
		if !last {
			from = 1 // "current" is of the last batch alone
		}
		hits, err := g.Search(ctx, features, SearchOptions{Top: 1, Filter: Filter{PIDs: []ID{Number(b)}}})
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < len(entries); i++ {
			if len(hits[i]) != 1 || hits[i][0].Entry != entries[i] || hits[i][0].Distance > 1e-7 {
				t.Fatal(errors.New("a batch is not whole"), b, i, entries[i], hits[i])
			}
		}
		if last {
			return b + 1
		}
		if images > g.Len() {
			t.Fatalf("%d images are no whole batches", g.Len())
		}
	}
}
