package infer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// Prediction is the classification of one image.
type Prediction struct {
	Probabilities []float32 `json:"probabilities"` // by class
	Top           []Score   `json:"top"`           // the most probable classes first
}

// Score is one class of a prediction.
type Score struct {
	Class       int     `json:"class"`
	Label       string  `json:"label"`
	Probability float32 `json:"probability"`
}

// answers says which output a call is after, and what it makes of one row of it.
type answers[T any] struct {
	output string
	values func(Outputs) []float32 // nil where there are none
	of     func(g *group, row []float32) T
}

// answer prepares images, runs them in batches and gives an answer for each but
// those at fault.
func answer[T any](ctx context.Context, m *Model, images []Image, a answers[T]) (out []T, err error) {
	g, began, err := m.begin()
	if err != nil {
		return nil, err
	}
	defer m.end(g, began, &err)
	prep, err := g.preparer()
	if err != nil {
		return nil, err
	}
	if prep.channels != 1 && prep.channels != 3 {
		return nil, fmt.Errorf("%w on images: its input has %d channels, an image has 1 or 3", ErrUnsupported, prep.channels)
	}
	if len(images) == 0 {
		return nil, fmt.Errorf("%w: no images", ErrWrongInput)
	}
	out = make([]T, len(images))
	faults := make([]error, len(images))
	size := g.opts.imagesAtOnce(g.info.Batch, g.info.sampleSize())
	for start := 0; start < len(images); start += size {
		end := min(start+size, len(images))
		wrong := faults[start:end]
		results, err := g.compute(ctx, end-start, func(dst Input) error {
			return g.prepareAll(ctx, prep, dst, images[start:end], wrong)
		})
		switch {
		case errors.Is(err, errNoneLeft):
			continue
		case err != nil:
			return nil, err
		}
		values := a.values(results)
		if values == nil {
			return nil, fmt.Errorf("%w %q", ErrNoOutput, a.output)
		}
		width := len(values) / results.N
		for i := range wrong {
			row := values[i*width : (i+1)*width : (i+1)*width]
			if wrong[i] == nil && !finite(row) {
				wrong[i] = fmt.Errorf("%w: its %s are not finite, such as NaN", ErrUnsupported, a.output)
			}
			if wrong[i] == nil {
				out[start+i] = a.of(g, row)
			}
		}
	}
	m.meter.images.Add(uint64(len(images)))
	for _, fault := range faults {
		if fault != nil {
			m.meter.faulty.Add(1)
		}
	}
	return out, imagesError(faults)
}

// errNoneLeft ends a call of a batch of which no image can be prepared.
var errNoneLeft = errors.New("no image is left")

// prepareAll writes images to dst on all cores, and the faults of single ones to
// wrong: these stay black, and their results are dropped. A decoded image is the
// caller's own code, so its panic is the caller's too: in a goroutine of this
// package it would end the program, whatever the caller recovers from.
func (g *group) prepareAll(ctx context.Context, prep *preparer, dst Input, images []Image, wrong []error) error {
	var panicked atomic.Pointer[any]
	sample := g.info.sampleSize()
	var next atomic.Int64
	work := func() {
		defer func() {
			if value := recover(); value != nil {
				panicked.Store(&value)
			}
		}()
		var space workspace
		for i := int(next.Add(1)) - 1; i < len(images); i = int(next.Add(1)) - 1 {
			into := dst.part(i, i+1, sample)
			img, err := g.load(ctx, images[i])
			if err == nil {
				err = prep.sample(&space, into, img)
			}
			if wrong[i] = err; err != nil {
				into.clear()
			}
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(images)) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	if value := panicked.Load(); value != nil {
		panic(*value)
	}
	if ctx.Err() != nil {
		return cancelled(ctx)
	}
	if !slices.Contains(wrong, nil) {
		return errNoneLeft
	}
	return nil
}

// finite reports whether all values are finite: others would look like a
// prediction, or spoil comparisons.
func finite(v []float32) bool {
	for _, x := range v {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return false
		}
	}
	return true
}

// top returns the k most probable classes, equal ones in class order. A class
// without a label has its number.
func top(p []float32, labels []string, k int) []Score {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[b], p[a]) })
	out := make([]Score, min(k, len(p)))
	for i := range out {
		label := strconv.Itoa(order[i])
		if order[i] < len(labels) {
			label = labels[order[i]]
		}
		out[i] = Score{Class: order[i], Label: label, Probability: p[order[i]]}
	}
	return out
}

// normalise scales v to length 1 in place; a vector of zeros stays.
func normalise(v []float32) {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	if sum == 0 {
		return
	}
	scale := 1 / math.Sqrt(sum)
	for i, x := range v {
		v[i] = float32(float64(x) * scale)
	}
}
