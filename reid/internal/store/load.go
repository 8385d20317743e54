package store

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Refresh brings the view up to what other processes have committed.
func (s *Store) Refresh() error {
	s.write.Lock()
	defer s.write.Unlock()
	if s.lock != nil {
		return nil // nobody else writes
	}
	return s.refresh()
}

func (s *Store) refresh() error {
	pages := make([]byte, commitPages*pageSize)
	if err := s.readLog(pages, pageSize); err != nil {
		return err
	}
	to, ok := newest(pages)
	if !ok {
		return s.damaged(pageSize, "the checksum of every commit is wrong")
	}
	// A generation seen before may come back: a commit that is being written may
	// be unreadable at this moment.
	if to.generation < s.at.generation || to == s.at {
		return nil
	}
	return s.replay(to)
}

// replay reads the log up to a commit.
func (s *Store) replay(to commit) error {
	info, err := s.log.Stat()
	if err != nil {
		return err
	}
	if to.end < s.at.end || to.end > info.Size() {
		return s.damaged(info.Size(), "it ends here, before the %d bytes that are committed", to.end)
	}
	log := make([]byte, to.end-s.at.end)
	if err := s.readLog(log, s.at.end); err != nil {
		return err
	}
	more := to.rows - s.at.rows
	if more < 0 || more > int64(len(log)/rowMin) {
		return s.damaged(s.at.end, "%d bytes cannot hold the %d images that are committed", len(log), more)
	}
	old := s.view.Load()
	next := old.grown(int(more))
	chain := s.at.chain
	for at := 0; at < len(log); {
		rest, place := log[at:], s.at.end+int64(at)
		if len(rest) < recordHead {
			return s.damaged(place, "a record is cut off")
		}
		length := int64(little.Uint32(rest))
		if length > int64(len(rest)-recordHead) {
			return s.damaged(place, "a record of %d bytes goes beyond what is committed", length)
		}
		payload := rest[recordHead : recordHead+length]
		chain = crc32.Update(crc32.Update(chain, castagnoli, rest[:4]), castagnoli, payload)
		if chain != little.Uint32(rest[4:]) {
			return s.damaged(place, "the checksum of a record is wrong")
		}
		if err := next.apply(payload); err != nil {
			return s.damaged(place, "%v", err)
		}
		at += recordHead + int(length)
	}
	if chain != to.chain || int64(next.Rows()) != to.rows {
		return s.damaged(s.at.end, "the records are not those that are committed")
	}
	if err := s.show(old, next); err != nil {
		return err
	}
	s.at = to
	s.view.Store(next)
	return nil
}

// show gets the features that next has beyond those of old into memory.
func (s *Store) show(old, next *View) error {
	info, err := s.features.Stat()
	if err != nil {
		return err
	}
	stride := int64(s.header.Dim) * 4
	size := SegmentRows * stride
	count := (int64(next.Rows()) + SegmentRows - 1) / SegmentRows
	if info.Size() < count*size {
		return &Damage{File: s.file(featuresFile), Offset: info.Size(), Reason: fmt.Sprintf("it ends here; the %d rows of the log need %d bytes", next.Rows(), count*size)}
	}
	lo := int64(old.Rows()) * stride
	for i, seg := range next.segments { // those that were not full
		start := int64(i) * size
		hi := min(start+size, int64(next.Rows())*stride)
		if seg.reload != nil && hi > lo && start+size > lo {
			if err := seg.reload(s.features, max(lo, start)-start, hi-start); err != nil {
				return err
			}
		}
	}
	for int64(len(next.segments)) < count {
		seg, err := s.mapping(s.features, int64(len(next.segments))*size, int(size))
		if err != nil {
			return errors.Join(err, next.unmapBeyond(len(old.segments)))
		}
		next.segments = append(next.segments, seg)
	}
	return nil
}

func (v *View) unmapBeyond(n int) error {
	var errs []error
	for _, seg := range v.segments[n:] {
		errs = append(errs, seg.unmap())
	}
	return errors.Join(errs...)
}

// readLog fills b; the log is at least that long unless it is damaged.
func (s *Store) readLog(b []byte, offset int64) error {
	n, err := s.log.ReadAt(b, offset)
	if errors.Is(err, io.EOF) {
		return s.damaged(offset+int64(n), "it ends here")
	}
	return err
}
