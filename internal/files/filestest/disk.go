// Package filestest lets every operation of a writer fail, write short, or be
// the last before the power goes: a Disk is a files.System for tests. It knows
// what syncs cover, so it can make the states that a crash may leave.
package filestest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/deepmutual/dml/internal/files"
)

// Errors of operations that a Disk lets fail.
var (
	ErrInjected = errors.New("injected error")
	ErrCrash    = errors.New("the machine has stopped")
)

// Fault is what happens to an operation.
type Fault int

const (
	// Fail makes the operation fail without having done anything; a sync, having
	// made nothing durable.
	Fail Fault = iota
	// Short makes a write write half, and fail. Other operations do as with Fail.
	Short
	// Crash makes the operation fail, and all that follow: the machine has stopped.
	Crash
)

// Disk is the files below a folder. It does what is asked for on the operating
// system's files, and keeps what of it is durable: the content that a Sync of the
// file covers, and the names that a SyncDir of the folder covers.
type Disk struct {
	root string
	os   files.OS

	mu      sync.Mutex
	count   int
	at      int // the operation that has the fault, from 1; 0 for none
	fault   Fault
	crashed bool
	log     []string
	before  func(operation int)

	now     map[string]*node // by path below root
	folders map[string]*folder
}

// node is a file or a folder, whatever it is called.
type node struct {
	dir     bool
	durable []byte
	pending []write
}

// write is a change of content that no sync covers.
type write struct {
	data   []byte
	offset int64 // or the size to cut or grow to, where data is nil
}

// folder is the names in a folder.
type folder struct {
	durable map[string]*node
	pending []rename
}

// rename is a change of names that no sync covers: name leads to node, and from,
// if it is not empty, to nothing. Without a node name leads to nothing.
type rename struct {
	name, from string
	node       *node
}

// New is a Disk of what is below root, all of it durable.
func New(root string) (*Disk, error) {
	d := &Disk{root: filepath.Clean(root), now: make(map[string]*node), folders: make(map[string]*folder)}
	err := filepath.WalkDir(d.root, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		n := &node{dir: e.IsDir()}
		if n.dir {
			d.folders[path] = &folder{durable: make(map[string]*node)}
		} else if n.durable, err = os.ReadFile(path); err != nil {
			return err
		}
		if path != d.root {
			d.folders[filepath.Dir(path)].durable[filepath.Base(path)] = n
		}
		d.now[path] = n
		return nil
	})
	return d, err
}

// Inject lets an operation, counted from 1, have a fault.
func (d *Disk) Inject(operation int, fault Fault) { d.at, d.fault = operation, fault }

// Before sets what is called before each operation.
func (d *Disk) Before(f func(operation int)) { d.before = f }

// Operations is how many there were; those after a crash do not count.
func (d *Disk) Operations() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.count
}

// Last names the last operation.
func (d *Disk) Last() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.log) == 0 {
		return "none"
	}
	return d.log[len(d.log)-1]
}

// begin counts an operation and tells its fault, with an error if it has one. It locks d; the
// caller calls d.mu.Unlock.
func (d *Disk) begin(what, path string) (Fault, error) {
	if d.before != nil {
		d.mu.Lock()
		n, stopped := d.count+1, d.crashed
		d.mu.Unlock()
		if !stopped {
			d.before(n)
		}
	}
	d.mu.Lock()
	if d.crashed {
		return Crash, fmt.Errorf("%s %s: %w", what, path, ErrCrash)
	}
	d.count++
	d.log = append(d.log, what+" "+strings.TrimPrefix(path, d.root))
	if d.count != d.at {
		return Fail, nil
	}
	if d.fault == Crash {
		d.crashed = true
		return Crash, fmt.Errorf("%s %s: %w", what, path, ErrCrash)
	}
	return d.fault, fmt.Errorf("%s %s: %w", what, path, ErrInjected)
}

// named notes a change of the names in a path's folder.
func (d *Disk) named(path string, r rename) {
	if f := d.folders[filepath.Dir(path)]; f != nil {
		f.pending = append(f.pending, r)
	}
}

// Create implements files.System.
func (d *Disk) Create(path string, perm fs.FileMode) (files.Handle, error) {
	_, err := d.begin("create", path)
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	f, err := d.os.Create(path, perm)
	if err != nil {
		return nil, err
	}
	return d.made(path, f), nil
}

