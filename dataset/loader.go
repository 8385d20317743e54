package dataset

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/deepmutual/dml/dataset/internal/draws"
	"github.com/deepmutual/dml/internal/pixels"
)

// LoaderOptions say how a Loader makes batches. Batch and Shape must be given;
// the zero values of the rest suit evaluation.
type LoaderOptions struct {
	// Batch is the number of samples in a batch.
	Batch int
	// Shape is what every image is converted and resized to.
	Shape Shape
	// Norm is applied last. Default: pixel values scaled to 0..1.
	Norm Norm
	// Augment changes the images at random. Default: not at all. Erase.Fill is
	// the mean of Norm, whatever it is given as.
	Augment Augment
	// Views is how many times each sample is augmented, independently: a batch
	// holds so many tensors of the same samples in the same order, one for each
	// student that is to have its own. View 0 is what a Loader of one view
	// gives. Default: 1, the view that the paper's students share.
	Views int
	// Second prepares the augmented image of each view for another network too,
	// for Batch.Second. Default: none.
	Second *Preparation
	// Seed decides order and augmentation.
	Seed uint64
	// Shuffle puts the samples in a new order each epoch; else they come in
	// that of the Dataset.
	Shuffle bool
	// DropLast leaves out a last batch of fewer than Batch samples, as training
	// does; evaluation must not.
	DropLast bool
	// Cache keeps decoded images. Default: none are kept.
	Cache *Cache
	// Workers is the number of goroutines that prepare batches: one at any time,
	// the others only while the caller waits in Next, so that they take no core
	// from what the caller computes in between. It does not change the batches.
	// Default: 2, at most GOMAXPROCS.
	Workers int
}

// preparedAhead is the number of finished batches kept waiting beside those
// the workers have in hand.
const preparedAhead = 2

// Validate reports every fault of o.
func (o LoaderOptions) Validate() error {
	var errs []error
	if o.Batch < 1 {
		errs = append(errs, fmt.Errorf("batch of %d samples: want at least 1", o.Batch))
	}
	if o.Views < 0 {
		errs = append(errs, fmt.Errorf("%d views of a sample: want 0 (the default) or more", o.Views))
	}
	if o.Workers < 0 {
		errs = append(errs, fmt.Errorf("%d loader workers: want 0 (the default) or more", o.Workers))
	}
	if err := o.Shape.Validate(); err != nil {
		// What follows is about the shape's channels and sides.
		return errors.Join(append(errs, err)...)
	}
	errs = append(errs, o.Norm.Validate(o.Shape.Channels), o.Augment.Validate(o.Shape))
	if o.Second != nil {
		if err := o.Second.Validate(); err != nil {
			errs = append(errs, fmt.Errorf("second preparation: %w", err))
		}
	}
	return errors.Join(errs...)
}

// Batch holds N samples. It belongs to the Epoch that returned it and is valid
// until that Epoch's next Next or Close.
type Batch struct {
	// Images is N samples in NCHW order: the first of Views.
	Images []float32
	// Views are LoaderOptions.Views tensors of the same samples as Images, each
	// augmented with draws of its own.
	Views [][]float32
	// Second holds the images of Views as LoaderOptions.Second prepares them;
	// empty without it.
	Second [][]float32
	// Labels are the N classes.
	Labels []int32
	// Indices are the samples' places in the Dataset.
	Indices []int
	// N is LoaderOptions.Batch, or less in a last batch.
	N int
}

// Loader makes batches of preprocessed samples. It is safe for concurrent use,
// several Epochs at a time included.
type Loader struct {
	ds     Dataset
	opts   LoaderOptions
	first  *preparer // of Batch.Views
	second *preparer // of Batch.Second, or nil
	kept   keeper

	mu   sync.Mutex
	free []*slot // buffers of finished epochs
}

