package store

import (
	"errors"
	"fmt"
	"os"

	"github.com/deepmutual/dml/internal/files"
)

// Lock keeps other processes from changing the gallery until Close, and brings
// the view up to date. Append needs it.
func (s *Store) Lock() error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.folder.Locked() {
		return nil
	}
	switch err := s.folder.Lock(lockFile); {
	case errors.Is(err, files.ErrHeld):
		return fmt.Errorf("%s: %w", s.dir, ErrLocked)
	case errors.Is(err, files.ErrReplaced):
		return errors.Join(replaced(err), s.folder.Unlock())
	case err != nil:
		return errors.Join(err, s.folder.Unlock())
	}
	err := s.checkHeld()
	if err == nil {
		err = s.openFiles(os.O_RDWR)
	}
	if err == nil {
		err = s.checkHeld()
	}
	if err == nil {
		err = s.refresh()
	}
	if err == nil {
		// Whoever wrote last may not know whether it is durable, or may have lost a
		// page: from here on it is, and stands twice.
		err = s.writeCommit(s.at)
	}
	if err != nil {
		return errors.Join(err, s.folder.Unlock())
	}
	return nil
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
	if s.failed {
		return fmt.Errorf("%s: %w", s.dir, ErrFailed)
	}
	if err := s.checkHeld(); err != nil {
		return err
	}
	if at, err := s.committed(); err != nil {
		return err
	} else if at != s.at {
		return s.otherGallery()
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
	_, err := s.log.WriteAt(first, page+copies[0])
	if err == nil {
		err = s.log.Sync()
	}
	if err != nil {
		return fmt.Errorf("%s: %w: %w", s.dir, ErrUncertain, err)
	}
	s.failed = false
	for _, place := range copies[1:] {
		// It is committed by now. Without this copy readers wait for the disk, and
		// the page has nothing to spare; the next change writes both again.
		_, _ = s.log.WriteAt(first, page+place)
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
		info, err := s.folder.Root().Stat(name)
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, nil
}
