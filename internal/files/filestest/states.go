package filestest

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// States makes the states that a crash may leave: of what no sync covers, each
// change of content and of names may be there or not, and of one write a part.
// Where that makes more than bound states, it takes those in which nothing, all,
// all up to one, one alone, and all but one are there, and others at random. Each
// is made in a folder below into, and described.
func (d *Disk) States(into string, bound int, seed uint64) iter.Seq2[string, string] {
	d.mu.Lock()
	defer d.mu.Unlock()
	var changes []change
	for _, path := range slices.Sorted(maps.Keys(d.folders)) {
		for i := range d.folders[path].pending {
			changes = append(changes, change{folder: d.folders[path], at: i})
		}
	}
	seen := make(map[*node]bool)
	for _, n := range d.nodes() {
		if seen[n] {
			continue
		}
		seen[n] = true
		for i := range n.pending {
			changes = append(changes, change{node: n, at: i})
		}
	}
	sets := subsets(changes, bound, seed)
	return func(yield func(string, string) bool) {
		for i, s := range sets {
			place := filepath.Join(into, fmt.Sprintf("%s-%d", filepath.Base(d.root), i))
			what := fmt.Sprintf("after %s, %v of %d changes", d.log[len(d.log)-1], s, len(changes))
			if err := d.materialise(place, changes, s); err != nil {
				panic(err) // a test's folder that cannot be written
			}
			more := yield(what, place)
			if err := os.RemoveAll(place); err != nil {
				panic(err)
			}
			if !more {
				return
			}
		}
	}
}

// nodes are all files that a name leads to, or may lead to after a crash.
func (d *Disk) nodes() []*node {
	var out []*node
	for _, path := range slices.Sorted(maps.Keys(d.folders)) {
		f := d.folders[path]
		for _, name := range slices.Sorted(maps.Keys(f.durable)) {
			out = append(out, f.durable[name])
		}
		for _, r := range f.pending {
			if r.node != nil {
				out = append(out, r.node)
			}
		}
	}
	return out
}

// change is one of a folder's names or of a file's content.
type change struct {
	folder *folder
	node   *node
	at     int
}

// state says which changes survive, and of which one only half.
type state struct {
	there []bool
	torn  int // or -1
}

func (s state) String() string {
	b := make([]byte, len(s.there))
	for i, there := range s.there {
		b[i] = '0'
		if there {
			b[i] = '1'
		}
		if i == s.torn {
			b[i] = 'h'
		}
	}
	return string(b)
}

func subsets(changes []change, bound int, seed uint64) []state {
	n := len(changes)
	known := make(map[string]bool)
	var out []state
	add := func(torn int, there func(i int) bool) {
		s := state{make([]bool, n), torn}
		for i := range n {
			s.there[i] = there(i)
		}
		if torn >= 0 {
			if changes[torn].node == nil || changes[torn].node.pending[changes[torn].at].data == nil {
				return // only writes are torn
			}
			s.there[torn] = true
		}
		if !known[s.String()] {
			known[s.String()] = true
			out = append(out, s)
		}
	}
	add(-1, func(int) bool { return false })
	add(-1, func(int) bool { return true })
	if n < 20 && 1<<n <= bound {
		for bits := range 1 << n {
			add(-1, func(i int) bool { return bits>>i&1 != 0 })
		}
	}
	for k := range n {
		add(-1, func(i int) bool { return i <= k })
		add(-1, func(i int) bool { return i == k })
		add(-1, func(i int) bool { return i != k })
		add(k, func(i int) bool { return i <= k })
		add(k, func(i int) bool { return true })
	}
	r := rand.New(rand.NewPCG(seed, uint64(n)))
	for range max(0, bound-len(out)) {
		add(-1, func(int) bool { return r.IntN(2) == 0 })
	}
	return out[:min(len(out), bound)]
}

// materialise makes a state's files.
func (d *Disk) materialise(place string, changes []change, s state) error {
	names := make(map[*folder]map[string]*node)
	content := make(map[*node][]byte)
	for _, f := range d.folders {
		names[f] = maps.Clone(f.durable)
	}
	for i, c := range changes {
		if c.folder != nil && s.there[i] {
			c.folder.pending[c.at].apply(names[c.folder])
		}
		if c.node == nil {
			continue
		}
		if _, begun := content[c.node]; !begun {
			content[c.node] = slices.Clone(c.node.durable)
		}
		if !s.there[i] {
			continue
		}
		w := c.node.pending[c.at]
		if i == s.torn {
			w.data = w.data[: len(w.data)/2 : len(w.data)/2]
		}
		content[c.node] = w.apply(content[c.node])
	}
	folderOf := make(map[*node]*folder)
	for path, f := range d.folders {
		if n := d.now[path]; n != nil {
			folderOf[n] = f
		}
	}
	var build func(path string, f *folder) error
	build = func(path string, f *folder) error {
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		var errs []error
		for name, n := range names[f] {
			at := filepath.Join(path, name)
			if n.dir {
				if inner := folderOf[n]; inner != nil {
					errs = append(errs, build(at, inner))
				}
				continue
			}
			data, changed := content[n]
			if !changed {
				data = n.durable
			}
			errs = append(errs, os.WriteFile(at, data, 0o644))
		}
		return errors.Join(errs...)
	}
	return build(place, d.folders[d.root])
}
