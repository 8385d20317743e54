package infer

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// engine is what predicting and embedding need of a Model or Cohort.
type engine interface {
	run(ctx context.Context, n int, fill func(dst []float32) error) (Outputs, error)
	preparer() (*preparer, error)
	options() Options
	classes() []string
}

// predict classifies images in batches.
func predict(ctx context.Context, e engine, images []Image) ([]Prediction, error) {
	out := make([]Prediction, 0, len(images))
	err := inBatches(ctx, e, images, func(o Outputs) error {
		if o.Probabilities == nil {
			return fmt.Errorf("infer: %w %q", ErrNoOutput, "probabilities")
		}
		for p := range rows(o.Probabilities, o.N) {
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
			return fmt.Errorf("infer: %w %q", ErrNoOutput, "embedding")
		}
		for v := range rows(o.Embedding, o.N) {
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

// inBatches prepares images and runs them, and hands on each batch's results.
func inBatches(ctx context.Context, e engine, images []Image, take func(Outputs) error) error {
	prep, err := e.preparer()
	if err != nil {
		return fmt.Errorf("infer: %w", err)
	}
	if len(images) == 0 {
		return fmt.Errorf("infer: %w: no images", ErrWrongInput)
	}
	size := e.options().maxBatch()
	for start := 0; start < len(images); start += size {
		batch := images[start:min(start+size, len(images))]
		out, err := e.run(ctx, len(batch), func(dst []float32) error {
			i, err := prepareAll(ctx, prep, dst, batch)
			if err != nil && len(images) > 1 {
				return fmt.Errorf("image %d: %w", start+i+1, err)
			}
			return err
		})
		if err != nil {
			return err
		}
		if err := take(out); err != nil {
			return err
		}
	}
	return nil
}

// prepareAll writes images to dst on all cores. The error is that of the first
// image at fault, whose index comes with it.
func prepareAll(ctx context.Context, prep *preparer, dst []float32, images []Image) (int, error) {
	errs := make([]error, len(images))
	sample := len(dst) / len(images)
	var next atomic.Int64
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(images) {
				return
			}
			if errs[i] = context.Cause(ctx); errs[i] == nil {
				errs[i] = prep.sample(dst[i*sample:(i+1)*sample], images[i])
			}
		}
	}
	var wg sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(images)) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
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

// top returns the k most probable classes, equal ones in class order.
func top(p []float32, labels []string, k int) []Score {
	order := make([]int, len(p))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(p[b], p[a]) })
	out := make([]Score, min(k, len(p)))
	for i := range out {
		out[i] = Score{Class: order[i], Label: labels[order[i]], Probability: p[order[i]]}
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
