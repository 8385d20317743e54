package dataset_test

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
)

// counted decodes: it gives copies, and counts them.
type counted struct {
	dataset.Dataset
	asked *atomic.Int64
}

func (c counted) Image(i int) (dataset.Image, error) {
	c.asked.Add(1)
	m, err := c.Dataset.Image(i)
	m.Pix = append([]uint8(nil), m.Pix...)
	return m, err
}

func everything(batch, workers int) dataset.LoaderOptions {
	opts := training(batch, workers)
	opts.Augment.Jitter = dataset.Jitter{Brightness: 0.2, Contrast: 0.2, Saturation: 0.2, Hue: 0.1}
	opts.Augment.Erase = dataset.Erase{Probability: 0.5}
	opts.Views = 2
	return opts
}

// TestCacheChangesNothing compares caches of all sizes, workers, and a resumed
// epoch, with a loader that keeps nothing and has one worker.
func TestCacheChangesNothing(t *testing.T) {
	for _, crop := range []dataset.ResizedCrop{{}, {MinScale: 0.3}} {
		for _, shape := range []dataset.Shape{{Channels: 3, Height: 8, Width: 8}, {Channels: 1, Height: 12, Width: 10}} {
			base := datatest.Random(t, 41, 5, shape, 1)
			opts := everything(4, 1)
			opts.Augment.ResizedCrop = crop
			want := [][]dataset.Batch{collect(t, newLoader(t, base, opts), 0, 0), collect(t, newLoader(t, base, opts), 1, 0)}
			for _, workers := range []int{1, 4} {
				for _, limit := range []int64{0, 2000, 1 << 20} {
					opts.Workers, opts.Cache = workers, dataset.NewCache(limit)
					l := newLoader(t, counted{base, new(atomic.Int64)}, opts)
					for range 2 {
						for epoch := range want {
							if !reflect.DeepEqual(collect(t, l, epoch, 0), want[epoch]) {
								t.Errorf("%+v of %v, %d workers, cache of %d: epoch %d differs", crop, shape, workers, limit, epoch)
							}
						}
					}
					if !reflect.DeepEqual(collect(t, l, 1, 7), want[1][7:]) {
						t.Errorf("%+v of %v, %d workers, cache of %d: a resumed epoch differs", crop, shape, workers, limit)
					}
				}
			}
		}
	}
}

// TestCacheIsUsed counts what is decoded.
func TestCacheIsUsed(t *testing.T) {
	const n, each = 40, 3*8*8 + 128 // samples, and the bytes that one takes
	for _, tt := range []struct {
		limit int64
		side  int // of the stored images; the input's is 8
		kept  int64
	}{
		{0, 10, 0}, {each, 10, 1}, {10*each - 1, 10, 9}, {1 << 20, 10, n}, {1 << 20, 8, n},
	} {
		shape := dataset.Shape{Channels: 3, Height: tt.side, Width: tt.side}
		opts := everything(4, 3)
		opts.Cache = dataset.NewCache(tt.limit)
		asked := new(atomic.Int64)
		l := newLoader(t, counted{datatest.Random(t, n, 5, shape, 1), asked}, opts)
		for epoch, want := range []int64{n, n - tt.kept, n - tt.kept} {
			asked.Store(0)
			collect(t, l, epoch, 0)
			if got := asked.Load(); got != want {
				t.Errorf("limit %d: epoch %d decoded %d images, want %d", tt.limit, epoch, got, want)
			}
		}
	}
}

// TestCacheIsShared: two loaders, and concurrent epochs of each, together stay
// within the limit.
func TestCacheIsShared(t *testing.T) {
	const n, each = 40, 3*8*8 + 128
	opts := everything(4, 2)
	opts.Cache = dataset.NewCache(50 * each)
	asked := new(atomic.Int64)
	var loaders []*dataset.Loader
	for seed := range uint64(2) {
		loaders = append(loaders, newLoader(t, counted{datatest.Random(t, n, 5, dataset.Shape{Channels: 3, Height: 10, Width: 10}, seed), asked}, opts))
	}
	var wg sync.WaitGroup
	for _, l := range loaders {
		for epoch := range 3 {
			wg.Go(func() { collect(t, l, epoch, 0) })
		}
	}
	wg.Wait()
	// Two workers that decode one image at once may both hold room for a moment,
	// so that a further epoch is needed to fill the last of it.
	for _, l := range loaders {
		collect(t, l, 3, 0)
	}
	asked.Store(0)
	for _, l := range loaders {
		collect(t, l, 4, 0)
	}
	if got := asked.Load(); got != 2*n-50 {
		t.Errorf("%d images decoded with a full cache, want %d", got, 2*n-50)
	}
}

// TestCacheLeavesMemoryAlone: images that are in memory already, as they are
// wanted, take no room.
func TestCacheLeavesMemoryAlone(t *testing.T) {
	shape := dataset.Shape{Channels: 3, Height: 8, Width: 8}
	ds, err := dataset.Subset(datatest.Random(t, 40, 5, shape, 1), []int{1, 2, 3, 4, 5, 6, 7, 8})
	if err != nil {
		t.Fatal(err)
	}
	opts := everything(4, 2)
	opts.Cache = dataset.NewCache(3*8*8 + 128) // room for one image
	collect(t, newLoader(t, ds, opts), 0, 0)
	asked := new(atomic.Int64)
	l := newLoader(t, counted{ds, asked}, opts)
	collect(t, l, 0, 0)
	asked.Store(0)
	if collect(t, l, 1, 0); asked.Load() != 7 {
		t.Errorf("%d of 8 images decoded: the room for one was taken", asked.Load())
	}
}

// TestCacheForgetsErrors: a broken image is an error each time.
func TestCacheForgetsErrors(t *testing.T) {
	opts := dataset.LoaderOptions{Batch: 4, Shape: tiny, Cache: dataset.NewCache(1 << 20)}
	l := newLoader(t, faulty{datatest.Random(t, 8, 2, tiny, 1), map[int]bool{5: true}}, opts)
	for range 2 {
		e := l.Epoch(context.Background(), 0, 0)
		_, first := e.Next()
		_, err := e.Next()
		var data *dataset.DataError
		if first != nil || !errors.As(err, &data) {
			t.Errorf("errors %v, then %v", first, err)
		}
		e.Close()
	}
}
