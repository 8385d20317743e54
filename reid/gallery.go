package reid

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/deepmutual/dml/reid/internal/store"
)

// Errors of galleries; test with errors.Is.
var (
	// ErrGalleryExists says that there is something where a gallery is to be made.
	ErrGalleryExists = store.ErrExists
	// ErrGalleryLocked says that another process writes the gallery.
	ErrGalleryLocked = store.ErrLocked
	// ErrGalleryFailed says that an earlier write failed in a way after which it is
	// not known what is on disk. Opening the gallery again finds out.
	ErrGalleryFailed = store.ErrFailed
	// ErrGalleryReplaced says that a gallery's folder, or the files in it, are not
	// those that were opened: somebody moved it, or put a backup in its place. What
	// fails with it has written nothing. Opening the gallery again opens the new one.
	ErrGalleryReplaced = store.ErrReplaced
	// ErrGalleryUncertain says that the last step of a change failed: the change is
	// on disk as a whole, or not at all. Open the gallery again and repeat it, with
	// SkipExisting or ReplaceExisting: what is found there then is on disk for good.
	ErrGalleryUncertain = store.ErrUncertain
	// ErrGalleryClosed says that the Gallery was closed before the call.
	ErrGalleryClosed = errors.New("the gallery is closed")
	// ErrDuplicate says that an image of that name is in the gallery already, or
	// comes twice among those to add.
	ErrDuplicate = errors.New("an image of this name is there already")
)

// DamageError says that a file of a gallery is not as it was written.
type DamageError struct {
	File   string
	Offset int64 // the byte that the damaged part starts at
	Reason string
}

func (e *DamageError) Error() string {
	return fmt.Sprintf("%s is damaged at byte %d: %s", e.File, e.Offset, e.Reason)
}

// FingerprintError says that a gallery's features were made by another model or
// preprocessing. errors.Is finds ErrFingerprint in it.
type FingerprintError struct {
	Gallery     string // path
	Fingerprint string // of the gallery
	Given       string
}

func (e *FingerprintError) Error() string {
	return fmt.Sprintf("%s: %v: the gallery is for %q, not for %q", e.Gallery, ErrFingerprint, e.Fingerprint, e.Given)
}

func (e *FingerprintError) Unwrap() error { return ErrFingerprint }

// Gallery is a folder of images that can be searched for those of a person. Their
// features are mapped into memory, so opening is fast, and processes share them.
//
// A Gallery is safe for concurrent use, and searches run while images are added
// or removed; a search sees all of a change or nothing. One process at a time
// may change a gallery, others may read it meanwhile (see Refresh). Nobody may
// change its files otherwise; if the features are cut, searches return a
// *DamageError.
type Gallery struct {
	path  string
	store *store.Store

	open   sync.RWMutex // held by calls, so that Close waits for them
	closed atomic.Bool

	write  sync.Mutex
	wait   time.Duration  // for other processes
	byName map[string]int // rows that are not removed; made by the first change

	scratch sync.Pool // of *scratch
}

// CreateGallery makes a gallery for images of dim features: a folder, which must
// not exist, else it fails with ErrGalleryExists. The fingerprint is any text that
// says what makes the features, such as the Fingerprint of package features'
// Recipe. A bad dim or fingerprint is an ErrOptions.
func CreateGallery(path string, dim int, fingerprint string) error {
	h := store.Header{Dim: dim, Fingerprint: fingerprint}
	if err := h.Check(); err != nil {
		return fmt.Errorf("%s: %w: %w", path, ErrOptions, err)
	}
	return store.Create(path, h)
}

// OpenGallery opens a gallery whose features were made with that fingerprint; of
// another it returns a *FingerprintError, of one whose log is damaged a
// *DamageError, and where there is none an fs.ErrNotExist. Features are checked when
// they are first read. Close it after use.
func OpenGallery(path, fingerprint string) (*Gallery, error) {
	s, err := store.Open(path)
	if err != nil {
		return nil, fault(err)
	}
	if h := s.Header(); h.Fingerprint != fingerprint {
		return nil, errors.Join(&FingerprintError{path, h.Fingerprint, fingerprint}, s.Close())
	}
	return &Gallery{path: path, store: s}, nil
}

