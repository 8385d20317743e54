package dataset

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrClosed is returned by an Epoch's Next after Close.
var ErrClosed = errors.New("dataset: epoch is closed")

// Epoch iterates over the batches of one pass through the data. Next and Close
// are for one goroutine at a time.
type Epoch struct {
	loader *Loader
	epoch  int
	order  []int
	last   int // number of batches in the epoch

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup
	// ring holds batch b in slot b modulo its length: workers fill slots out of
	// order, Next empties them in order.
	ring []*slot
	// waiting holds the numbers of the batches whose slot is free and not yet in a
	// worker's hand. A number enters when Next gives its slot back, so that no
	// two workers ever have the same slot. Its capacity is that of the ring.
	waiting chan int
	// Next offers start and more, to the helpers, as long as it waits for a batch
	// and never else: so the caller's own threads keep the cores. A helper takes
	// start to begin a batch and more for each sample of it.
	start, more chan struct{}
	next        int   // next batch to return
	held        bool  // the batch before it is in the caller's hands
	err         error // what Next returns from now on
}

// slot is a batch's memory. A worker that has filled it, or failed to, says so
// by ready, of capacity 1.
type slot struct {
	batch  Batch
	views  [][]float32 // full capacity of batch.Views
	second [][]float32 // and of batch.Second
	work   workspace
	err    error
	ready  chan struct{}
}

// Epoch starts preparing the batches of the given epoch, from number
// firstBatch on. They depend on the Loader's options, epoch and number alone,
// so an epoch resumed in its middle continues as it would have without the
// interruption. Cancelling ctx makes Next return its error. Close must be
// called unless Next has returned an error, io.EOF included.
func (l *Loader) Epoch(ctx context.Context, epoch, firstBatch int) *Epoch {
	e := &Epoch{loader: l, epoch: epoch, last: l.Batches(), next: firstBatch}
	e.ctx, e.cancel = context.WithCancel(ctx)
	switch {
	case epoch < 0 || firstBatch < 0:
		e.err = fmt.Errorf("loading %s: epoch %d from batch %d: neither may be negative", l.ds.Name(), epoch, firstBatch)
	case firstBatch >= e.last:
		e.err = io.EOF
	}
	if e.err != nil {
		e.cancel()
		return e
	}
	e.order = l.order(epoch)
	workers := min(l.opts.Workers, e.last-firstBatch)
	e.ring = l.slots(min(workers+preparedAhead, e.last-firstBatch))
	e.waiting = make(chan int, len(e.ring))
	for b := range len(e.ring) {
		e.waiting <- firstBatch + b
	}
	e.start, e.more = make(chan struct{}), make(chan struct{})
	e.work.Go(e.prepare)
	for range workers - 1 {
		e.work.Go(e.help)
	}
	return e
}

// Next returns the next batch, and io.EOF after the last. The batch is valid
// until the next call. An error that a sample gave names its file and comes in
// place of its batch, after all batches before it, whatever the workers; it is
// returned by all calls from then on.
func (e *Epoch) Next() (*Batch, error) {
	if e.err != nil {
		return nil, e.err
	}
	if e.held {
		e.held = false
		if b := e.next - 1 + len(e.ring); b < e.last {
			e.waiting <- b
		}
	}
	if e.next == e.last {
		return nil, e.stop(io.EOF)
	}
	if err := e.ctx.Err(); err != nil {
		return nil, e.stop(err)
	}
	s := e.ring[e.next%len(e.ring)]
	if err := e.await(s); err != nil {
		return nil, e.stop(err)
	}
	if s.err != nil {
		return nil, e.stop(s.err)
	}
	e.next++
	e.held = true
	return &s.batch, nil
}

// await waits until s is filled, and lets the helpers work meanwhile.
func (e *Epoch) await(s *slot) error {
	for {
		select {
		case <-s.ready:
			return nil
		default: // a helper's turn must not come first
		}
		start := e.start
		if len(e.waiting) == 0 {
			start = nil
		}
		select {
		case <-s.ready:
			return nil
		case <-e.ctx.Done():
			return e.ctx.Err()
		case start <- struct{}{}:
		case e.more <- struct{}{}:
		}
	}
}

