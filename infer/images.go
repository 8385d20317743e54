package infer

import (
	"cmp"
	"context"
	"fmt"
	"image"
	"math"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

// engine is what predicting and embedding need of a Model, Cohort or Batcher.
type engine interface {
	// enter starts a call, which leave ends; compute is called between.
	enter() error
	leave()
	compute(ctx context.Context, n int, fill func(Input) error) (Outputs, error)
	preparer() (*preparer, error)
	options() Options
	input() TensorInfo
	classes() []string
}

// runInside makes a call of e, and its error one of this package.
func runInside(e engine, call func() (Outputs, error)) (Outputs, error) {
	if err := e.enter(); err != nil {
		return Outputs{}, fmt.Errorf("infer: %w", err)
	}
	defer e.leave()
	out, err := call()
	if err != nil {
		return Outputs{}, fmt.Errorf("infer: %w", err)
	}
	return out, nil
}

// predict classifies images in batches.
func predict(ctx context.Context, e engine, images []Image) ([]Prediction, error) {
	out := make([]Prediction, 0, len(images))
	err := inBatches(ctx, e, images, func(o Outputs) error {
		p := o.posterior()
		if p == nil {
			return fmt.Errorf("%w %q", ErrNoOutput, "probabilities")
		}
		for p := range rows(p, o.N) {
			if !finite(p) {
				return fmt.Errorf("%w: of image %d it gives probabilities that are no numbers, such as NaN", ErrUnsupported, len(out)+1)
			}
			out = append(out, Prediction{Probabilities: p, Top: top(p, e.classes(), e.options().topK())})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// embed returns the L2-normalised features of images, in batches.
func embed(ctx context.Context, e engine, images []Image) ([][]float32, error) {
	out := make([][]float32, 0, len(images))
	err := inBatches(ctx, e, images, func(o Outputs) error {
		if o.Embedding == nil {
			return fmt.Errorf("%w %q", ErrNoOutput, "embedding")
		}
		for v := range rows(o.Embedding, o.N) {
			if !finite(v) {
				return fmt.Errorf("%w: of image %d it gives features that are no numbers, such as NaN", ErrUnsupported, len(out)+1)
			}
			normalise(v)
			out = append(out, v)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// fromImages makes Images of decoded images.
func fromImages(decoded []image.Image) []Image {
	out := make([]Image, len(decoded))
	for i, m := range decoded {
		out[i] = FromImage(m)
	}
	return out
}

// inBatches prepares images and runs them, and hands on each batch's results,
// all as one call.
func inBatches(ctx context.Context, e engine, images []Image, take func(Outputs) error) error {
	_, err := runInside(e, func() (Outputs, error) {
		prep, err := e.preparer()
		if err != nil {
			return Outputs{}, err
		}
		if len(images) == 0 {
			return Outputs{}, fmt.Errorf("%w: no images", ErrWrongInput)
		}
		size := e.options().maxBatch()
		if fixed := int(e.input().Dims[0]); fixed > 0 {
			size = max(fixed, size/fixed*fixed)
		}
		for start := 0; start < len(images); start += size {
			batch := images[start:min(start+size, len(images))]
			out, err := e.compute(ctx, len(batch), func(dst Input) error {
				i, err := prepareAll(ctx, prep, dst, batch)
				if err != nil && len(images) > 1 {
					return fmt.Errorf("image %d: %w", start+i+1, err)
				}
				return err
			})
			if err != nil {
				return Outputs{}, err
			}
			if err := take(out); err != nil {
				return Outputs{}, err
			}
		}
		return Outputs{}, nil
	})
	return err
}

// prepareAll writes images to dst on all cores. The error is that of the first
// image at fault, whose index comes with it. A decoded image is the caller's own
// code, so its panic is the caller's too: in a goroutine of this package it would
// end the program, whatever the caller recovers from.
func prepareAll(ctx context.Context, prep *preparer, dst Input, images []Image) (int, error) {
	errs := make([]error, len(images))
	var panicked atomic.Pointer[any]
	sample := prep.channels * prep.height * prep.width
	var next atomic.Int64
	work := func() {
		defer func() {
			if value := recover(); value != nil {
				panicked.Store(&value)
			}
		}()
		var space workspace
		for {
			i := int(next.Add(1)) - 1
			if i >= len(images) {
				return
			}
			if ctx.Err() != nil {
				errs[i] = cancelled(ctx)
				continue
			}
			errs[i] = prep.sample(&space, dst.part(i, i+1, sample), images[i])
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
	for i, err := range errs {
		if err != nil {
			return i, err
		}
	}
	return 0, nil
}

// rows yields the n rows of a matrix.
func rows(v []float32, n int) func(yield func([]float32) bool) {
	width := len(v) / n
	return func(yield func([]float32) bool) {
		for i := range n {
			if !yield(v[i*width : (i+1)*width : (i+1)*width]) {
				return
			}
		}
	}
}

// finite reports whether all values are numbers: a prediction or a comparison by
// others would look like one.
func finite(v []float32) bool {
	for _, x := range v {
		if f := float64(x); math.IsNaN(f) || math.IsInf(f, 0) {
			return false
		}
	}
	return true
}

// posterior is the probabilities, or the softmax of the logits where the
// network gives only these; nil where it gives neither.
func (o Outputs) posterior() []float32 {
	if o.Probabilities != nil || o.Logits == nil {
		return o.Probabilities
	}
	p := make([]float32, 0, len(o.Logits))
	for row := range rows(o.Logits, o.N) {
		most, sum := slices.Max(row), 0.0
		for _, v := range row {
			sum += math.Exp(float64(v - most))
		}
		for _, v := range row {
			p = append(p, float32(math.Exp(float64(v-most))/sum))
		}
	}
	return p
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
