package store

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/deepmutual/dml/internal/files"
)

const dim = 3

// featuresOf is what tests store in a row.
func featuresOf(row int) []float32 {
	return []float32{float32(row), float32(row) + .25, float32(row) + .5}
}

func rowOf(i int) Row {
	return Row{Name: "image " + strconv.Itoa(i), Track: strconv.Itoa(i % 3), PID: Key{Number: int32(i % 5)}, Camera: Key{Number: int32(i % 2)}, Time: int64(i)}
}

// grow appends n rows in one change.
func grow(t testing.TB, s *Store, n int, removed ...int) error {
	t.Helper()
	var rows []Row
	var features []float32
	first := s.View().Rows()
	for i := first; i < first+n; i++ {
		rows, features = append(rows, rowOf(i)), append(features, featuresOf(i)...)
	}
	return s.Append(Change{Removed: removed, Rows: rows, Features: features})
}

// made is a gallery of changes of that many rows.
func made(t testing.TB, changes ...int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "g")
	if err := Create(dir, Header{Dim: dim, Fingerprint: "print"}); err != nil {
		t.Fatal(err)
	}
	s := opened(t, dir, systemMapper)
	if err := s.Lock(0); err != nil {
		t.Fatal(err)
	}
	for _, n := range changes {
		if err := grow(t, s, n); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func opened(t testing.TB, dir string, m mapper) *Store {
	t.Helper()
	s, err := open(files.OS{}, dir, m)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// check reads all there is and compares it with what grow writes.
func check(s *Store) error {
	v := s.View()
	for lo := 0; lo < v.Rows(); lo += BlockRows {
		hi := min(lo+BlockRows, v.Rows())
		err := v.Guard(func() error {
			features, err := v.Features(lo, hi)
			if err != nil {
				return err
			}
			for i := lo; i < hi; i++ {
				if got := features[(i-lo)*dim : (i-lo+1)*dim]; !slices.Equal(got, featuresOf(i)) || v.Row(i) != rowOf(i) {
					return fmt.Errorf("wrong: row %d is %v %v", i, v.Row(i), got)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// TestGrow appends within and across segments, mapped and read.
func TestGrow(t *testing.T) {
	for name, m := range map[string]mapper{"mapped": systemMapper, "read": readSegment} {
		t.Run(name, func(t *testing.T) {
			dir := made(t)
			s := opened(t, dir, m)
			defer s.Close()
			reader := opened(t, dir, m)
			defer reader.Close()
			if err := s.Lock(0); err != nil {
				t.Fatal(err)
			}
			total := 0
			for _, n := range []int{1, 63, 200, 4000, 1, 9000, 5} {
				if err := grow(t, s, n); err != nil {
					t.Fatal(err)
				}
				total += n
				if err := check(s); err != nil {
					t.Fatal(err)
				}
				if err := reader.Refresh(); err != nil {
					t.Fatal(err)
				}
				if err := check(reader); err != nil || reader.View().Rows() != total {
					t.Fatalf("%d rows, %v", reader.View().Rows(), err)
				}
			}
			old := s.View()
			if err := grow(t, s, 2, 5, 2, 70); err != nil {
				t.Fatal(err)
			}
			again := opened(t, dir, m)
			defer again.Close()
			for _, v := range []*View{s.View(), again.View()} {
				if v.Rows() != total+2 || v.Live != total-1 || !v.IsRemoved(2) || !v.IsRemoved(70) || v.IsRemoved(3) {
					t.Errorf("%d rows, %d live", v.Rows(), v.Live)
				}
			}
			if old.Rows() != total || old.Live != total || old.IsRemoved(2) {
				t.Error("an old view has changed")
			}
		})
	}
}

// copied is a copy of a gallery with other bytes in one of its files.
func copied(t testing.TB, dir string, file string, content []byte) string {
	t.Helper()
	out := t.TempDir()
	for _, name := range []string{logFile, featuresFile} {
		b := content
		if name != file {
			var err error
			if b, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(filepath.Join(out, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestDamage flips a bit of each byte of the log and of the features that are
// in use, and cuts both everywhere: what opens is right, and damage to what was
// committed is told with the file.
func TestDamage(t *testing.T) {
	const rows = 6
	dir := made(t, 2, 3, 1)
	for _, name := range []string{logFile, featuresFile} {
		good, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		used := len(good)
		if name == featuresFile {
			used = rows * dim * 4
		}
		file := filepath.Join(copied(t, dir, name, good), name)
		try := func(what string, content []byte, mayPass bool) {
			t.Helper()
			if err := os.WriteFile(file, content, 0o644); err != nil {
				t.Fatal(err)
			}
			s, err := Open(filepath.Dir(file))
			if err == nil {
				err = check(s)
				if err == nil && s.View().Rows() != rows {
					t.Errorf("%s: %d rows", what, s.View().Rows())
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
			var damage *Damage
			if err == nil && !mayPass || err != nil && (!errors.As(err, &damage) || damage.File != file) {
				t.Errorf("%s: %v", what, err)
			}
		}
		for i := range used {
			// Commits stand twice, old ones too, and the rest of their pages is
			// empty: one flip there does no harm.
			mayPass := name == logFile && i >= pageSize && i < logStart
			if name == logFile && i < logStart && good[i] == 0 && i%61 != 0 {
				continue // most of the pages is empty
			}
			content := bytes.Clone(good)
			content[i] ^= 1 << (i % 8)
			try(fmt.Sprintf("%s, byte %d changed", name, i), content, mayPass)
		}
		for cut := 0; cut < used; cut += max(1, used/300) {
			try(fmt.Sprintf("%s cut to %d bytes", name, cut), good[:cut], false)
		}
	}
}

// TestCommitTwice damages one copy of the newest commit: the other counts, not
// the commit before.
func TestCommitTwice(t *testing.T) {
	dir := made(t, 2, 3)
	good, err := os.ReadFile(filepath.Join(dir, logFile))
	if err != nil {
		t.Fatal(err)
	}
	at := commit{generation: 2}.pageOffset()
	for _, place := range copies {
		content := bytes.Clone(good)
		content[at+place]++
		s, err := Open(copied(t, dir, logFile, content))
		if err != nil || s.View().Rows() != 5 {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestKilledAnywhere makes the states that a change leaves when it is cut off
// between or within any of its writes, in their order: the change is there
// wholly or not at all, and the next change goes through.
func TestKilledAnywhere(t *testing.T) {
	dir := made(t, 2, 3)
	before := contents(t, dir)
	s := opened(t, dir, systemMapper)
	if err := errors.Join(s.Lock(0), grow(t, s, 4), s.Close()); err != nil {
		t.Fatal(err)
	}
	after := contents(t, dir)
	// The writes, in their order: features, record, two copies of the commit.
	type write struct {
		file   string
		offset int
		data   []byte
	}
	page := int(commit{generation: 3}.pageOffset())
	writes := []write{
		{featuresFile, 5 * dim * 4, after[featuresFile][5*dim*4 : 9*dim*4]},
		{logFile, len(before[logFile]), after[logFile][len(before[logFile]):]},
	}
	for _, place := range copies {
		writes = append(writes, write{logFile, page + int(place), after[logFile][page+int(place):][:commitSize]})
	}
	state := map[string][]byte{logFile: before[logFile], featuresFile: before[featuresFile]}
	for n, w := range writes {
		for done := 0; done <= len(w.data); done++ {
			if done%8 > 1 && done < len(w.data)-1 { // each change waits for the disk
				continue
			}
			now := bytes.Clone(state[w.file])
			now = append(now, make([]byte, max(0, w.offset+done-len(now)))...)
			copy(now[w.offset:], w.data[:done])
			if done == len(w.data) {
				state[w.file] = now
			}
			torn := t.TempDir()
			for name, content := range map[string][]byte{logFile: state[logFile], featuresFile: state[featuresFile], w.file: now} {
				if err := os.WriteFile(filepath.Join(torn, name), content, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			s, err := Open(torn)
			if err != nil {
				t.Fatalf("write %d, %d bytes: %v", n, done, err)
			}
			rows := s.View().Rows()
			whole := n > 2 || n == 2 && done == len(w.data)
			if rows != 5 && rows != 9 || whole && rows != 9 || n < 2 && rows != 5 {
				t.Errorf("write %d, %d bytes: %d rows", n, done, rows)
			}
			err = errors.Join(check(s), s.Lock(0), grow(t, s, 7))
			if err == nil {
				err = check(s)
			}
			if err = errors.Join(err, s.Close()); err != nil {
				t.Fatalf("write %d, %d bytes: %v", n, done, err)
			}
			again := opened(t, torn, systemMapper)
			if err := errors.Join(check(again), again.Close()); err != nil || again.View().Rows() != rows+7 {
				t.Fatalf("write %d, %d bytes, after another change: %d rows, %v", n, done, again.View().Rows(), err)
			}
		}
	}
}

func contents(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	out := make(map[string][]byte)
	for _, name := range []string{logFile, featuresFile} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = b
	}
	return out
}

func TestCreateRefuses(t *testing.T) {
	dir := made(t)
	if err := Create(dir, Header{Dim: 1, Fingerprint: "x"}); !errors.Is(err, ErrExists) {
		t.Errorf("%v", err)
	}
	if err := Create(filepath.Join(t.TempDir(), "no", "g"), Header{Dim: 1, Fingerprint: "x"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if left, err := os.ReadDir(filepath.Dir(dir)); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// FuzzOpen: whatever the log holds, opening it ends, and what opens can be read.
// Checksums are made to fit, so that what they guard is reached.
func FuzzOpen(f *testing.F) {
	for _, changes := range [][]int{nil, {1}, {2, 3}} {
		b, err := os.ReadFile(filepath.Join(made(f, changes...), logFile))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[:pageSize-4], b[logStart:], int64(len(b)), uint64(5))
	}
	f.Add([]byte(magic), []byte{1, 0, 0, 0, 0, 0, 0, 0, 9}, int64(logStart+9), uint64(1<<40))
	f.Fuzz(func(t *testing.T, header, records []byte, end int64, rows uint64) {
		log := sealed(header[:min(len(header), pageSize-4)])
		chain := checksum(log)
		for at := 0; at+recordHead <= len(records); {
			payload := records[at+recordHead:]
			payload = payload[:min(uint64(len(payload)), uint64(little.Uint32(records[at:])))]
			record, next := sealRecord(chain, payload)
			copy(records[at:], record)
			chain, at = next, at+len(record)
		}
		c := commit{generation: 3, end: end, rows: int64(rows), chain: chain}
		log = append(append(append(log, c.page()...), c.page()...), records...)
		dir := t.TempDir()
		for name, content := range map[string][]byte{logFile: log, featuresFile: make([]byte, 4*SegmentRows*dim)} {
			if err := os.WriteFile(filepath.Join(dir, name), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		s, err := Open(dir)
		if err != nil {
			var damage *Damage
			if !errors.As(err, &damage) {
				t.Fatal(err)
			}
			return
		}
		defer s.Close()
		v := s.View()
		if uint64(v.Rows()) != rows {
			t.Fatalf("%d rows of %d", v.Rows(), rows)
		}
		for i := range v.Rows() {
			v.Row(i)
			_ = v.Guard(func() error { _, err := v.Features(i, i+1); return err })
		}
	})
}

// TestAtRandom applies changes to galleries that are opened again and again.
func TestAtRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	dir := made(t)
	live := map[int]bool{}
	rows := 0
	for range 30 {
		s := opened(t, dir, systemMapper)
		if err := s.Lock(0); err != nil {
			t.Fatal(err)
		}
		for range r.IntN(4) {
			var removed []int
			for row := range live {
				if r.IntN(5) == 0 {
					removed = append(removed, row)
					delete(live, row)
				}
			}
			n := r.IntN(100)
			if err := grow(t, s, n, removed...); err != nil {
				t.Fatal(err)
			}
			for range n {
				live[rows] = true
				rows++
			}
		}
		v := s.View()
		if v.Rows() != rows || v.Live != len(live) {
			t.Fatalf("%d rows, %d live; want %d, %d", v.Rows(), v.Live, rows, len(live))
		}
		for i := range rows {
			if v.IsRemoved(i) == live[i] {
				t.Fatalf("row %d: removed is %v", i, v.IsRemoved(i))
			}
		}
		if err := errors.Join(check(s), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
}
