package store

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/deepmutual/dml/internal/files"
)

// Lock keeps other processes from changing the gallery until Close, and brings
// the view up to date. Append needs it. It waits so long for another process, and
// then fails with ErrLocked.
func (s *Store) Lock(wait time.Duration) error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.folder.Locked() {
		return nil
	}
	if err := s.take(wait); err != nil {
		return err
	}
	if err := s.prepare(); err != nil {
		out := s.out
		s.out = nil
		return errors.Join(err, out.close(), s.folder.Unlock())
	}
	return nil
}

// take takes the lock.
func (s *Store) take(wait time.Duration) error {
	const often = 20 * time.Millisecond
	for end := time.Now().Add(wait); ; time.Sleep(often) {
		err := s.folder.Lock(lockFile)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, files.ErrHeld):
			return errors.Join(replaced(err), s.folder.Unlock())
		case time.Now().Before(end):
			continue
		case wait > 0:
			return fmt.Errorf("%s: %w; it did not finish within %v", s.dir, ErrLocked, wait)
		}
		return fmt.Errorf("%s: %w", s.dir, ErrLocked)
	}
}

// prepare brings the view up to date and opens the files to write, once the lock
// is held.
func (s *Store) prepare() error {
	if err := s.checkFollowed(); err != nil {
		return err
	}
	if err := s.refresh(); err != nil {
		return err
	}
	log, err := s.system.Open(s.file(logFile), 0o644)
	if err != nil {
		return err
	}
	features, err := s.system.Open(s.file(s.header.features()), 0o644)
	if err != nil {
		return errors.Join(err, log.Close())
	}
	s.out = &outputs{log, features}
	if err := s.checkHeld(); err != nil {
		return err
	}
	// Whoever wrote last may not know whether it is durable, or may have lost a
	// page: from here on it is, and stands twice.
	if err := s.writeCommit(s.at); err != nil {
		return err
	}
	return s.clean()
}

// checkFollowed is checkHeld when the lock was just taken: until then others may
// have compacted.
func (s *Store) checkFollowed() error {
	err := s.folder.Check()
	if err == nil && errors.Is(s.folder.Check(s.log, s.features), files.ErrReplaced) {
		return s.followCompaction()
	}
	return cmp.Or(replaced(err), s.checkHeld())
}

// Append makes a change, at once or not at all, and durably. The features are
// [len(rows) x dim]. Needs Lock. Only one goroutine may call it at a time, having
// decided by the View of that time.
//
// It fails with ErrReplaced, having written nothing, where the files are not
// those that were opened, and with ErrUncertain where the change may be on disk.
func (s *Store) Append(c Change) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.ready(); err != nil {
		return err
	}
	old := s.view.Load()
	sums := make([]uint32, len(c.Rows))
	for i := range c.Rows {
		sums[i] = rowSum(old.Rows()+i, c.Features[i*s.header.Dim:(i+1)*s.header.Dim])
	}
	if s.codes == nil {
		s.codes = make(map[string]int32)
		for place, text := range old.Texts {
			s.codes[text] = textCode(place)
		}
	}
	payload, err := c.encode(old, s.codes, sums)
	if err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			s.codes = nil // which may have texts that the log has not
		}
	}()
	next := old.grown(len(c.Rows))
	if err := next.apply(payload); err != nil {
		return err
	}
	if err := s.writeFeatures(old.Rows(), c.Features); err != nil {
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
	s.at, committed = at, true
	s.view.Store(next)
	return nil
}

// writeCommit fails with ErrUncertain: the commit may be on disk or not.
func (s *Store) writeCommit(at commit) error {
	s.failed = true
	first, page := at.encode(), at.pageOffset()
	_, err := s.out.log.WriteAt(first, page+copies[0])
	if err == nil {
		err = s.out.log.Sync()
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", s.dir, ErrUncertain, err)
	}
	s.failed = false
	for _, place := range copies[1:] {
		// It is committed by now. Without this copy readers wait for the disk, and
		// the page has nothing to spare; the next change writes both again.
		_, _ = s.out.log.WriteAt(first, page+place)
	}
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
		if err := s.out.features.Truncate(size); err != nil {
			return err
		}
	}
	if _, err := s.out.features.WriteAt(bytesOf(features), int64(first)*stride); err != nil {
		return err
	}
	return s.sync(s.out.features)
}

// sync notes a failure: the system may have dropped what it could not write, and
// the next sync would pass.
func (s *Store) sync(f files.Handle) error {
	err := f.Sync()
	s.failed = err != nil
	return err
}

// writeRecord writes behind the committed log, and cuts what a killed process
// may have left there.
func (s *Store) writeRecord(record []byte) error {
	if err := s.out.log.Truncate(s.at.end); err != nil {
		return err
	}
	if _, err := s.out.log.WriteAt(record, s.at.end); err != nil {
		return err
	}
	return s.sync(s.out.log)
}

// Bytes is the room that the files take by their length.
func (s *Store) Bytes() (int64, error) {
	var sum int64
	s.write.Lock()
	defer s.write.Unlock()
	for _, f := range []*os.File{s.log, s.features} {
		info, err := f.Stat()
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, nil
}
