package walkers

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/deepmutual/dml/dataset/identities"
)

// ErrNotEmpty says that a folder to write into holds something.
var ErrNotEmpty = errors.New("the folder is not empty: give a new one")

const (
	quality  = 92 // of the JPEG files
	noteFile = "README.txt"
)

// Counts of a set's images. Gallery includes junk and distractors.
type Counts struct {
	Train       int `json:"train"`
	Query       int `json:"query"`
	Gallery     int `json:"gallery"`
	Junk        int `json:"junk"`
	Distractors int `json:"distractors"`
	MultiQuery  int `json:"multi_query"`
}

// Counts counts the images.
func (s *Set) Counts() Counts {
	var n Counts
	for _, m := range s.images {
		switch m.Part {
		case identities.Train:
			n.Train++
		case identities.Query:
			n.Query++
		case identities.MultiQuery:
			n.MultiQuery++
		case identities.Gallery:
			n.Gallery++
			switch m.PID {
			case identities.Junk:
				n.Junk++
			case identities.Distractor:
				n.Distractors++
			}
		}
	}
	return n
}

// WriteOptions of Write. The zero value of a field means its default.
type WriteOptions struct {
	Workers int // images drawn at once; default: as many as there are cores
	// Progress is called after each image with the number of those that are
	// done, from one goroutine at a time. Default: none.
	Progress func(done, total int)
}

// Write draws the set into dir, which must be empty or not exist, with a note
// that says what it is. The same set gives the same files. dir is whole or as
// it was: it is made beside under another name and put there at the end. An
// error about a folder in use wraps ErrNotEmpty.
func (s *Set) Write(ctx context.Context, dir string, opts WriteOptions) (err error) {
	if opts.Workers < 0 {
		return fmt.Errorf("%w: Workers is %d, below 0", ErrOptions, opts.Workers)
	}
	if dir, err = vacant(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(tmp))
		}
	}()
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	for _, part := range []identities.Part{identities.Train, identities.Query, identities.Gallery, identities.MultiQuery} {
		if err := os.Mkdir(filepath.Join(tmp, part.Folder()), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(tmp, noteFile), []byte(s.note()), 0o644); err != nil {
		return err
	}
	if err := s.writeImages(ctx, tmp, opts); err != nil {
		return err
	}
	// An empty folder is in the way of a rename on some systems.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Rename(tmp, dir)
}

// Holds reports whether dir holds the set, as Write wrote it: the note, every
// image's file, and in those of one in so many the same bytes. It is false where
// dir is missing or empty; where it holds anything else, it is an error that
// wraps ErrNotEmpty.
func (s *Set) Holds(dir string) (bool, error) {
	if _, err := vacant(dir); !errors.Is(err, ErrNotEmpty) {
		return false, err
	}
	const sampled = 37 // one in so many: no round number, so that all parts and cameras are seen
	other := func(name string) (bool, error) {
		return false, fmt.Errorf("%s: %w; another set is in it, as %s shows", dir, ErrNotEmpty, name)
	}
	if note, err := os.ReadFile(filepath.Join(dir, noteFile)); err != nil || string(note) != s.note() {
		return other(noteFile)
	}
	for i, m := range s.images {
		path := filepath.Join(dir, filepath.FromSlash(m.File()))
		if i%sampled != 0 {
			if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
				return other(m.File())
			}
			continue
		}
		want, err := s.encode(m)
		if err != nil {
			return false, err
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
			return other(m.File())
		}
	}
	return true, nil
}

// vacant returns the path, links resolved, of a folder that is empty or can be
// made.
func vacant(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	if resolved, err := filepath.EvalSymlinks(dir); err == nil {
		dir = resolved
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s: %w", dir, ErrNotEmpty)
	}
	return dir, nil
}

func (s *Set) note() string {
	o, n := s.opts, s.Counts()
	return fmt.Sprintf(`Synthetic walkers: pictures of people who do not exist, drawn by a program
(dml reid synth) in the layout of Market-1501. They may be used for any purpose.

seed %d, difficulty %s, %d cameras
bounding_box_train  %d images of %d identities
query               %d images of %d other identities
bounding_box_test   %d images, of them %d distractors (0000) and %d junk (-1)
gt_bbox             %d images, for multiple queries
`, o.Seed, o.Difficulty, o.Cameras, n.Train, o.TrainIdentities, n.Query, o.TestIdentities, n.Gallery, n.Distractors, n.Junk, n.MultiQuery)
}

func (s *Set) writeImages(ctx context.Context, dir string, opts WriteOptions) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workers := cmp.Or(opts.Workers, runtime.GOMAXPROCS(0))
	var (
		next atomic.Int64
		mu   sync.Mutex // guards done and Progress
		done int
		all  sync.WaitGroup
	)
	for range workers {
		all.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(s.images) {
					return
				}
				if err := s.writeImage(dir, s.images[i]); err != nil {
					cancel(err)
					return
				}
				mu.Lock()
				done++
				if opts.Progress != nil {
					opts.Progress(done, len(s.images))
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}

func (s *Set) writeImage(dir string, m Image) error {
	data, err := s.encode(m)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, filepath.FromSlash(m.File())), data, 0o644)
}

// encode draws an image as a JPEG file.
func (s *Set) encode(m Image) ([]byte, error) {
	var file bytes.Buffer
	err := jpeg.Encode(&file, s.Draw(m), &jpeg.Options{Quality: quality})
	return file.Bytes(), err
}
