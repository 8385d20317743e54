// Package store keeps the files of a gallery: a folder of
//
//	log           what the gallery is, and what was done to it, in records
//	features.f32  the feature vectors, float32, row after row, little-endian
//	lock          held by the process that writes
//
// Compacting writes both anew, without what was removed: features.N.f32 for the
// N-th time, then a log that names it, which is renamed over the old one, and at
// last removes the old features. Who has the old files open goes on with them.
//
// Nothing that is committed is written over. The log starts with three pages:
// the header, and two pages that hold, in turn, how far the log is committed
// (see commit). A change writes the features beyond the committed ones, then a
// record beyond the committed log, syncs both, and then the commit, twice in
// its page, the second time when the first is synced. A process that is killed
// before that leaves bytes that nobody looks at and the next change writes over.
// Where both copies of a page are wrong it was damaged later: the record behind
// what the other page commits is taken for committed, and none there, though the
// log goes on, is told as damage.
//
// The folder is held by its descriptor. A change or a refresh fails where path,
// folder, files and commits are not those that were opened.
//
// Each page, record and row of features has a CRC-32C. Those of records are
// chained: each continues the one before, and the commit holds the last. Those
// of features are verified when a row is first read.
//
// features.f32 is as long as whole segments, the unit that is mapped into
// memory; it is sparse beyond the last row.
package store

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/deepmutual/dml/internal/files"
)

const (
	logFile      = "log"
	featuresFile = "features.f32"
	lockFile     = "lock"
)

var (
	// ErrExists says that there is something where a gallery shall be made.
	ErrExists = errors.New("it exists already")
	// ErrLocked says that another process writes the gallery.
	ErrLocked = errors.New("another process is writing to this gallery")
	// ErrReplaced says that a folder, or its files, are not those that were opened.
	ErrReplaced = errors.New("the gallery was moved or replaced; open it again")
	// ErrUncertain says that the last write of a change, or the wait for the disk
	// after it, failed: the change is there as a whole, or not at all.
	ErrUncertain = errors.New("the last step failed, so it is not known whether the change is on disk, whole, or not at all")
	// ErrFailed says that a write failed in a way after which it is unknown what
	// is on disk; opening the gallery again finds out.
	ErrFailed = errors.New("an earlier write failed; open the gallery again")
)

// Damage says that a file is not as it was written.
type Damage struct {
	File   string
	Offset int64 // the byte that the damaged part starts at
	Reason string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s", d.File, d.Offset, d.Reason)
}

// Store is an open gallery. Its methods may be called from any goroutine, but
// none after or during Close.
type Store struct {
	dir    string
	folder *files.Folder
	made   Header
	view   atomic.Pointer[View]
	// What follows is the operating system's, but in tests: what gets segments
	// into memory, and what writes.
	mapping mapper
	system  files.System
	settle  func(*os.File) error // makes what a writer left durable

	write   sync.Mutex // guards what follows, and changes of view
	content            // what is open
	out     *outputs   // nil unless the lock is held
	at      commit     // what view shows
	failed  bool
	codes   map[string]int32 // of texts; made by the first change
	retired []*segment       // of views before a compaction
}

// content is the files of a gallery, open to read.
type content struct {
	header        Header
	headerSum     uint32 // of its page
	log, features *os.File
}

// outputs are the same files, open to write.
type outputs struct{ log, features files.Handle }

func (o *outputs) close() error {
	if o == nil {
		return nil
	}
	return errors.Join(o.log.Close(), o.features.Close())
}

// Create makes the folder of an empty gallery, whole or not at all.
func Create(dir string, h Header) error { return create(files.OS{}, dir, h) }

func create(system files.System, dir string, h Header) error {
	page, err := h.encode()
	if err != nil {
		return err
	}
	dir = filepath.Clean(dir)
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("%s: %w", dir, ErrExists)
	}
	tmp := filepath.Join(filepath.Dir(dir), fmt.Sprintf(".%s.%016x.tmp", filepath.Base(dir), rand.Uint64()))
	if err := system.Mkdir(tmp, 0o755); err != nil {
		return fmt.Errorf("creating %s: %w", dir, err)
	}
	first := commit{end: logStart, chain: checksum(page)}
	page = append(page, bytes.Repeat(first.page(), commitPages)...)
	log, features := filepath.Join(tmp, logFile), filepath.Join(tmp, featuresFile)
	err = cmp.Or(writeSynced(system, log, page), writeSynced(system, features, nil), system.SyncDir(tmp))
	if err == nil {
		err = system.Rename(tmp, dir)
	}
	if err != nil {
		for _, path := range []string{log, features, tmp} {
			if gone := system.Remove(path); !errors.Is(gone, fs.ErrNotExist) {
				err = errors.Join(err, gone)
			}
		}
		return fmt.Errorf("creating %s: %w", dir, err)
	}
	if err := system.SyncDir(filepath.Dir(dir)); err != nil {
		return fmt.Errorf("creating %s: %w: %w", dir, ErrUncertain, err)
	}
	return nil
}