// made notes a new file.
func (d *Disk) made(path string, f files.Handle) files.Handle {
	path = filepath.Clean(path)
	n := &node{}
	d.now[path] = n
	d.named(path, rename{name: filepath.Base(path), node: n})
	return &handle{d: d, f: f, path: path, node: n}
}

// Open implements files.System.
func (d *Disk) Open(path string, perm fs.FileMode) (files.Handle, error) {
	_, err := d.begin("open", path)
	defer d.mu.Unlock()
	if err != nil {
		return nil, err
	}
	path = filepath.Clean(path)
	f, err := d.os.Open(path, perm)
	if err != nil {
		return nil, err
	}
	if n := d.now[path]; n != nil {
		return &handle{d: d, f: f, path: path, node: n}, nil
	}
	return d.made(path, f), nil
}

// Rename implements files.System, within a folder.
func (d *Disk) Rename(from, to string) error {
	_, err := d.begin("rename", from+" to "+filepath.Base(to))
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	from, to = filepath.Clean(from), filepath.Clean(to)
	if filepath.Dir(from) != filepath.Dir(to) {
		return fmt.Errorf("filestest: renaming %s to the folder of %s is not known", from, to)
	}
	if err := d.os.Rename(from, to); err != nil {
		return err
	}
	n := d.now[from]
	d.named(to, rename{name: filepath.Base(to), from: filepath.Base(from), node: n})
	for path, other := range d.now { // of a folder, what is in it
		if rest, below := strings.CutPrefix(path, from+string(filepath.Separator)); below {
			delete(d.now, path)
			d.now[filepath.Join(to, rest)] = other
		}
	}
	for path, f := range d.folders {
		if path == from || strings.HasPrefix(path, from+string(filepath.Separator)) {
			delete(d.folders, path)
			d.folders[filepath.Join(to, strings.TrimPrefix(path, from))] = f
		}
	}
	delete(d.now, from)
	d.now[to] = n
	return nil
}

// Remove implements files.System.
func (d *Disk) Remove(path string) error {
	_, err := d.begin("remove", path)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	path = filepath.Clean(path)
	if err := d.os.Remove(path); err != nil {
		return err
	}
	delete(d.now, path)
	delete(d.folders, path)
	d.named(path, rename{name: filepath.Base(path)})
	return nil
}

// Mkdir implements files.System.
func (d *Disk) Mkdir(path string, perm fs.FileMode) error {
	_, err := d.begin("mkdir", path)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	if err := d.os.Mkdir(path, perm); err != nil {
		return err
	}
	path = filepath.Clean(path)
	n := &node{dir: true}
	d.now[path] = n
	d.folders[path] = &folder{durable: make(map[string]*node)}
	d.named(path, rename{name: filepath.Base(path), node: n})
	return nil
}

// SyncDir implements files.System.
func (d *Disk) SyncDir(path string) error {
	_, err := d.begin("sync the folder", path)
	defer d.mu.Unlock()
	if err != nil {
		return err
	}
	if f := d.folders[filepath.Clean(path)]; f != nil {
		for _, r := range f.pending {
			r.apply(f.durable)
		}
		f.pending = nil
	}
	return nil
}

func (r rename) apply(names map[string]*node) {
	if r.from != "" {
		delete(names, r.from)
	}
	if r.node == nil {
		delete(names, r.name)
		return
	}
	names[r.name] = r.node
}

// Synced tells the Disk that somebody else made the content of a file durable.
func (d *Disk) Synced(path string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.crashed {
		return ErrCrash
	}
	return d.settle(filepath.Clean(path))
}

func (d *Disk) settle(path string) error {
	n := d.now[path]
	if n == nil {
		return fs.ErrNotExist
	}
	for _, w := range n.pending {
		n.durable = w.apply(n.durable)
	}
	n.pending = nil
	return nil
}

func (w write) apply(content []byte) []byte {
	if w.data == nil {
		if w.offset <= int64(len(content)) {
			return content[:w.offset:w.offset]
		}
		return append(content, make([]byte, w.offset-int64(len(content)))...)
	}
	if end := w.offset + int64(len(w.data)); end > int64(len(content)) {
		content = append(content, make([]byte, end-int64(len(content)))...)
	} else {
		content = append([]byte(nil), content...)
	}
	copy(content[w.offset:], w.data)
	return content
}
