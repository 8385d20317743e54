package store

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/deepmutual/dml/internal/files"
)

// Refresh brings the view up to what other processes have committed. It fails
// with ErrReplaced where the folder, or its files, are not those that were opened.
func (s *Store) Refresh() error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.checkHeld(); err != nil {
		return err
	}
	if s.folder.Locked() {
		return nil // nobody else writes
	}
	return s.refresh()
}

// checkHeld insists on the folder and files that were opened, by what they are
// and by the header: who copies files over others changes them in place. Files
// that a compaction replaced are followed, unless the lock is held, which keeps
// others from compacting.
func (s *Store) checkHeld() error {
	if err := s.folder.Check(); err != nil {
		return replaced(err)
	}
	err := s.folder.Check(s.log, s.features)
	if errors.Is(err, files.ErrReplaced) && !s.folder.Locked() {
		return s.followCompaction()
	}
	if err != nil {
		return replaced(err)
	}
	page := make([]byte, pageSize)
	if err := s.readLog(page, 0); err != nil {
		return err
	}
	if checksum(page) != s.headerSum {
		return s.otherGallery()
	}
	return nil
}

// followCompaction goes on with the files that a compaction of this gallery put
// in the place of those that are open.
func (s *Store) followCompaction() (err error) {
	next, err := s.openContent()
	if err != nil {
		return err
	}
	if next.header.id != s.header.id || next.header.compactions <= s.header.compactions || next.header.Dim != s.header.Dim || next.header.Fingerprint != s.header.Fingerprint {
		return errors.Join(s.otherGallery(), next.close())
	}
	old, was, view := s.content, s.at, s.view.Load()
	s.content = next
	err = s.load()
	if err == nil && s.at.generation <= was.generation {
		err = errors.Join(s.otherGallery(), unmap(s.view.Load().segments))
	}
	if err != nil {
		s.content, s.at = old, was
		s.view.Store(view)
		return errors.Join(err, next.close())
	}
	s.retired = append(s.retired, view.segments...)
	s.codes = nil
	return old.close()
}

// replaced turns an error of the folder into one of this package.
func replaced(err error) error {
	if errors.Is(err, files.ErrReplaced) {
		return fmt.Errorf("%w: %w", ErrReplaced, err)
	}
	return err
}

func (s *Store) otherGallery() error {
	return fmt.Errorf("%s: %w: another gallery's files were put there", s.dir, ErrReplaced)
}

// committed returns what the log says how far it is committed, durably.
func (s *Store) committed() (commit, error) {
	pages := make([]byte, commitPages*pageSize)
	if err := s.readLog(pages, pageSize); err != nil {
		return commit{}, err
	}
	found, ok := decodeCommits(pages)
	if !ok {
		return commit{}, s.damaged(pageSize, "the checksum of every commit is wrong")
	}
	at := found.newest
	if found.lost {
		next, there, err := s.beyond(at)
		if err != nil || there {
			return next, err
		}
	}
	if !found.sure && at != s.at {
		// Its writer died, or is waiting for the disk at this moment: nobody is
		// shown what a loss of power could undo.
		if err := s.settle(s.log); err != nil {
			return commit{}, err
		}
	}
	return at, nil
}

// beyond returns the commit of the record behind one, whose own page was lost. A
// record that is whole was ready to be committed.
func (s *Store) beyond(c commit) (next commit, there bool, err error) {
	info, err := s.log.Stat()
	if err != nil {
		return commit{}, false, err
	}
	rest := min(info.Size()-c.end, recordHead+longestPayload)
	if rest <= 0 {
		return commit{}, false, nil // the lost page was that of an older commit
	}
	log := make([]byte, rest)
	if err := s.readLog(log, c.end); err != nil {
		return commit{}, false, err
	}
	payload, chain, reason := follow(c.chain, log)
	if reason != "" || len(payload) < payloadMin {
		return commit{}, false, s.damaged(commit{generation: c.generation + 1}.pageOffset(),
			"a page that says what is committed is lost, and the bytes from %d on are not a record: the last change may be missing", c.end)
	}
	return commit{
		generation: c.generation + 1, end: c.end + recordHead + int64(len(payload)),
		rows: c.rows + int64(little.Uint32(payload[12:])), chain: chain,
	}, true, nil
}

func (s *Store) refresh() error {
	to, err := s.committed()
	if err != nil {
		return err
	}
	// What was once seen stays in its page until the next but one is written.
	if to.generation < s.at.generation || to.generation == s.at.generation && to != s.at {
		return s.otherGallery()
	}
	if to == s.at {
		return nil
	}
	if err := s.replay(s.view.Load(), to); err != nil {
		if s.at.generation > 0 && !s.continues() {
			return s.otherGallery()
		}
		return err
	}
	return nil
}

// continues reports whether the log up to what the view shows is as it was read.
func (s *Store) continues() bool {
	log := make([]byte, s.at.end-logStart)
	if s.readLog(log, logStart) != nil {
		return false
	}
	chain := s.headerSum
	for len(log) > 0 {
		payload, next, reason := follow(chain, log)
		if reason != "" {
			return false
		}
		chain, log = next, log[recordHead+len(payload):]
	}
	return chain == s.at.chain
}

// replay reads the log up to a commit, and shows it on top of a view of what was
// committed before.
func (s *Store) replay(old *View, to commit) error {
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
	next := old.grown(int(more))
	chain := s.at.chain
	for at := 0; at < len(log); {
		place := s.at.end + int64(at)
		payload, after, reason := follow(chain, log[at:])
		if reason != "" {
			return s.damaged(place, "%s", reason)
		}
		chain = after
		if err := next.apply(payload); err != nil {
			return s.damaged(place, "%v", err)
		}
		at += recordHead + len(payload)
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
		return &Damage{File: s.file(next.file), Offset: info.Size(), Reason: fmt.Sprintf("it ends here; the %d rows of the log need %d bytes", next.Rows(), count*size)}
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

func (v *View) unmapBeyond(n int) error { return unmap(v.segments[n:]) }

func unmap(segments []*segment) error {
	var errs []error
	for _, seg := range segments {
		errs = append(errs, seg.unmap())
	}
	return errors.Join(errs...)
}

// readLog fills b; the log is at least that long unless it is damaged.
func (s *Store) readLog(b []byte, offset int64) error { return s.readAt(s.log, b, offset) }

func (s *Store) readAt(log *os.File, b []byte, offset int64) error {
	n, err := log.ReadAt(b, offset)
	if errors.Is(err, io.EOF) {
		return s.damaged(offset+int64(n), "it ends here")
	}
	return err
}