func writeSynced(system files.System, path string, data []byte) error {
	f, err := system.Create(path, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// Open opens a gallery to read; the first change locks it for this process.
func Open(dir string) (*Store, error) { return open(files.OS{}, dir, systemMapper) }

func open(system files.System, dir string, m mapper) (*Store, error) {
	s := &Store{dir: filepath.Clean(dir), mapping: m, system: system, settle: (*os.File).Sync}
	var err error
	if s.folder, err = files.OpenFolder(s.dir); err != nil {
		return nil, err
	}
	if s.content, err = s.openContent(); err == nil {
		err = s.load()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	s.made = Header{Dim: s.header.Dim, Fingerprint: s.header.Fingerprint}
	return s, nil
}

// openContent opens the files that are there now.
func (s *Store) openContent() (content, error) {
	for {
		c, err := s.tryContent()
		if err == nil || c.log == nil {
			return c, err
		}
		// A compaction may have removed the features that this log names.
		again := errors.Is(err, fs.ErrNotExist) && errors.Is(s.folder.Check(c.log), files.ErrReplaced)
		err = errors.Join(err, c.log.Close())
		if !again {
			return content{}, err
		}
	}
}

// tryContent returns at least the log where it could be opened.
func (s *Store) tryContent() (c content, err error) {
	c.log, err = s.openFile(logFile)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s holds no gallery: %w", s.dir, err)
	}
	if err != nil {
		return content{}, err
	}
	page := make([]byte, pageSize)
	if err := s.readAt(c.log, page, 0); err != nil {
		return c, err
	}
	h, reason := decodeHeader(page)
	if reason != "" {
		return c, s.damaged(0, "%s", reason)
	}
	c.header, c.headerSum = h, checksum(page)
	c.features, err = s.openFile(h.features())
	return c, err
}

// openFile opens a file to read that is no pipe, which would block.
func (s *Store) openFile(name string) (*os.File, error) {
	info, err := s.folder.Root().Stat(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file(name), err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", s.file(name), files.ErrNotRegular)
	}
	return s.folder.Root().Open(name)
}

func (c content) close() error {
	if c.log == nil {
		return nil
	}
	return errors.Join(c.log.Close(), c.features.Close())
}

// load reads what is committed.
func (s *Store) load() error {
	s.at = commit{end: logStart, chain: s.headerSum}
	to, err := s.committed()
	if err != nil {
		return err
	}
	return s.replay(s.emptyView(), to)
}

func (s *Store) emptyView() *View {
	return &View{store: s, file: s.header.features(), dim: s.header.Dim}
}

func (s *Store) file(name string) string { return filepath.Join(s.dir, name) }

func (s *Store) damaged(offset int64, format string, args ...any) error {
	return &Damage{File: s.file(logFile), Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// Header returns what the gallery was created with.
func (s *Store) Header() Header { return s.made }

// View returns the gallery as it is now. Later changes do not show in it.
func (s *Store) View() *View { return s.view.Load() }

// Close unmaps the features: no View may be used any more.
func (s *Store) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	err := errors.Join(s.content.close(), s.out.close())
	s.content, s.out = content{header: s.header}, nil
	if v := s.view.Load(); v != nil {
		err = errors.Join(err, unmap(v.segments))
	}
	return errors.Join(err, unmap(s.retired), s.folder.Close())
}

// Retired reports whether there is something for Trim.
func (s *Store) Retired() bool {
	s.write.Lock()
	defer s.write.Unlock()
	return len(s.retired) > 0
}

// Trim lets go of the features before a compaction. No View but the newest may
// be used any more.
func (s *Store) Trim() error {
	s.write.Lock()
	defer s.write.Unlock()
	retired := s.retired
	s.retired = nil
	return unmap(retired)
}

// Committed is how long the log is without what a killed process left behind.
func (s *Store) Committed() int64 {
	s.write.Lock()
	defer s.write.Unlock()
	return s.at.end
}
