package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/internal/files/filestest"
)

// lives is a gallery of so many changes of a scenario: what it holds, in order.
type lives []Row

func (l lives) with(rows ...Row) lives { return append(slices.Clone(l), rows...) }

// scene is a scenario of a gallery: what its steps do, and what is there after
// the first so many. The gallery does not exist before the first step.
type scene struct {
	steps  []func(s *Store) error
	states []lives
}

func named(first, n int, pid Key) []Row {
	var out []Row
	for i := first; i < first+n; i++ {
		out = append(out, Row{Name: fmt.Sprintf("image %d", i), PID: pid, Camera: Key{Text: "door-2"}, Time: int64(i)})
	}
	return out
}

// featuresNamed are the features of a row, whatever its number.
func featuresNamed(rows []Row) []float32 {
	var out []float32
	for _, r := range rows {
		out = append(out, featuresOf(int(r.Time))...)
	}
	return out
}

// newScene adds, replaces, labels, compacts, and adds again.
func newScene() scene {
	anna := Key{Text: "anna"}
	first, second, third, last := named(0, 4, Key{Number: 7}), named(4, 3, anna), named(7, 2, anna), named(9, 2, Key{Number: 1})
	a := lives{}.with(first...)
	b := append(slices.Clone(a[:1]), append(slices.Clone(a[2:3]), second...)...) // without rows 1 and 3
	c := slices.Clone(b)
	c[0].PID, c[0].Camera = Key{Text: "zoe"}, Key{Number: 3}
	d := c.with(third...)
	add := func(removed []int, rows []Row) func(*Store) error {
		return func(s *Store) error {
			return s.Append(Change{Removed: removed, Rows: rows, Features: featuresNamed(rows)})
		}
	}
	return scene{
		steps: []func(s *Store) error{
			add(nil, first),
			add([]int{1, 3}, second),
			func(s *Store) error {
				return s.Append(Change{Relabels: []Relabel{{Row: 0, PID: c[0].PID, Camera: c[0].Camera, Time: 0}}, Note: []byte("note")})
			},
			add(nil, third),
			func(s *Store) error { return s.Compact(context.Background()) },
			add([]int{0}, last),
		},
		states: []lives{{}, a, b, c, d, d, lives(d[1:]).with(last...)},
	}
}

// run makes the gallery and goes through the steps. It returns how many were
// done, and the error of the next.
func (sc scene) run(disk *filestest.Disk, dir string) (done int, err error) {
	if err := create(disk, dir, Header{Dim: dim, Fingerprint: "print"}); err != nil {
		return -1, err
	}
	s, err := sc.open(disk, dir)
	if err != nil {
		return 0, err
	}
	defer func() { _ = s.Close() }() // what it did is on disk, or an error of a step
	if err := s.Lock(0); err != nil {
		return 0, err
	}
	for i, step := range sc.steps {
		if err := step(s); err != nil {
			return i, err
		}
	}
	return len(sc.steps), nil
}

