package store

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestLostPage zeroes each page of commits of a gallery: the last change stays,
// or the damage is told, and the next change keeps what there was.
func TestLostPage(t *testing.T) {
	for _, changes := range [][]int{{}, {24}, {24, 63}, {24, 63, 5}} {
		dir, rows := made(t, changes...), 0
		for _, n := range changes {
			rows += n
		}
		for page := range commitPages {
			for what, tail := range map[string]int{"": 0, ", the log cut": -1, ", a byte of it changed": 1} {
				content := contents(t, dir)[logFile]
				clear(content[pageSize*(1+page):][:pageSize])
				at := commit{generation: uint64(len(changes))}
				newest := int(at.pageOffset()) == pageSize*(1+page) && len(changes) > 0
				if tail != 0 && len(changes) == 0 {
					continue
				}
				if tail < 0 {
					content = content[:len(content)-1]
				} else if tail > 0 {
					content[len(content)-1]++
				}
				torn := copied(t, dir, logFile, content)
				s, err := Open(torn)
				if tail != 0 {
					var damage *Damage
					if !errors.As(err, &damage) {
						t.Errorf("changes %v, page %d lost%s: %v", changes, page, what, err)
					}
					continue
				}
				if err != nil {
					t.Fatalf("changes %v, page %d lost: %v", changes, page, err)
				}
				if got := s.View().Rows(); got != rows {
					t.Errorf("changes %v, page %d lost (the newest: %v): %d rows of %d", changes, page, newest, got, rows)
				}
				if err := errors.Join(check(s), s.Lock(0), grow(t, s, 2), s.Close()); err != nil {
					t.Fatal(err)
				}
				again := opened(t, torn, systemMapper)
				if err := errors.Join(check(again), again.Close()); err != nil || again.View().Rows() != rows+2 {
					t.Errorf("changes %v, page %d lost, after another change: %d rows, %v", changes, page, again.View().Rows(), err)
				}
			}
		}
	}
}

// TestLostPageOfReader: who has read a change keeps it when its page is lost.
func TestLostPageOfReader(t *testing.T) {
	dir := made(t, 2, 3)
	s := opened(t, dir, systemMapper)
	defer s.Close()
	log, err := os.OpenFile(filepath.Join(dir, logFile), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = log.WriteAt(make([]byte, pageSize), commit{generation: 2}.pageOffset())
	if err := errors.Join(err, log.Close(), s.Refresh(), s.Lock(0), grow(t, s, 1), check(s)); err != nil || s.View().Rows() != 6 {
		t.Errorf("%d rows, %v", s.View().Rows(), err)
	}
}

// TestLockRepairs: a writer writes a commit twice that stood once.
func TestLockRepairs(t *testing.T) {
	dir := made(t, 2, 3)
	whole := contents(t, dir)[logFile]
	for _, place := range copies {
		content := bytes.Clone(whole)
		clear(content[commit{generation: 2}.pageOffset()+place:][:commitSize])
		torn := copied(t, dir, logFile, content)
		s := opened(t, torn, systemMapper)
		if err := errors.Join(s.Lock(0), s.Close()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(contents(t, torn)[logFile], whole) {
			t.Errorf("the copy at %d is still lost", place)
		}
	}
}
