package dataset_test

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
)

// epochOf runs through an epoch, and returns its batches.
func epochOf(b *testing.B, l *dataset.Loader, epoch int) int {
	e := l.Epoch(context.Background(), epoch, 0)
	for n := 0; ; n++ {
		switch _, err := e.Next(); err {
		case nil:
		case io.EOF:
			return n
		default:
			b.Fatal(err)
		}
	}
}

// benchmark reports the time and allocations of one worker for a batch. Its
// first epoch, which fills a cache, is not counted.
func benchmark(b *testing.B, ds dataset.Dataset, opts dataset.LoaderOptions) {
	opts.Shuffle, opts.DropLast, opts.Workers = true, true, 1
	l := newLoader(b, ds, opts)
	if opts.Cache != nil {
		epochOf(b, l, 0)
	}
	b.ReportAllocs()
	batches := 0
	for epoch := 1; b.Loop(); epoch++ {
		batches += epochOf(b, l, epoch)
	}
	b.ReportMetric(b.Elapsed().Seconds()*1000/float64(batches), "ms/batch")
}

// drawn are JPEG files of noise on a gradient, which code to about as many bytes
// as photographs of their size.
func drawn(b *testing.B, n, width, height int) fstest.MapFS {
	fsys := make(fstest.MapFS)
	for i := range n {
		m := image.NewRGBA(image.Rect(0, 0, width, height))
		for at := range m.Pix {
			m.Pix[at] = uint8(at*i/97 + at*at%23 + 3*(at/width%40))
		}
		var buf bytes.Buffer
		if err := jpeg.Encode(&buf, m, nil); err != nil {
			b.Fatal(err)
		}
		fsys[fmt.Sprintf("bounding_box_train/%04d_c%ds1_%06d_01.jpg", 1+i/10, 1+i%6, i)] = &fstest.MapFile{Data: buf.Bytes()}
	}
	return fsys
}

var (
	cifarAugment  = dataset.Augment{Flip: true, PadCrop: 4}
	personAugment = dataset.Augment{Flip: true, Erase: dataset.Erase{Probability: 0.5}}
	photoAugment  = dataset.Augment{
		ResizedCrop: dataset.ResizedCrop{MinScale: 0.08}, Flip: true, Jitter: dataset.Jitter{Brightness: 0.4, Contrast: 0.4, Saturation: 0.4, Hue: 0.1},
	}
	rgb = dataset.Norm{Mean: []float32{.485, .456, .406}, Std: []float32{.229, .224, .225}}
)

// BenchmarkLoaderCIFAR prepares CIFAR's batches as the paper does.
func BenchmarkLoaderCIFAR(b *testing.B) {
	shape := dataset.Shape{Channels: 3, Height: 32, Width: 32}
	benchmark(b, datatest.Random(b, 2560, 10, shape, 1), dataset.LoaderOptions{Batch: 64, Shape: shape, Norm: rgb, Augment: cifarAugment})
}

// BenchmarkLoaderPersons prepares Market-1501's batches from JPEG files of
// 64x128 pixels, in the first epoch and later.
func BenchmarkLoaderPersons(b *testing.B) {
	splits, err := dataset.OpenFS(drawn(b, 320, 64, 128), dataset.Options{Kind: dataset.Market1501})
	if err != nil {
		b.Fatal(err)
	}
	opts := dataset.LoaderOptions{Batch: 16, Shape: dataset.Shape{Channels: 3, Height: 160, Width: 64}, Norm: rgb, Augment: personAugment}
	b.Run("decoding", func(b *testing.B) { benchmark(b, splits.Train, opts) })
	opts.Cache = dataset.NewCache(1 << 30)
	b.Run("cached", func(b *testing.B) { benchmark(b, splits.Train, opts) })
}

// BenchmarkLoaderPhotos prepares photographs with random resized crop and
// colour jitter.
func BenchmarkLoaderPhotos(b *testing.B) {
	splits, err := dataset.OpenFS(drawn(b, 64, 500, 375), dataset.Options{Kind: dataset.Market1501})
	if err != nil {
		b.Fatal(err)
	}
	opts := dataset.LoaderOptions{Batch: 32, Shape: dataset.Shape{Channels: 3, Height: 224, Width: 224}, Norm: rgb, Augment: photoAugment}
	b.Run("decoding", func(b *testing.B) { benchmark(b, splits.Train, opts) })
	opts.Cache = dataset.NewCache(1 << 30)
	b.Run("cached", func(b *testing.B) { benchmark(b, splits.Train, opts) })
}

// BenchmarkLoaderReal prepares the real images of people.
func BenchmarkLoaderReal(b *testing.B) {
	fsys := make(fstest.MapFS)
	for name, file := range datatest.SharedTar(b, "market1501-mini.tar") {
		if name, found := strings.CutPrefix(name, "market1501-mini/bounding_box_train/00"); found { // 00xx: some people
			fsys["bounding_box_train/00"+name] = file
		}
	}
	splits, err := dataset.OpenFS(fsys, dataset.Options{Kind: dataset.Market1501})
	if err != nil {
		b.Fatal(err)
	}
	opts := dataset.LoaderOptions{Batch: 16, Shape: dataset.Shape{Channels: 3, Height: 160, Width: 64}, Norm: rgb, Augment: personAugment}
	b.Run("decoding", func(b *testing.B) { benchmark(b, splits.Train, opts) })
	opts.Cache = dataset.NewCache(1 << 30)
	b.Run("cached", func(b *testing.B) { benchmark(b, splits.Train, opts) })
}
