package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/deepmutual/dml/internal/filelock"
)

// Lock keeps other processes from changing the gallery until Close, and brings
// the view up to date. Append needs it.
func (s *Store) Lock() error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.lock != nil {
		return nil
	}
	held, err := filelock.Take(s.file(lockFile))
	if errors.Is(err, filelock.ErrHeld) {
		return fmt.Errorf("%s: %w", s.dir, ErrLocked)
	}
	if err != nil {
		return err
	}
	if err = s.openFiles(os.O_RDWR); err == nil {
		err = s.refresh()
	}
	if err != nil {
		return errors.Join(err, held.Release())
	}
	s.lock = held
	return nil
}

// Append removes rows and adds others, at once or not at all, and durably. The
// features are [len(rows) x dim]. Needs Lock. Only one goroutine may call it at
// a time, having decided by the View of that time.
func (s *Store) Append(removed []int, rows []Row, features []float32) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.failed {
		return fmt.Errorf("%s: %w", s.dir, ErrFailed)
	}
	old := s.view.Load()
	c := change{first: int64(old.Rows()), rows: rows, sums: make([]uint32, len(rows))}
	for i := range rows {
		c.sums[i] = rowSum(old.Rows()+i, features[i*s.header.Dim:(i+1)*s.header.Dim])
	}
	for _, r := range slices.Sorted(slices.Values(removed)) {
		c.removed = append(c.removed, int64(r))
	}
	payload := c.encode()
	if len(payload) > longestPayload {
		return fmt.Errorf("%d images need %d bytes of the log, which takes %d at once: add them in parts", len(rows), len(payload), longestPayload)
	}
	next := old.grown(len(rows))
	if err := next.apply(payload); err != nil {
		return err
	}
	if err := s.writeFeatures(old.Rows(), features); err != nil {
		return err
	}
	record, chain := sealRecord(s.at.chain, payload)
	at := commit{generation: s.at.generation + 1, end: s.at.end + int64(len(record)), rows: int64(next.Rows()), chain: chain}
	if err := s.writeRecord(record); err != nil {
		return err
	}
	if err := s.show(old, next); err != nil {
		return err
	}
	if err := s.writeCommit(at); err != nil {
		return errors.Join(err, next.unmapBeyond(len(old.segments)))
	}
	s.at = at
	s.view.Store(next)
	return nil
}

// writeCommit fails without saying whether the commit is on disk.
func (s *Store) writeCommit(at commit) error {
	s.failed = true
	for _, place := range copies {
		if _, err := s.log.WriteAt(at.encode(), at.pageOffset()+place); err != nil {
			return err
		}
	}
	if err := s.log.Sync(); err != nil {
		return err
	}
	s.failed = false
	return nil
}

// writeFeatures writes rows from that one on, in a file of whole segments.
func (s *Store) writeFeatures(first int, features []float32) error {
	if len(features) == 0 {
		return nil
	}
	stride := int64(s.header.Dim) * 4
	end := int64(first) + int64(len(features)/s.header.Dim)
	info, err := s.features.Stat()
	if err != nil {
		return err
	}
	if size := (end + SegmentRows - 1) / SegmentRows * SegmentRows * stride; info.Size() < size {
		if err := s.features.Truncate(size); err != nil {
			return err
		}
	}
	if _, err := s.features.WriteAt(bytesOf(features), int64(first)*stride); err != nil {
		return err
	}
	return s.sync(s.features)
}

// sync notes a failure: the system may have dropped what it could not write, and
// the next sync would pass.
func (s *Store) sync(f *os.File) error {
	err := f.Sync()
	s.failed = err != nil
	return err
}

// writeRecord writes behind the committed log, and cuts what a killed process
// may have left there.
func (s *Store) writeRecord(record []byte) error {
	if err := s.log.Truncate(s.at.end); err != nil {
		return err
	}
	if _, err := s.log.WriteAt(record, s.at.end); err != nil {
		return err
	}
	return s.sync(s.log)
}

// Bytes is the room that the files take by their length.
func (s *Store) Bytes() (int64, error) {
	var sum int64
	for _, name := range []string{logFile, featuresFile} {
		info, err := os.Stat(filepath.Join(s.dir, name))
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, nil
}
