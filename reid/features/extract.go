package features

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/reid"
)

// ExtractOptions of Extract, and of Load. The zero value is ready to use.
type ExtractOptions struct {
	// Batch is how many images are decoded and embedded together. Two batches of
	// decoded images are in memory at a time. Default: 64.
	Batch int
	// Workers is how many goroutines decode. Default: runtime.GOMAXPROCS(0).
	Workers int
	// Strict ends the extraction at the first image that cannot be read. Default:
	// such images are skipped, and listed in the manifest.
	Strict bool
	// Pooling is PoolTrack to average the rows of a person's track by a
	// camera, and scale the mean to length 1; images of no track stay as they
	// are. Default: a row an image.
	Pooling string
	// Unusable reports an error of the Embedder that is an image's own fault, which
	// is then skipped. Default: none is.
	Unusable func(error) bool
	// Progress is called, if set, before the first batch and after each one, with
	// how many images are done, those of an interrupted extraction included, and
	// how many there are.
	Progress func(done, total int)
}

// DefaultBatch is the default of ExtractOptions.Batch.
const DefaultBatch = 64

func (o ExtractOptions) withDefaults() ExtractOptions {
	o.Batch = cmp.Or(o.Batch, DefaultBatch)
	o.Workers = cmp.Or(o.Workers, runtime.GOMAXPROCS(0))
	if o.Unusable == nil {
		o.Unusable = func(error) bool { return false }
	}
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	return o
}

// Validate reports every fault of o, joined. They wrap reid.ErrOptions.
func (o ExtractOptions) Validate() error {
	var errs []error
	if o.Batch < 0 {
		errs = append(errs, fmt.Errorf("%w: Batch is %d, below 0", reid.ErrOptions, o.Batch))
	}
	if o.Workers < 0 {
		errs = append(errs, fmt.Errorf("%w: Workers is %d, below 0", reid.ErrOptions, o.Workers))
	}
	if o.Pooling != "" && o.Pooling != PoolTrack {
		errs = append(errs, fmt.Errorf("%w: the pooling %q is not %q", reid.ErrOptions, o.Pooling, PoolTrack))
	}
	return errors.Join(errs...)
}

// What can end an extraction; test with errors.Is.
var (
	// ErrImage: an image cannot be read, and the extraction is strict. The error
	// is an *ImageError.
	ErrImage = errors.New("unreadable image")
	// ErrBusy: another process is at work in the folder.
	ErrBusy = errors.New("another process extracts into this folder")
	// ErrReplaced: the folder was moved, or another put in its place, during the
	// work. Nothing was written there.
	ErrReplaced = errors.New("the folder of features was moved or replaced during the extraction")
	// ErrEmbedder: the features are not what the recipe says.
	ErrEmbedder = errors.New("unusable features")
)

// ImageError says which image cannot be read. errors.Is finds ErrImage in it.
type ImageError struct {
	Part, File string
	Reason     string
}

func (e *ImageError) Error() string {
	return fmt.Sprintf("%s: %v of the %s part: %s", e.File, ErrImage, e.Part, e.Reason)
}

func (e *ImageError) Unwrap() error { return ErrImage }

// Embedder makes features of images, and says how. Those of package embedder do.
type Embedder interface {
	reid.Embedder
	Recipe() Recipe
}

