package train

import (
	"bytes"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"slices"
	"testing"
	"testing/fstest"
	"time"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
)

// BenchmarkEpoch reports what loading adds to the steps of an epoch: its time a
// step over that of steps on one mini-batch with nothing loaded, in percent,
// both in turns of a few steps, the least of each.
func BenchmarkEpoch(b *testing.B) {
	person := market(b)
	for _, tt := range []struct {
		name string
		cfg  Config
		data dataset.Dataset
		opts Options
	}{
		{"cifar-resnet32x2", Config{Batch: 64, Augment: dataset.Augment{Flip: true, PadCrop: 4}, Optimizer: paper(0.01), Students: []Student{{Arch: "resnet32"}, {Arch: "resnet32"}}},
			datatest.Random(b, 1024, 10, dataset.Shape{Channels: 3, Height: 32, Width: 32}, 1), Options{}},
		{"market-mobilenetx2", Config{Batch: 16, Height: 160, Width: 64, Augment: dataset.Augment{Flip: true, Erase: dataset.Erase{Probability: 0.5}},
			Optimizer: paper(0.01), Students: []Student{{Arch: "mobilenet"}, {Arch: "mobilenet"}}}, person, Options{}},
		{"market-mobilenetx2-uncached", Config{Batch: 16, Height: 160, Width: 64, Augment: dataset.Augment{Flip: true, Erase: dataset.Erase{Probability: 0.5}},
			Optimizer: paper(0.01), Students: []Student{{Arch: "mobilenet"}, {Arch: "mobilenet"}}}, person, Options{Cache: dataset.NewCache(0)}},
	} {
		b.Run(tt.name, func(b *testing.B) {
			s, err := New(tt.cfg, dataset.Splits{Train: tt.data, Val: tt.data}, tt.opts)
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			number := 0
			step := func(batch *dataset.Batch) {
				if err := s.cohort.step(batch, number); err != nil {
					b.Fatal(err)
				}
				number++
			}
			const turn = 4
			pure, loaded := time.Duration(1<<62), time.Duration(1<<62)
			for epoch := 0; b.Loop(); epoch++ {
				e := s.loader.Epoch(b.Context(), epoch, 0)
				batch, err := e.Next()
				begin, steps := time.Now(), 0
				var one dataset.Batch
				for ; err != io.EOF; batch, err = e.Next() {
					if err != nil {
						b.Fatal(err)
					}
					if one.N == 0 {
						one = *batch
						one.Images, one.Labels = slices.Clone(batch.Images), slices.Clone(batch.Labels)
						one.Views = [][]float32{one.Images}
					}
					step(batch)
					if steps++; steps == turn {
						loaded = min(loaded, time.Since(begin))
						begin, steps = time.Now(), 0
					}
				}
				for range s.loader.Batches() / turn { // as often as above, for equal luck
					begin = time.Now()
					for range turn {
						step(&one)
					}
					pure = min(pure, time.Since(begin))
				}
			}
			b.ReportMetric(pure.Seconds()*1000/turn, "ms/step")
			b.ReportMetric(100*(loaded.Seconds()/pure.Seconds()-1), "%-added")
		})
	}
}

// market is people in JPEG files, as Market-1501 holds them.
func market(b *testing.B) dataset.Dataset {
	fsys := make(fstest.MapFS)
	for i := range 256 {
		m := image.NewRGBA(image.Rect(0, 0, 64, 128))
		for at := range m.Pix {
			m.Pix[at] = uint8(at*i/97 + at*at%23 + 3*(at/64%40))
		}
		var buf bytes.Buffer
		if err := jpeg.Encode(&buf, m, nil); err != nil {
			b.Fatal(err)
		}
		fsys[fmt.Sprintf("%04d_c%ds1_%06d_01.jpg", 1+i/10, 1+i%6, i)] = &fstest.MapFile{Data: slices.Clone(buf.Bytes())}
	}
	splits, err := dataset.OpenFS(fsys, dataset.Options{Kind: dataset.Market1501})
	if err != nil {
		b.Fatal(err)
	}
	return splits.Train
}
