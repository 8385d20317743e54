package extract

import (
	"cmp"
	"context"
	"encoding/binary"
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
	"github.com/deepmutual/dml/reid/features"
)

// Options of Run. The zero value is ready.
type Options struct {
	// Batch is how many images are decoded and embedded together. Two batches of
	// decoded images are in memory at a time. Default: 64.
	Batch int
	// Workers is how many goroutines decode. Default: runtime.GOMAXPROCS(0).
	Workers int
	// Strict ends the extraction at the first image that cannot be read. Default:
	// such images are skipped, and listed in the manifest.
	Strict bool
	// Pooling is features.PoolTrack to average the rows of a person's track by a
	// camera, and scale the mean to length 1; images of no track stay as they
	// are. Default: a row an image.
	Pooling string
	// Unusable reports an error of the Embedder that is an image's own fault, which
	// is then skipped. Default: none is.
	Unusable func(error) bool
	// Progress is called, if set, before the first batch and after each one: so
	// many of all images are done, those of an interrupted extraction included.
	Progress func(done, total int)
}

// DefaultBatch is the default of Options.Batch.
const DefaultBatch = 64

func (o Options) withDefaults() Options {
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
func (o Options) Validate() error {
	var errs []error
	if o.Batch < 0 {
		errs = append(errs, fmt.Errorf("%w: Batch is %d, below 0", reid.ErrOptions, o.Batch))
	}
	if o.Workers < 0 {
		errs = append(errs, fmt.Errorf("%w: Workers is %d, below 0", reid.ErrOptions, o.Workers))
	}
	if o.Pooling != "" && o.Pooling != features.PoolTrack {
		errs = append(errs, fmt.Errorf("%w: the pooling %q is not %q", reid.ErrOptions, o.Pooling, features.PoolTrack))
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

// Run makes the features of all images of src, by e as recipe says, in the
// folder dir, which it makes where it is not there. Work that an interrupted Run
// left there goes on; where it was of another recipe, other images or another
// Batch, that is an ErrResume that says what differs. What is complete already is
// left as it is. When ctx ends, so does Run, after the batch at hand.
func Run(ctx context.Context, dir string, recipe features.Recipe, e reid.Embedder, src *Source, opts Options) (features.Manifest, error) {
	if err := errors.Join(opts.Validate(), recipe.Validate()); err != nil {
		return features.Manifest{}, err
	}
	opts = opts.withDefaults()
	if opts.Pooling == features.PoolTrack && !src.tracks() {
		return features.Manifest{}, fmt.Errorf("%s: %w to pool: name them in a column track of a list", src.Data.Path, ErrTrack)
	}
	p := plan{Recipe: recipe, Data: src.Data, Batch: opts.Batch, Pooling: opts.Pooling}
	var err error
	if p.Data.SHA256, p.Times, err = src.checksums(); err != nil {
		return features.Manifest{}, err
	}
	if m, whole, err := p.complete(dir, src.Parts); whole || err != nil {
		return m, err
	}
	partial := filepath.Join(dir, partialDir)
	if err := os.MkdirAll(partial, 0o755); err != nil {
		return features.Manifest{}, err
	}
	held, err := files.TakeLock(filepath.Join(partial, "lock"))
	if errors.Is(err, files.ErrHeld) {
		err = fmt.Errorf("%s: %w", partial, ErrBusy)
	}
	if err != nil {
		return features.Manifest{}, err
	}
	defer held.Release() // it holds nothing to lose
	if err := p.prepare(partial); err != nil {
		return features.Manifest{}, err
	}
	j, err := openJournal(partial, src.Parts, opts.Batch, recipe.Dim)
	if err != nil {
		return features.Manifest{}, err
	}
	r := run{plan: p, src: src, embedder: e, opts: opts, journal: j}
	if err := errors.Join(r.extract(ctx), j.close()); err != nil {
		return features.Manifest{}, err
	}
	m, err := r.finish(ctx, dir)
	if err != nil {
		return features.Manifest{}, err
	}
	return m, os.RemoveAll(partial)
}

// run is an extraction under way.
type run struct {
	plan     plan
	src      *Source
	embedder reid.Embedder
	opts     Options
	journal  *journal
	buf      []byte // of a batch's rows
}

func (r *run) extract(ctx context.Context) error {
	if r.opts.Strict {
		for _, s := range r.journal.skipped(r.src.Parts) {
			return &ImageError{s.Part, r.src.file(features.Row{Name: s.Image}), s.Reason}
		}
	}
	r.opts.Progress(r.journal.images(r.src.Parts), r.src.images())
	for _, p := range r.src.Parts {
		if err := r.part(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// part makes the rows of a part's images that have none yet.
func (r *run) part(ctx context.Context, p Part) (err error) {
	first := r.journal.done[p.Name].batches * r.opts.Batch
	if first >= len(p.Images) {
		return nil
	}
	rows, err := os.OpenFile(r.journal.rows(p.Name), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	decoding, stop := context.WithCancel(ctx)
	batches := decodeBatches(decoding, func(i int) string { return r.src.file(p.Images[i]) }, first, len(p.Images), r.opts.Batch, r.opts.Workers)
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
		if err := r.journal.add(p.Name, rows, r.buf, skipped); err != nil {
			return err
		}
		r.opts.Progress(r.journal.images(r.src.Parts), r.src.images())
	}
	return context.Cause(ctx)
}

// embed fills buf with the rows of a batch.
func (r *run) embed(ctx context.Context, p Part, b batch) ([]skippedImage, error) {
	var skipped []skippedImage
	skip := func(i int, err error) error {
		if r.opts.Strict {
			return &ImageError{p.Name, r.src.file(p.Images[b.first+i]), reason(err)}
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
			return nil, fmt.Errorf("%s: %w", r.src.file(p.Images[b.first+i]), err)
		default:
			if err := skip(i, err); err != nil {
				return nil, err
			}
		}
	}
	r.buf = r.buf[:0]
	if len(images) == 0 {
		return skipped, nil
	}
	vectors, err := r.embedder.EmbedImages(ctx, images...)
	if err != nil && r.opts.Unusable(err) {
		// It fails as a whole: find out which images are at fault, and go on
		// without them.
		good, where := images[:0:0], at[:0:0]
		for k, m := range images {
			_, err := r.embedder.EmbedImages(ctx, m)
			switch {
			case err == nil:
				good, where = append(good, m), append(where, at[k])
			case !r.opts.Unusable(err):
				return nil, err
			default:
				if err := skip(at[k], err); err != nil {
					return nil, err
				}
			}
		}
		if images, at = good, where; len(images) == 0 {
			slices.SortFunc(skipped, func(a, b skippedImage) int { return a.Image - b.Image })
			return skipped, nil
		}
		vectors, err = r.embedder.EmbedImages(ctx, images...)
	}
	if err != nil {
		return nil, err
	}
	if len(vectors) != len(at) {
		return nil, fmt.Errorf("%w: %d vectors of %d images", ErrEmbedder, len(vectors), len(at))
	}
	usable, where := vectors[:0:0], at[:0:0]
	for k, v := range vectors {
		if slices.ContainsFunc(v, func(x float32) bool { return x != 0 }) {
			usable, where = append(usable, v), append(where, at[k])
		} else if err := skip(at[k], errZero); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(skipped, func(a, b skippedImage) int { return a.Image - b.Image })
	return skipped, r.encode(p, b.first, where, usable)
}

// errZero: such features have no length 1, and no direction to compare.
var errZero = errors.New("its features are all zero")

// encode appends vectors, of the images at these places of the batch, to buf.
func (r *run) encode(p Part, first int, at []int, vectors [][]float32) error {
	for k, v := range vectors {
		file := r.src.file(p.Images[first+at[k]])
		if len(v) != r.plan.Recipe.Dim {
			return fmt.Errorf("%s: %w: %d features, and %d are announced", file, ErrEmbedder, len(v), r.plan.Recipe.Dim)
		}
		for i, x := range v {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return fmt.Errorf("%s: %w: feature %d is %v", file, ErrEmbedder, i, x)
			}
			r.buf = binary.LittleEndian.AppendUint32(r.buf, math.Float32bits(x))
		}
	}
	return nil
}