// Extract makes the features of all images, by e, in the folder dir, which it
// makes where it is not there: see the package's documentation. Work that an
// interrupted Extract left there goes on; where it was of another recipe, other
// images or another Batch, that is an ErrResume that says what differs. What is
// complete already is left as it is; where a file of it is not as it was written,
// that is an ErrChecksum. When ctx ends, so does Extract, after the batch at hand.
func Extract(ctx context.Context, dir string, e Embedder, images *Images, opts ExtractOptions) (Manifest, error) {
	p, opts, err := planned(e, images, opts)
	if err != nil {
		return Manifest{}, err
	}
	listing, err := images.checksums(&p.Data)
	if err != nil {
		return Manifest{}, err
	}
	if m, whole, err := p.complete(dir, images.Parts, listing); whole || err != nil {
		return m, err
	}
	partial := filepath.Join(dir, partialDir)
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return Manifest{}, err
	}
	folder, err := files.OpenFolder(partial)
	if err != nil {
		return Manifest{}, err
	}
	defer folder.Close() // it holds nothing to lose
	if err := folder.Lock("lock"); err != nil {
		if errors.Is(err, files.ErrHeld) {
			err = fmt.Errorf("%s: %w", partial, ErrBusy)
		}
		return Manifest{}, err
	}
	// The lock binds the folder wherever it is moved, while files are written by path.
	held := func() error {
		err := folder.Check()
		if errors.Is(err, files.ErrReplaced) {
			return fmt.Errorf("%w: %w", ErrReplaced, err)
		}
		return err
	}
	if err := p.prepare(partial); err != nil {
		return Manifest{}, err
	}
	j, err := openJournal(partial, images.Parts, opts.Batch, p.Recipe.Dim)
	if err != nil {
		return Manifest{}, err
	}
	put := func(part string, rows []float32, skipped []skippedImage) error {
		if err := held(); err != nil {
			return err
		}
		return j.put(part, rows, skipped)
	}
	r := run{recipe: p.Recipe, images: images, embedder: e, opts: opts, done: j.progress, put: put, held: held}
	if err := errors.Join(r.extract(ctx), j.close()); err != nil {
		return Manifest{}, err
	}
	m, err := r.write(ctx, dir, p.Data, listing, j)
	if err != nil {
		return Manifest{}, err
	}
	if err := held(); err != nil {
		return m, err
	}
	return m, os.RemoveAll(partial)
}

// planned checks what is to be done.
func planned(e Embedder, images *Images, opts ExtractOptions) (plan, ExtractOptions, error) {
	recipe := e.Recipe()
	if err := errors.Join(opts.Validate(), recipe.Validate()); err != nil {
		return plan{}, opts, err
	}
	opts = opts.withDefaults()
	if opts.Pooling == PoolTrack && !images.tracks() {
		return plan{}, opts, fmt.Errorf("%s: %w to pool: name them in a column track of a list", images.Data.Path, ErrTrack)
	}
	return plan{Recipe: recipe, Data: images.Data, Batch: opts.Batch, Pooling: opts.Pooling}, opts, nil
}

// run is an extraction under way.
type run struct {
	recipe   Recipe
	images   *Images
	embedder reid.Embedder
	opts     ExtractOptions
	done     progress
	put      func(part string, rows []float32, skipped []skippedImage) error // keeps a batch
	held     func() error                                                    // fails where the folder is another
	rows     []float32                                                       // of a batch
}

func (r *run) extract(ctx context.Context) error {
	if r.opts.Strict {
		for _, s := range r.done.skipped(r.images.Parts) {
			return &ImageError{s.Part, r.images.file(Row{Name: s.Image}), s.Reason}
		}
	}
	r.opts.Progress(r.done.images(r.images.Parts, r.opts.Batch), r.images.count())
	for _, p := range r.images.Parts {
		if err := r.part(ctx, p); err != nil {
			return err
		}
		if done := r.done[p.Name]; done.rows == 0 {
			first := done.skipped[0]
			return fmt.Errorf("%s: %w of the %s part can be read: all %d are skipped, such as %s: %s",
				r.images.Data.Path, reid.ErrEmpty, p.Name, len(p.Images), r.images.file(p.Images[first.Image]), first.Reason)
		}
	}
	return nil
}

