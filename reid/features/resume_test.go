package features

import (
	"context"
	"errors"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestGoesOn interrupts an extraction after each batch, and spoils what is left
// in several ways; the end is the same to the bit.
func TestGoesOn(t *testing.T) {
	data := market(t)
	write(t, filepath.Join(data, "bounding_box_test", "0003_c1s1_000009_00.png"), []byte("no image"))
	src := open(t, data)
	whole := t.TempDir()
	opts := ExtractOptions{Batch: 4}
	if _, err := Extract(t.Context(), whole, by(sumsRecipe(), sums), src, opts); err != nil {
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
			_, err := Extract(ctx, dir, by(sumsRecipe(), sums), src, interrupted)
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
			if _, err := Extract(t.Context(), dir, by(sumsRecipe(), sums), src, goOn); err != nil {
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
		if _, err := Extract(t.Context(), os.Getenv("EXTRACT_OUT"), by(sumsRecipe(), slow), open(t, data), ExtractOptions{Batch: 2}); err != nil {
			t.Fatal(err)
		}
		return
	}
	data := market(t)
	whole, dir := t.TempDir(), t.TempDir()
	if _, err := Extract(t.Context(), whole, by(sumsRecipe(), sums), open(t, data), ExtractOptions{Batch: 2}); err != nil {
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

func TestBusy(t *testing.T) {
	src, dir := open(t, market(t)), t.TempDir()
	inside := embedFunc(func(m image.Image) ([]float32, error) {
		if _, err := Extract(t.Context(), dir, by(sumsRecipe(), sums), src, ExtractOptions{}); !errors.Is(err, ErrBusy) {
			t.Errorf("two at once: %v", err)
		}
		return sums(m)
	})
	if _, err := Extract(t.Context(), dir, by(sumsRecipe(), inside), src, ExtractOptions{Workers: 1}); err != nil {
		t.Fatal(err)
	}
}
