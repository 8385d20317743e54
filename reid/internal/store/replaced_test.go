//go:build unix

package store

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// copyOver is cp -r: it changes the files that are there in place.
func copyOver(t *testing.T, from, to string) error {
	for name, content := range contents(t, from) {
		f, err := os.OpenFile(filepath.Join(to, name), os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(content)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	return nil
}

// TestReplaced puts another gallery in the place of an open one, in all ways:
// refreshing and changing are typed errors, and no file is written.
func TestReplaced(t *testing.T) {
	otherModel := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "other")
		if err := Create(dir, Header{Dim: dim, Fingerprint: "another"}); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	others := map[string]func(*testing.T) string{
		"a smaller one":  func(t *testing.T) string { return made(t, 3) },
		"a larger one":   func(t *testing.T) string { return made(t, 4, 4, 4, 4) },
		"as many images": func(t *testing.T) string { return made(t, 7, 6) },
		"an empty one":   func(t *testing.T) string { return made(t) },
		"another model":  otherModel,
	}
	ways := map[string]func(t *testing.T, from, to string) error{
		"mv": func(_ *testing.T, from, to string) error {
			return errors.Join(os.Rename(to, to+".old"), os.Rename(from, to))
		},
		"cp": copyOver,
		"mv of files": func(_ *testing.T, from, to string) error {
			return errors.Join(os.Rename(filepath.Join(from, logFile), filepath.Join(to, logFile)),
				os.Rename(filepath.Join(from, featuresFile), filepath.Join(to, featuresFile)))
		},
	}
	for _, what := range slices.Sorted(maps.Keys(others)) {
		for _, way := range slices.Sorted(maps.Keys(ways)) {
			for _, written := range []bool{false, true} {
				name := way + ", " + what
				if written {
					name += ", after a change"
				}
				t.Run(name, func(t *testing.T) {
					dir := made(t, 5, 8)
					s := opened(t, dir, systemMapper)
					if written {
						if err := errors.Join(s.Lock(0), grow(t, s, 1)); err != nil {
							t.Fatal(err)
						}
					}
					other := others[what](t)
					want := contents(t, other)
					if err := ways[way](t, other, dir); err != nil {
						t.Fatal(err)
					}
					if err := s.Refresh(); !errors.Is(err, ErrReplaced) {
						// Whoever holds the lock looks into the log when it writes.
						if !(written && err == nil) {
							t.Errorf("refresh: %v", err)
						}
					}
					err := s.Lock(0)
					if err == nil && written {
						err = grow(t, s, 2)
					}
					if !errors.Is(err, ErrReplaced) {
						t.Errorf("a change: %v", err)
					}
					for file, content := range contents(t, dir) {
						if !bytes.Equal(content, want[file]) {
							t.Errorf("%s was written to", file)
						}
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
					again := opened(t, dir, systemMapper)
					if err := errors.Join(again.Lock(0), again.Close()); err != nil {
						t.Errorf("the gallery that was put there: %v", err)
					}
				})
			}
		}
	}
}
