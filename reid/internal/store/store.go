// Package store keeps the files of a gallery: a folder of
//
//	log           what the gallery is, and what was done to it, in records
//	features.f32  the feature vectors, float32, row after row, little-endian
//	lock          held by the process that writes
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
	"errors"
	"fmt"
	"io/fs"
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
	dir       string
	folder    *files.Folder
	header    Header
	headerSum uint32 // of its page
	view      atomic.Pointer[View]
	// mapping overrides how segments get into memory, for tests.
	mapping mapper

	write    sync.Mutex // guards what follows, and changes of view
	log      *os.File
	features *os.File
	at       commit // what view shows
	failed   bool
	codes    map[string]int32 // of texts; made by the first change
}

// Create makes the folder of an empty gallery, whole or not at all.
func Create(dir string, h Header) error {
	page, err := h.encode()
	if err != nil {
		return err
	}
	dir = filepath.Clean(dir)
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("%s: %w", dir, ErrExists)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".*.tmp")
	if err != nil {
		return fmt.Errorf("creating %s: %w", dir, err)
	}
	first := commit{end: logStart, chain: checksum(page)}
	page = append(page, bytes.Repeat(first.page(), commitPages)...)
	err = errors.Join(os.Chmod(tmp, 0o755), writeSynced(filepath.Join(tmp, logFile), page), writeSynced(filepath.Join(tmp, featuresFile), nil), syncFolder(tmp))
	if err == nil {
		err = os.Rename(tmp, dir)
	}
	if err != nil {
		return fmt.Errorf("creating %s: %w", dir, errors.Join(err, os.RemoveAll(tmp)))
	}
	return syncFolder(filepath.Dir(dir))
}

func writeSynced(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncFolder makes names durable, where the system can sync folders.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	_ = f.Sync()
	return f.Close()
}

// Open opens a gallery to read; the first change locks it for this process.
func Open(dir string) (*Store, error) { return open(dir, systemMapper) }

func open(dir string, m mapper) (*Store, error) {
	s := &Store{dir: filepath.Clean(dir), mapping: m}
	var err error
	if s.folder, err = files.OpenFolder(s.dir); err != nil {
		return nil, err
	}
	if err = s.openFiles(os.O_RDONLY); err == nil {
		err = s.load()
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openFiles replaces the open files, both or none.
func (s *Store) openFiles(flag int) error {
	log, err := s.openFile(logFile, flag)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s holds no gallery: %w", s.dir, err)
	}
	if err != nil {
		return err
	}
	features, err := s.openFile(featuresFile, flag)
	if err != nil {
		return errors.Join(err, log.Close())
	}
	err = s.closeFiles()
	s.log, s.features = log, features
	return err
}

// openFile opens a file that is no pipe, which would block.
func (s *Store) openFile(name string, flag int) (*os.File, error) {
	info, err := s.folder.Root().Stat(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.file(name), err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: %w", s.file(name), files.ErrNotRegular)
	}
	return s.folder.Root().OpenFile(name, flag, 0)
}

func (s *Store) closeFiles() error {
	if s.log == nil {
		return nil
	}
	return errors.Join(s.log.Close(), s.features.Close())
}

// load reads the header and what is committed.
func (s *Store) load() error {
	page := make([]byte, pageSize)
	if err := s.readLog(page, 0); err != nil {
		return err
	}
	h, reason := decodeHeader(page)
	if reason != "" {
		return s.damaged(0, "%s", reason)
	}
	s.header, s.headerSum = h, checksum(page)
	s.at = commit{end: logStart, chain: s.headerSum}
	s.view.Store(&View{store: s})
	return s.refresh()
}

func (s *Store) file(name string) string { return filepath.Join(s.dir, name) }

func (s *Store) damaged(offset int64, format string, args ...any) error {
	return &Damage{File: s.file(logFile), Offset: offset, Reason: fmt.Sprintf(format, args...)}
}

// Header returns what the gallery was created with.
func (s *Store) Header() Header { return s.header }

// View returns the gallery as it is now. Later changes do not show in it.
func (s *Store) View() *View { return s.view.Load() }

// Close unmaps the features: no View may be used any more.
func (s *Store) Close() error {
	s.write.Lock()
	defer s.write.Unlock()
	err := s.closeFiles()
	s.log = nil
	if v := s.view.Load(); v != nil {
		for _, seg := range v.segments {
			err = errors.Join(err, seg.unmap())
		}
	}
	return errors.Join(err, s.folder.Close())
}

// Committed is how long the log is without what a killed process left behind.
func (s *Store) Committed() int64 {
	s.write.Lock()
	defer s.write.Unlock()
	return s.at.end
}
