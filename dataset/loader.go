package dataset

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

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
	// Augment is applied after resizing. Default: none.
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
	// Workers is the number of goroutines that prepare batches. It does not
	// change the batches. Default: 2, at most GOMAXPROCS.
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
	r.shuffle(order)
	return order
}

// sample preprocesses sample i into place k of a batch, with scratch for the
// augmentation.
func (l *Loader) sample(b *Batch, k int, scratch []uint8, epoch, i int) error {
	m, err := l.ds.Image(i)
	if err != nil {
		return fmt.Errorf("sample %d of %s: %w", i, l.ds.Name(), err)
	}
	s := l.opts.Shape
	m = pixels.Fit(m, s.Channels, s.Width, s.Height)
	for v := range b.Views {
		look := l.opts.Augment.Apply(scratch, m, SampleKey{Seed: l.opts.Seed, Epoch: epoch, Index: i, View: v})
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
