package infer

import (
	"context"
	"errors"
	"fmt"
	"image"
	"sync"
	"time"
)

// BatcherOptions says how a Batcher joins calls. The zero value is ready.
type BatcherOptions struct {
	// MaxBatch is how many samples go to the network at once; 0 means 32. A
	// call of more goes by itself.
	MaxBatch int
	// MaxWait is how long the first call of a batch waits for others. 0 means not
	// at all: calls that come while the network is busy are joined all the same.
	MaxWait time.Duration
	// Parallel is how many batches are computed at a time; 0 means 1, which is
	// right where a call uses all cores (Options.Threads). Of networks on one
	// thread each, take as many as there are cores.
	Parallel int
}

// Validate reports every fault of o, joined.
func (o BatcherOptions) Validate() error {
	var errs []error
	if o.MaxBatch < 0 {
		errs = append(errs, fmt.Errorf("infer: MaxBatch is %d; it cannot be negative", o.MaxBatch))
	}
	if o.MaxWait < 0 {
		errs = append(errs, fmt.Errorf("infer: MaxWait is %v; it cannot be negative", o.MaxWait))
	}
	if o.Parallel < 0 {
		errs = append(errs, fmt.Errorf("infer: Parallel is %d; it cannot be negative", o.Parallel))
	}
	return errors.Join(errs...)
}

// Batcher is a Predictor that joins concurrent calls into batches. Each call
// prepares its own images, so that an unreadable one fails no other.
//
// What it gains depends on the network (BenchmarkBatcher). One that reads many
// weights for few operations, such as wide fully connected layers, or one on an
// accelerator, computes a batch in much less time than its samples one by one.
// Small convolutional networks on a processor take the same time either way:
// there a Batcher only bounds how many calls compute at a time. Where other
// programs use the same cores it can cost: the threads of one large call must
// meet after every layer, and wait for the one that is not scheduled, while
// callers with a call each do not. Options.Threads of 1 with
// BatcherOptions.Parallel of the number of cores avoids that.
type Batcher struct {
	inner Predictor
	engine
	opts  BatcherOptions
	info  Info
	gate  gate
	queue chan *request
	ended sync.WaitGroup // of the dispatchers
	hurry chan struct{}  // closed when no batch shall wait for others any more
	once  sync.Once      // closes hurry
}

// request is a call that waits for its samples' results.
type request struct {
	ctx    context.Context
	n      int
	input  Input
	result chan answer // of capacity 1: nobody may be waiting any more
}

type answer struct {
	out Outputs
	err error
}

// NewBatcher makes a batcher in front of a Model or a Cohort, which it closes
// when it is closed. Another Predictor gives ErrUnsupported; to replace a
// model that serves, put the Batcher into a Slot.
func NewBatcher(p Predictor, opts BatcherOptions) (*Batcher, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	if opts.MaxBatch == 0 {
		opts.MaxBatch = 32
	}
	b := &Batcher{inner: p, opts: opts, info: p.Info(), queue: make(chan *request), hurry: make(chan struct{})}
	switch p := p.(type) {
	case *Model:
		b.engine = p
	case *Cohort:
		b.engine = p
	default:
		return nil, fmt.Errorf("infer: %w: a Batcher is for a Model or a Cohort, not a %T", ErrUnsupported, p)
	}
	for range max(1, opts.Parallel) {
		b.ended.Go(b.dispatch)
	}
	return b, nil
}

// dispatch runs batches of requests until the queue is closed.
func (b *Batcher) dispatch() {
	next, open := <-b.queue
	for open {
		batch, total := []*request{next}, next.n
		next = nil
		timer := time.NewTimer(b.opts.MaxWait)
		for waiting := true; waiting && total < b.opts.MaxBatch && next == nil; {
			var r *request
			if r, waiting, open = b.receive(timer); r == nil {
				continue
			}
			if total+r.n > b.opts.MaxBatch {
				next = r
				continue
			}
			batch, total = append(batch, r), total+r.n
		}
		timer.Stop()
		b.serve(batch, total)
		if next == nil && open {
			next, open = <-b.queue
		}
	}
}

