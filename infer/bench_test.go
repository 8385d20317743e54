//go:build cgo

package infer

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
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

// wide is a network whose time goes into reading its weights, 24 MB, which a
// batch does once for all its samples: an upper bound of what joining gains.
func wide(b *testing.B) *models.Network {
	b.Helper()
	n := models.NewBuilder("wide", models.Shape{C: 3, H: 16, W: 16}, 10)
	v := n.Flatten("flat", n.Input())
	for _, name := range []string{"one", "two"} {
		v = n.ReLU(name+"/relu", n.Dense(name, v, models.Dense{Out: 2048, Bias: true}))
	}
	net, err := n.Build(n.Dense("logits", v, models.Dense{Out: 10, Bias: true}), v)
	if err != nil {
		b.Fatal(err)
	}
	return net
}

// BenchmarkJoin has 32 callers of one sample each, whose calls are not joined and
// are: of a network that computes much with few weights, and of a wide one;
// with all threads a call, and with one.
func BenchmarkJoin(b *testing.B) {
	const callers = 32
	cores := runtime.GOMAXPROCS(0)
	for _, net := range []*models.Network{exporttest.Network(b, "resnet20", cifar, 10), wide(b)} {
		data := exporttest.Student(b, net, 1, export.Options{})
		for _, threads := range slices.Compact([]int{cores, 1}) {
			for _, bc := range []struct {
				name string
				join *Joining
			}{
				{"without", nil},
				{"no wait", &Joining{Parallel: cores / threads}},
				{"wait 2ms", &Joining{MaxWait: 2 * time.Millisecond, Parallel: cores / threads}},
			} {
				b.Run(fmt.Sprintf("%s/threads %d/%s", net.Name, threads, bc.name), func(b *testing.B) {
					m := openBytes(b, data, Options{Threads: threads, Join: bc.join})
					var left atomic.Int64
					left.Store(int64(b.N))
					b.ResetTimer()
					var wg sync.WaitGroup
					for g := range callers {
						batch := noise(net.Input.Size(), uint64(g))
						wg.Go(func() {
							for left.Add(-1) >= 0 {
								if _, err := m.Run(context.Background(), batch, 1); err != nil {
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
	}
}