func (scene) open(disk *filestest.Disk, dir string) (*Store, error) {
	s := &Store{dir: dir, mapping: systemMapper, system: disk, settle: func(f *os.File) error { return disk.Synced(filepath.Join(dir, logFile)) }}
	var err error
	if s.folder, err = files.OpenFolder(dir); err != nil {
		return nil, err
	}
	if s.content, err = s.openContent(); err == nil {
		err = s.load()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.made = s.header
	return s, nil
}

// read returns what a gallery holds; nil where there is none.
func read(dir string) (lives, error) {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	s, err := Open(dir)
	if err != nil {
		return nil, err
	}
	l, err := s.lives()
	return l, errors.Join(err, s.Close())
}

func (s *Store) lives() (lives, error) {
	v := s.View()
	out := lives{}
	for i := range v.Rows() {
		if v.IsRemoved(i) {
			continue
		}
		r := v.Row(i)
		out = append(out, r)
		err := v.Guard(func() error {
			got, err := v.Features(i, i+1)
			if err == nil && !slices.Equal(got, featuresOf(int(r.Time))) {
				err = fmt.Errorf("row %d, %q, has the features %v", i, r.Name, got)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// find returns the states that a gallery may be in, by what it holds.
func (sc scene) find(l lives) (low, high int) {
	low, high = math.MaxInt, -1
	if l == nil {
		return -1, -1
	}
	for i, s := range sc.states {
		if slices.Equal(s, l) {
			low, high = min(low, i), i
		}
	}
	return low, high
}

// goesOn changes a gallery once more.
func goesOn(dir string, l lives) error {
	if l == nil {
		return nil
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	more := named(50, 3, Key{Text: "later"})
	err = s.Lock(0)
	if err == nil {
		err = s.Append(Change{Rows: more, Features: featuresNamed(more)})
	}
	if err = errors.Join(err, s.Close()); err != nil {
		return err
	}
	now, err := read(dir)
	if err == nil && !slices.Equal(now, l.with(more...)) {
		err = fmt.Errorf("after another change it holds %v", now)
	}
	return err
}

// operations counts those of a scenario without faults.
func (sc scene) operations(t *testing.T) int {
	t.Helper()
	root := t.TempDir()
	disk, err := filestest.New(root)
	if err != nil {
		t.Fatal(err)
	}
	if done, err := sc.run(disk, filepath.Join(root, "g")); err != nil || done != len(sc.steps) {
		t.Fatalf("%d steps, %v", done, err)
	}
	got, err := read(filepath.Join(root, "g"))
	if err != nil || !slices.Equal(got, sc.states[len(sc.states)-1]) {
		t.Fatalf("%v, %v", got, err)
	}
	return disk.Operations()
}

// TestEveryOperationFails runs a gallery's life once for every operation that it
// makes on the disk, with an error there, and with a short write: the step that
// fails has done nothing, or says that it may have, and the gallery goes on.
func TestEveryOperationFails(t *testing.T) {
	sc := newScene()
	n, uncertain, passed := sc.operations(t), 0, 0
	for _, fault := range []filestest.Fault{filestest.Fail, filestest.Short} {
		for at := 1; at <= n; at++ {
			root := t.TempDir()
			dir := filepath.Join(root, "g")
			disk, err := filestest.New(root)
			if err != nil {
				t.Fatal(err)
			}
			disk.Inject(at, fault)
			done, err := sc.run(disk, dir)
			what := fmt.Sprintf("operation %d of %d, fault %d", at, n, fault)
			got, broken := read(dir)
			if broken != nil {
				t.Fatalf("%s (%v): it cannot be read: %v", what, err, broken)
			}
			low, high := sc.find(got)
			switch {
			case err == nil: // the second copy of a commit, or closing
				passed++
				if done != len(sc.steps) {
					t.Errorf("%s: only %d steps", what, done)
				}
			case !errors.Is(err, filestest.ErrInjected):
				t.Errorf("%s: %v", what, err)
			case errors.Is(err, ErrUncertain):
				uncertain++
				if high < done || low > done+1 {
					t.Errorf("%s: %v, but it is at %d to %d after %d steps", what, err, low, high, done)
				}
			case high < done || low > done:
				// What follows a compaction's rename may fail: then it is there, and said.
				if !(done == 4 && low <= 5 && high >= 4) {
					t.Errorf("%s: %v, it is at %d to %d after %d steps", what, err, low, high, done)
				}
			}
			if err := goesOn(dir, got); err != nil {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	t.Logf("%d operations, %d injections: %d outcomes open, %d without consequence", n, 2*n, uncertain, passed)
}

// TestEveryCrash stops the machine at every operation of a gallery's life, and
// opens all states that the disk may be in then: each step that was done is
// there, and at most the next; nothing that a reader was shown is undone; and the
// gallery goes on.
func TestEveryCrash(t *testing.T) {
	const bound = 40
	sc := newScene()
	n, states, shownStates := sc.operations(t), 0, 0
	into := t.TempDir()
	for run := range 2 * (n + 1) { // the last two are after the end
		// What a reader finds it makes durable, so there are crashes without one.
		at, reads := run/2+1, run%2 == 1
		root := t.TempDir()
		dir := filepath.Join(root, "g")
		disk, err := filestest.New(root)
		if err != nil {
			t.Fatal(err)
		}
		disk.Inject(at, filestest.Crash)
		shown := -1
		disk.Before(func(operation int) {
			if operation != at || !reads {
				return
			}
			reader, err := sc.open(disk, dir)
			if err != nil {
				return // it is not there yet
			}
			l, err := reader.lives()
			if err := errors.Join(err, reader.Close()); err != nil {
				t.Errorf("a reader before operation %d: %v", at, err)
			}
			shown, _ = sc.find(l)
			shownStates++
		})
		done, err := sc.run(disk, dir)
		if at <= n && !errors.Is(err, filestest.ErrCrash) && done < len(sc.steps) {
			t.Fatalf("operation %d: %v", at, err)
		}
		for what, place := range disk.States(into, bound, uint64(at)) {
			states++
			got, err := read(filepath.Join(place, "g"))
			if err != nil {
				t.Errorf("operation %d, %s: %v", at, what, err)
				continue
			}
			low, high := sc.find(got)
			if high < done || low > done+1 {
				t.Errorf("operation %d, %s: it is at %d to %d after %d steps", at, what, low, high, done)
			}
			// That there is a gallery, an empty one, can be seen before its name is
			// durable; nothing is lost with it.
			if high < shown && shown > 0 {
				t.Errorf("operation %d, %s: a reader was shown %d, and it is at %d", at, what, shown, high)
			}
			if err := goesOn(filepath.Join(place, "g"), got); err != nil {
				t.Errorf("operation %d, %s: going on: %v", at, what, err)
			}
		}
	}
	t.Logf("%d operations, %d crashes, %d states of the disk, before %d of them a reader looked", n, 2*(n+1), states, shownStates)
}