// receive returns a request that waits, or comes before the timer ends. It
// tells whether to wait on, and whether the queue is open.
func (b *Batcher) receive(timer *time.Timer) (r *request, waiting, open bool) {
	select {
	case r, open = <-b.queue:
		return r, open, open
	default:
	}
	if b.opts.MaxWait == 0 {
		return nil, false, true
	}
	select {
	case r, open = <-b.queue:
		return r, open, open
	case <-timer.C:
		return nil, false, true
	case <-b.hurry:
		return nil, false, true
	}
}

// serve runs a batch and answers its requests.
func (b *Batcher) serve(batch []*request, total int) {
	ctx, stop := joinContexts(batch)
	defer stop()
	sample := b.engine.input().Sample()
	out, err := b.inside(ctx, total, func(dst Input) error {
		at := 0
		for _, r := range batch {
			dst.part(at, at+r.n, sample).copyFrom(r.input)
			at += r.n
		}
		return nil
	})
	at := 0
	for _, r := range batch {
		a := answer{err: err}
		if err == nil {
			a.out = out.part(at, at+r.n)
		}
		at += r.n
		r.result <- a
	}
}

// inside is a call of the Model or Cohort.
func (b *Batcher) inside(ctx context.Context, n int, fill func(Input) error) (Outputs, error) {
	if err := b.engine.enter(); err != nil {
		return Outputs{}, err
	}
	defer b.engine.leave()
	return b.engine.compute(ctx, n, fill)
}

// joinContexts is cancelled when all the requests' contexts are.
func joinContexts(batch []*request) (context.Context, func()) {
	for _, r := range batch {
		if r.ctx.Done() == nil {
			return context.Background(), func() {}
		}
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	left := make(chan struct{}, len(batch))
	stops := make([]func() bool, len(batch))
	for i, r := range batch {
		stops[i] = context.AfterFunc(r.ctx, func() {
			if left <- struct{}{}; len(left) == cap(left) {
				cancel(context.Cause(r.ctx))
			}
		})
	}
	return ctx, func() {
		for _, stop := range stops {
			stop()
		}
		cancel(nil)
	}
}

// compute prepares the call's own samples, and waits for their results.
func (b *Batcher) compute(ctx context.Context, n int, fill func(Input) error) (Outputs, error) {
	r := &request{ctx: ctx, n: n, input: newInput(b.engine.input(), n, b.info.sampleSize()), result: make(chan answer, 1)}
	if err := fill(r.input); err != nil {
		return Outputs{}, err
	}
	select {
	case b.queue <- r:
	case <-ctx.Done():
		return Outputs{}, cancelled(ctx)
	}
	select {
	case a := <-r.result:
		return a.out, a.err
	case <-ctx.Done():
		return Outputs{}, cancelled(ctx)
	}
}

func (b *Batcher) enter() error { return b.gate.enter() }
func (b *Batcher) leave()       { b.gate.leave() }

// Predict classifies images.
func (b *Batcher) Predict(ctx context.Context, images ...Image) ([]Prediction, error) {
	return predict(ctx, b, images)
}

// Embed returns the L2-normalised features of images.
func (b *Batcher) Embed(ctx context.Context, images ...Image) ([][]float32, error) {
	return embed(ctx, b, images)
}

// EmbedImages is Embed of decoded images, which makes a Batcher an Embedder of
// package reid.
func (b *Batcher) EmbedImages(ctx context.Context, images ...image.Image) ([][]float32, error) {
	return b.Embed(ctx, fromImages(images)...)
}

// Run runs raw samples, as the Model or Cohort does.
func (b *Batcher) Run(ctx context.Context, batch []float32, n int) (Outputs, error) {
	if err := b.info.checkFloats(batch, n); err != nil {
		return Outputs{}, err
	}
	return runInside(b, func() (Outputs, error) {
		return b.compute(ctx, n, func(dst Input) error {
			copy(dst.Float32, batch)
			return nil
		})
	})
}

// RunPixels runs 8-bit pixels, as the Model or Cohort does.
func (b *Batcher) RunPixels(ctx context.Context, batch []uint8, n int) (Outputs, error) {
	return runPixels(ctx, b, b.info, batch, n)
}

// Info describes the Model or Cohort.
func (b *Batcher) Info() Info { return b.info.clone() }

// Close computes the calls under way at once, however long MaxWait is, and closes
// the Model or Cohort.
func (b *Batcher) Close() error {
	b.once.Do(func() { close(b.hurry) })
	if !b.gate.close() {
		return nil
	}
	close(b.queue)
	b.ended.Wait()
	return b.inner.Close()
}