// part makes the rows of a part's images that have none yet.
func (r *run) part(ctx context.Context, p ImagesPart) (err error) {
	first := r.done[p.Name].batches * r.opts.Batch
	if first >= len(p.Images) {
		return nil
	}
	decoding, stop := context.WithCancel(ctx)
	batches := decodeBatches(decoding, func(i int) string { return r.images.file(p.Images[i]) }, first, len(p.Images), r.opts.Batch, r.opts.Workers)
	defer func() {
		stop()
		for range batches { // wait for the files that are open
		}
	}()
	for b := range batches {
		if ctx.Err() != nil {
			break
		}
		skipped, err := r.embed(ctx, p, b)
		if err != nil {
			return err
		}
		if err := r.put(p.Name, r.rows, skipped); err != nil {
			return err
		}
		r.done[p.Name].note(len(r.rows)/r.recipe.Dim, skipped)
		r.opts.Progress(r.done.images(r.images.Parts, r.opts.Batch), r.images.count())
	}
	return context.Cause(ctx)
}

// embed sets rows to the rows of a batch.
func (r *run) embed(ctx context.Context, p ImagesPart, b batch) ([]skippedImage, error) {
	var skipped []skippedImage
	skip := func(i int, err error) error {
		if r.opts.Strict {
			return &ImageError{p.Name, r.images.file(p.Images[b.first+i]), reason(err)}
		}
		skipped = append(skipped, skippedImage{b.first + i, reason(err)})
		return nil
	}
	images, at := make([]image.Image, 0, len(b.images)), make([]int, 0, len(b.images)) // those that can be used, and where
	for i, err := range b.errs {
		switch {
		case err == nil:
			images, at = append(images, b.images[i]), append(at, i)
		case !broken(err):
			return nil, fmt.Errorf("%s: %w", r.images.file(p.Images[b.first+i]), err)
		default:
			if err := skip(i, err); err != nil {
				return nil, err
			}
		}
	}
	r.rows = r.rows[:0]
	if len(images) == 0 {
		return skipped, nil
	}
	vectors, err := r.embedder.EmbedImages(ctx, images...)
	faults := faultsOf(err)
	if err != nil && faults == nil {
		return nil, err
	}
	if len(vectors) != len(at) || faults != nil && len(faults) != len(at) {
		return nil, fmt.Errorf("%w: %d vectors of %d images", ErrEmbedder, len(vectors), len(at))
	}
	usable, where := vectors[:0:0], at[:0:0]
	for k, v := range vectors {
		var fault error
		switch {
		case faults != nil && faults[k] != nil:
			if fault = faults[k]; !r.opts.Unusable(fault) {
				return nil, fmt.Errorf("%s: %w", r.images.file(p.Images[b.first+at[k]]), fault)
			}
		case !slices.ContainsFunc(v, func(x float32) bool { return x != 0 }):
			fault = errZero
		default:
			usable, where = append(usable, v), append(where, at[k])
			continue
		}
		if err := skip(at[k], fault); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(skipped, func(a, b skippedImage) int { return a.Image - b.Image })
	return skipped, r.encode(p, b.first, where, usable)
}

// faultsOf returns the faults of single images in an Embedder's error, nil where it is
// another error, or none.
func faultsOf(err error) []error {
	var faults reid.ImagesError
	if errors.As(err, &faults) {
		return faults.ImageErrors()
	}
	return nil
}

// errZero: such features have no length 1, and no direction to compare.
var errZero = errors.New("its features are all zero")

// encode appends vectors, of the images at these places of the batch, to rows.
func (r *run) encode(p ImagesPart, first int, at []int, vectors [][]float32) error {
	for k, v := range vectors {
		file := r.images.file(p.Images[first+at[k]])
		if len(v) != r.recipe.Dim {
			return fmt.Errorf("%s: %w: %d features, and %d are announced", file, ErrEmbedder, len(v), r.recipe.Dim)
		}
		for i, x := range v {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return fmt.Errorf("%s: %w: feature %d is %v", file, ErrEmbedder, i, x)
			}
		}
		r.rows = append(r.rows, v...)
	}
	return nil
}