// fault turns errors of the files into those of this package.
func fault(err error) error {
	var d *store.Damage
	if errors.As(err, &d) {
		return &DamageError{d.File, d.Offset, d.Reason}
	}
	return err
}

// enter keeps the gallery open until leave.
func (g *Gallery) enter() error {
	g.open.RLock()
	if g.closed.Load() {
		g.open.RUnlock()
		return fmt.Errorf("%s: %w", g.path, ErrGalleryClosed)
	}
	return nil
}

func (g *Gallery) leave() { g.open.RUnlock() }

// Close waits for calls under way. Later ones fail with ErrGalleryClosed, but
// for Close, which does nothing.
func (g *Gallery) Close() error {
	g.open.Lock()
	defer g.open.Unlock()
	if g.closed.Swap(true) {
		return nil
	}
	return g.store.Close()
}

// Refresh shows what another process has changed since the gallery was opened.
// Where the gallery was moved or replaced it fails with ErrGalleryReplaced.
func (g *Gallery) Refresh() error {
	if err := g.enter(); err != nil {
		return err
	}
	err := fault(g.store.Refresh())
	g.leave()
	return errors.Join(err, g.trim())
}

// trim waits for calls under way, which may read the features before a
// compaction, and lets go of these.
func (g *Gallery) trim() error {
	if !g.store.Retired() {
		return nil
	}
	g.open.Lock()
	defer g.open.Unlock()
	if g.closed.Load() {
		return nil
	}
	return g.store.Trim()
}

// WaitForOthers sets how long a change waits for another process that writes the
// gallery, before it fails with ErrGalleryLocked. Default: not at all.
func (g *Gallery) WaitForOthers(limit time.Duration) {
	g.write.Lock()
	defer g.write.Unlock()
	g.wait = limit
}

// Compact gives the room of removed images back and makes their features
// unreadable: it writes the gallery's files anew, at once or not at all, whenever
// the process is killed. It needs the room of the images that stay meanwhile, and
// reads and checks all their features. Rows change, in the images' order. Searches
// go on, also those of other processes, which see the new files when they refresh.
func (g *Gallery) Compact(ctx context.Context) error {
	if err := g.enter(); err != nil {
		return err
	}
	err := g.compact(ctx)
	g.leave()
	return errors.Join(err, g.trim())
}

func (g *Gallery) compact(ctx context.Context) error {
	g.write.Lock()
	defer g.write.Unlock()
	if err := g.lock(); err != nil {
		return err
	}
	g.byName = nil // whose rows change
	return cmp.Or(fault(g.store.Compact(ctx)), g.lock())
}

// Verify reads all files and returns a *DamageError about the first damage.
func (g *Gallery) Verify(ctx context.Context) error {
	if err := g.enter(); err != nil {
		return err
	}
	defer g.leave()
	v := g.store.View()
	blocks := (v.Rows() + store.BlockRows - 1) / store.BlockRows
	return eachBlock(ctx, runtime.GOMAXPROCS(0), blocks, v, func(_, block int) error {
		return v.Verify(block*store.BlockRows, min((block+1)*store.BlockRows, v.Rows()))
	})
}

// eachBlock calls f for all blocks by workers side by side, and returns the
// error of the first block that has one.
func eachBlock(ctx context.Context, workers, blocks int, v *store.View, f func(worker, block int) error) error {
	var mu sync.Mutex
	var first error
	worst := blocks
	var failed atomic.Bool
	parallel(workers, blocks, func(worker, block int) {
		if failed.Load() || ctx.Err() != nil {
			return
		}
		if err := v.Guard(func() error { return f(worker, block) }); err != nil {
			failed.Store(true)
			mu.Lock()
			defer mu.Unlock()
			if block < worst {
				first, worst = err, block
			}
		}
	})
	return fault(cmp.Or(first, ctx.Err()))
}
