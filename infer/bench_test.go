//go:build cgo

package infer

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/internal/exporttest"
	"github.com/deepmutual/dml/models"
)

func BenchmarkRun(b *testing.B) {
	for arch, in := range map[string]models.Shape{"resnet32": cifar, "mobilenet": {C: 3, H: 160, W: 64}} {
		m := openBytes(b, exporttest.Student(b, exporttest.Network(b, arch, in, 10), 1, export.Options{}), Options{})
		for _, n := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d", arch, n), func(b *testing.B) {
				batch := noise(n*in.Size(), 1)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := m.Run(context.Background(), batch, n); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(n*b.N)/b.Elapsed().Seconds(), "samples/s")
			})
		}
	}
}

// BenchmarkBatcher has 32 callers of one sample each, without a batcher and
// with.
func BenchmarkBatcher(b *testing.B) {
	const callers = 32
	data := exporttest.Student(b, exporttest.Network(b, "resnet20", cifar, 10), 1, export.Options{})
	for _, bc := range []struct {
		name  string
		opts  BatcherOptions
		plain bool
	}{
		{name: "without", plain: true},
		{name: "no wait"},
		{name: "wait 2ms", opts: BatcherOptions{MaxWait: 2 * time.Millisecond}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			m := openBytes(b, data, Options{})
			var p Predictor = m
			if !bc.plain {
				batcher, err := NewBatcher(m, bc.opts)
				if err != nil {
					b.Fatal(err)
				}
				defer batcher.Close()
				p = batcher
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var wg sync.WaitGroup
			for g := range callers {
				batch := noise(cifar.Size(), uint64(g))
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := p.Run(context.Background(), batch, 1); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "samples/s")
		})
	}
}
