package infer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// joiner joins concurrent calls of a group into batches. Each call prepares its
// own samples.
type joiner struct {
	group   *group
	max     int // samples of a batch; a call of more goes by itself
	wait    time.Duration
	queue   chan *request
	waiting atomic.Int64   // samples that are not computed yet
	ended   sync.WaitGroup // of the dispatchers
	hurry   chan struct{}  // closed when no batch shall wait for others any more
	once    sync.Once      // closes hurry
}

// request is a call that waits for its samples' results.
type request struct {
	ctx    context.Context
	n      int
	input  Input
	result chan result // of capacity 1: nobody may be waiting any more
}

type result struct {
	out Outputs
	err error
}

func newJoiner(g *group, opts Joining) *joiner {
	j := &joiner{group: g, max: g.opts.maxBatch(), wait: opts.MaxWait, queue: make(chan *request), hurry: make(chan struct{})}
	for range max(1, opts.Parallel) {
		j.ended.Go(j.dispatch)
	}
	return j
}

// dispatch runs batches of requests until the queue is closed.
func (j *joiner) dispatch() {
	next, open := <-j.queue
	for open {
		batch, total := []*request{next}, next.n
		next = nil
		timer := time.NewTimer(j.wait)
		for waiting := true; waiting && total < j.max && next == nil; {
			var r *request
			if r, waiting, open = j.receive(timer); r == nil {
				continue
			}
			if total+r.n > j.max {
				next = r
				continue
			}
			batch, total = append(batch, r), total+r.n
		}
		timer.Stop()
		j.work(batch, total)
		if next == nil && open {
			next, open = <-j.queue
		}
	}
}

// receive returns a request that waits, or comes before the timer ends. It
// tells whether to wait on, and whether the queue is open.
func (j *joiner) receive(timer *time.Timer) (r *request, waiting, open bool) {
	select {
	case r, open = <-j.queue:
		return r, open, open
	default:
	}
	if j.wait == 0 {
		return nil, false, true
	}
	select {
	case r, open = <-j.queue:
		return r, open, open
	case <-timer.C:
		return nil, false, true
	case <-j.hurry:
		return nil, false, true
	}
}

// work runs a batch and answers its requests.
func (j *joiner) work(batch []*request, total int) {
	j.waiting.Add(-int64(total))
	ctx, stop := joinContexts(batch)
	defer stop()
	sample := j.group.info.sampleSize()
	out, err := j.group.direct(ctx, total, func(dst Input) error {
		at := 0
		for _, r := range batch {
			dst.part(at, at+r.n, sample).copyFrom(r.input)
			at += r.n
		}
		return nil
	})
	at := 0
	for _, r := range batch {
		a := result{err: err}
		if err == nil {
			a.out = out.part(at, at+r.n)
		}
		at += r.n
		r.result <- a
	}
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
func (j *joiner) compute(ctx context.Context, n int, fill func(Input) error) (Outputs, error) {
	r := &request{ctx: ctx, n: n, input: newInput(j.group.input, n, j.group.info.sampleSize()), result: make(chan result, 1)}
	if err := fill(r.input); err != nil {
		return Outputs{}, err
	}
	j.waiting.Add(int64(n))
	select {
	case j.queue <- r:
	case <-ctx.Done():
		j.waiting.Add(-int64(n))
		return Outputs{}, cancelled(ctx)
	}
	select {
	case a := <-r.result:
		return a.out, a.err
	case <-ctx.Done():
		return Outputs{}, cancelled(ctx)
	}
}

// hasten lets no batch wait for others any more.
func (j *joiner) hasten() { j.once.Do(func() { close(j.hurry) }) }

// end stops the dispatchers when no call is under way any more.
func (j *joiner) end() {
	close(j.queue)
	j.ended.Wait()
}
