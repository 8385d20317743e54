package store

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// newLog is the log of a compaction until it is renamed.
const newLog = "log.new"

// Compact writes the gallery anew without the rows that were removed, whose
// features nobody can read in its files any more, and without what labels were
// before. The rows that stay get other numbers, in their order. It is done at once
// or not at all, durably. Needs Lock.
//
// Views from before go on until Trim; so do other processes, until they refresh.
// Errors are those of Append, and the context's.
func (s *Store) Compact(ctx context.Context) error {
	s.write.Lock()
	defer s.write.Unlock()
	if err := s.ready(); err != nil {
		return err
	}
	next := s.header
	next.compactions++
	if err := s.writeCompacted(ctx, next); err != nil {
		return errors.Join(err, s.removeIfThere(newLog), s.removeIfThere(next.features()))
	}
	if err := s.checkHeld(); err != nil { // before it is too late
		return errors.Join(err, s.removeIfThere(newLog), s.removeIfThere(next.features()))
	}
	s.failed = true // until it is known what is on disk
	if err := s.system.Rename(s.file(newLog), s.file(logFile)); err != nil {
		return fmt.Errorf("%s: %w: %w", s.dir, ErrUncertain, err)
	}
	if err := s.system.SyncDir(s.dir); err != nil {
		return fmt.Errorf("%s: %w: %w", s.dir, ErrUncertain, err)
	}
	out := s.out
	if err := errors.Join(s.followCompaction(), out.close()); err != nil {
		return fmt.Errorf("%s: it is compacted, but cannot be opened: %w", s.dir, err)
	}
	s.out = nil
	if err := s.prepare(); err != nil { // which removes the old features
		return fmt.Errorf("%s: it is compacted, but cannot be written to: %w", s.dir, err)
	}
	s.failed = false
	return nil
}

// ready reports whether a change can be made to what the view shows.
func (s *Store) ready() error {
	if s.failed {
		return fmt.Errorf("%s: %w", s.dir, ErrFailed)
	}
	if err := s.checkHeld(); err != nil {
		return err
	}
	at, err := s.committed()
	if err == nil && at != s.at {
		err = s.otherGallery()
	}
	return err
}

// writeCompacted writes the new files, durably, under names that nobody uses.
func (s *Store) writeCompacted(ctx context.Context, h Header) (err error) {
	page, err := h.encode()
	if err != nil {
		return err
	}
	features, err := s.system.Create(s.file(h.features()), 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, features.Close()) }()
	log, err := s.system.Create(s.file(newLog), 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	at := commit{generation: s.at.generation + 1, end: logStart, chain: checksum(page)}
	old, view := s.view.Load(), &View{dim: h.Dim}
	codes := make(map[string]int32)
	write := func(c Change, sums []uint32) error {
		payload, err := c.encode(view, codes, sums)
		if err != nil {
			return err
		}
		if err := view.apply(payload); err != nil {
			return err
		}
		record, chain := sealRecord(at.chain, payload)
		if _, err := log.WriteAt(record, at.end); err != nil {
			return err
		}
		at.chain, at.end = chain, at.end+int64(len(record))
		at.rows = int64(view.Rows())
		return nil
	}
	if old.Note != nil {
		if err := write(Change{Note: old.Note}, nil); err != nil {
			return err
		}
	}
	stride := int64(h.Dim) * 4
	for lo := 0; lo < old.Rows(); lo += BlockRows {
		if err := ctx.Err(); err != nil {
			return err
		}
		c, sums, err := old.living(lo, min(lo+BlockRows, old.Rows()), view.Rows())
		if err != nil {
			return err
		}
		if len(c.Rows) == 0 {
			continue
		}
		if _, err := features.WriteAt(bytesOf(c.Features), at.rows*stride); err != nil {
			return err
		}
		if err := write(c, sums); err != nil {
			return err
		}
	}
	segments := (at.rows + SegmentRows - 1) / SegmentRows
	if err := features.Truncate(segments * SegmentRows * stride); err != nil {
		return err
	}
	if _, err := log.WriteAt(append(page, bytes.Repeat(at.page(), commitPages)...), 0); err != nil {
		return err
	}
	return cmp.Or(features.Sync(), log.Sync(), s.system.SyncDir(s.dir))
}

// living is a change that adds the rows from lo to hi, of one block, that are not
// removed, from row first on, with the checksums of their features.
func (v *View) living(lo, hi, first int) (c Change, sums []uint32, err error) {
	err = v.Guard(func() error {
		features, err := v.Features(lo, hi)
		if err != nil {
			return err
		}
		for i := lo; i < hi; i++ {
			if v.IsRemoved(i) {
				continue
			}
			row := features[(i-lo)*v.dim : (i-lo+1)*v.dim]
			sums = append(sums, rowSum(first+len(c.Rows), row))
			c.Rows, c.Features = append(c.Rows, v.Row(i)), append(c.Features, row...)
		}
		return nil
	})
	return c, sums, err
}

// clean removes what compactions left behind, when the log that does not name it
// is durable.
func (s *Store) clean() error {
	entries, err := fs.ReadDir(s.folder.Root().FS(), ".")
	if err != nil {
		return err
	}
	synced := false
	for _, e := range entries {
		name := e.Name()
		stale := name == newLog || strings.HasPrefix(name, "features.") && strings.HasSuffix(name, ".f32") && name != s.header.features()
		if !stale {
			continue
		}
		if !synced {
			if err := s.system.SyncDir(s.dir); err != nil {
				return err
			}
			synced = true
		}
		if err := s.removeIfThere(name); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) removeIfThere(name string) error {
	if err := s.system.Remove(s.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