// NewLoader returns a Loader over ds. It fails where opts are invalid or would
// give no batch at all.
func NewLoader(ds Dataset, opts LoaderOptions) (*Loader, error) {
	if err := opts.Validate(); err != nil {
		return nil, fmt.Errorf("loading %s: %w", ds.Name(), err)
	}
	if ds.Len() == 0 {
		return nil, fmt.Errorf("loading %s: no samples", ds.Name())
	}
	if opts.DropLast && ds.Len() < opts.Batch {
		return nil, fmt.Errorf("loading %s: %d samples do not fill a batch of %d: use a smaller batch",
			ds.Name(), ds.Len(), opts.Batch)
	}
	for i, classes := 0, len(ds.Classes()); i < ds.Len(); i++ {
		if label := ds.Label(i); label < 0 || label >= classes {
			return nil, fmt.Errorf("loading %s: sample %d has the label %d of %d classes", ds.Name(), i, label, classes)
		}
	}
	l := &Loader{ds: ds}
	var err error
	if l.first, err = newPreparer(Preparation{opts.Shape, opts.Norm}); err != nil {
		return nil, fmt.Errorf("loading %s: %w", ds.Name(), err)
	}
	if opts.Second != nil {
		if l.second, err = newPreparer(*opts.Second); err != nil {
			return nil, fmt.Errorf("loading %s: %w", ds.Name(), err)
		}
	}
	opts.Views = max(opts.Views, 1)
	if opts.Workers == 0 {
		opts.Workers = min(2, runtime.GOMAXPROCS(0))
	}
	opts.Augment.Erase.Fill = meanColour(opts.Norm)
	if opts.Cache != nil {
		l.kept = keeper{cache: opts.Cache, images: make([]atomic.Pointer[Image], ds.Len())}
	}
	l.opts = opts
	return l, nil
}

// Batches is the number of batches in an epoch.
func (l *Loader) Batches() int {
	n := l.ds.Len()
	if l.opts.DropLast {
		return n / l.opts.Batch
	}
	return (n + l.opts.Batch - 1) / l.opts.Batch
}

// order returns the sequence of sample indices of an epoch: nil for that of
// the Dataset.
func (l *Loader) order(epoch int) []int {
	if !l.opts.Shuffle {
		return nil
	}
	order := make([]int, l.ds.Len())
	for i := range order {
		order[i] = i
	}
	r := newRandom(l.opts.Seed, streamOrder, epoch, 0)
	draws.Shuffle(&r, order)
	return order
}

// workspace is the memory in which a sample is prepared.
type workspace struct {
	resizer               pixels.Resizer
	fitted, part, changed []uint8
}

// sample preprocesses sample i into place k of a batch.
func (l *Loader) sample(b *Batch, k int, w *workspace, epoch, i int) error {
	m, err := l.image(w, i)
	if err != nil {
		return fmt.Errorf("sample %d of %s: %w", i, l.ds.Name(), err)
	}
	for v := range b.Views {
		look := l.look(w, m, SampleKey{Seed: l.opts.Seed, Epoch: epoch, Index: i, View: v})
		err := l.first.sample(b.Views[v], k, look)
		if err == nil && l.second != nil {
			err = l.second.sample(b.Second[v], k, look)
		}
		if err != nil {
			return fmt.Errorf("sample %d of %s: %w", i, l.ds.Name(), err)
		}
	}
	return nil
}

// look augments m.
func (l *Loader) look(w *workspace, m Image, key SampleKey) Image {
	if crop := l.opts.Augment.ResizedCrop; crop.on() {
		part := crop.Part(m.Width, m.Height, key)
		m = Image(w.resizer.Crop(w.part, pixels.Image(m), pixels.Rect(part), l.opts.Shape.Width, l.opts.Shape.Height))
		w.part = m.Pix
	}
	return l.opts.Augment.Apply(w.changed, m, key)
}

// image returns sample i with the input's channels and, unless a random part of
// it is to be scaled, of the input's size. It is valid until w is used again.
func (l *Loader) image(w *workspace, i int) (Image, error) {
	if m, ok := l.kept.load(i); ok {
		return m, nil
	}
	m, err := l.ds.Image(i)
	if err != nil {
		return Image{}, err
	}
	channels, width, height := l.opts.Shape.Channels, l.opts.Shape.Width, l.opts.Shape.Height
	if l.opts.Augment.ResizedCrop.on() {
		width, height = m.Width, m.Height
	}
	resize := m.Width != width || m.Height != height
	if !resize && m.Channels == channels && inMemory(l.ds) {
		return m, nil
	}
	keep := l.kept.room(width * height * channels)
	m = Image(pixels.Convert(pixels.Image(m), channels))
	if resize {
		var buf []uint8
		if !keep {
			buf = w.fitted
		}
		m = Image(w.resizer.Crop(buf, pixels.Image(m), pixels.Image(m).Bounds(), width, height))
		if !keep {
			w.fitted = m.Pix
		}
	}
	if keep {
		l.kept.store(i, m)
	}
	return m, nil
}