// Close ends the epoch and waits for its workers. The last batch is no longer
// valid. It may be called more than once.
func (e *Epoch) Close() {
	if e.err == nil {
		_ = e.stop(ErrClosed) // the error is for Next to return
	}
}

// stop ends the workers, hands the buffers back and makes err final.
func (e *Epoch) stop(err error) error {
	e.err = err
	e.cancel()
	e.work.Wait()
	l := e.loader
	l.mu.Lock()
	l.free = append(l.free, e.ring...)
	l.mu.Unlock()
	e.ring = nil
	return err
}

// prepare fills slots until the epoch ends.
func (e *Epoch) prepare() {
	for {
		select {
		case b := <-e.waiting:
			e.deliver(b, nil)
		case <-e.ctx.Done():
			return
		}
	}
}

// help fills slots while Next waits.
func (e *Epoch) help() {
	for e.leave(e.start) {
		select {
		case b := <-e.waiting:
			e.deliver(b, e.more)
		default: // another took it
		}
	}
}

// leave waits for an offer, and reports false if the epoch ended instead.
func (e *Epoch) leave(offer <-chan struct{}) bool {
	select {
	case <-offer:
		return true
	case <-e.ctx.Done():
		return false
	}
}

// deliver fills the slot of batch number b.
func (e *Epoch) deliver(b int, more <-chan struct{}) {
	s := e.ring[b%len(e.ring)]
	s.err = e.fill(s, b, more)
	s.ready <- struct{}{}
}

// fill prepares batch number b in s, each sample of it with leave where more is
// not nil.
func (e *Epoch) fill(s *slot, b int, more <-chan struct{}) error {
	l := e.loader
	from := b * l.opts.Batch
	n := min(l.opts.Batch, l.ds.Len()-from)
	s.batch.N = n
	for v, images := range s.views {
		s.batch.Views[v] = images[:n*l.first.shape.Size()]
	}
	for v, images := range s.second {
		s.batch.Second[v] = images[:n*l.second.shape.Size()]
	}
	s.batch.Images = s.batch.Views[0]
	s.batch.Labels = s.batch.Labels[:n]
	s.batch.Indices = s.batch.Indices[:n]
	for k := range n {
		if more != nil {
			e.leave(more)
		}
		if err := e.ctx.Err(); err != nil {
			return err
		}
		i := from + k
		if e.order != nil {
			i = e.order[i]
		}
		s.batch.Indices[k] = i
		s.batch.Labels[k] = int32(l.ds.Label(i))
		if err := l.sample(&s.batch, k, &s.work, e.epoch, i); err != nil {
			return err
		}
	}
	return nil
}

// slots returns n slots, from finished epochs as far as there are any.
func (l *Loader) slots(n int) []*slot {
	l.mu.Lock()
	reused := min(n, len(l.free))
	ring := append([]*slot(nil), l.free[len(l.free)-reused:]...)
	l.free = l.free[:len(l.free)-reused]
	l.mu.Unlock()
	for len(ring) < n {
		size := l.opts.Shape.Size()
		s := &slot{
			batch: Batch{
				Views: make([][]float32, l.opts.Views), Labels: make([]int32, l.opts.Batch), Indices: make([]int, l.opts.Batch),
			},
			work: workspace{changed: make([]uint8, size)},
		}
		for range l.opts.Views {
			s.views = append(s.views, make([]float32, l.opts.Batch*size))
			if l.second != nil {
				s.second = append(s.second, make([]float32, l.opts.Batch*l.second.shape.Size()))
			}
		}
		s.batch.Second = make([][]float32, len(s.second))
		ring = append(ring, s)
	}
	for _, s := range ring {
		// An epoch that ended early may have left the old channel full.
		s.ready = make(chan struct{}, 1)
	}
	return ring
}
