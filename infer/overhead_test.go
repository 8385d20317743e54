//go:build cgo

package infer

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/models"
)

// alternate times two calls in turn, each first every other time, and reports
// the median of each, and of the first over the second. An iteration is one call
// of each.
func alternate(b *testing.B, names [2]string, calls [2]func() error) {
	b.Helper()
	var times [2][]float64
	var ratios []float64
	for i := 0; b.Loop(); i++ {
		var took [2]float64
		for k := range calls {
			k = (i + k) % 2
			begin := time.Now()
			if err := calls[k](); err != nil {
				b.Fatal(err)
			}
			took[k] = time.Since(begin).Seconds()
			times[k] = append(times[k], took[k])
		}
		ratios = append(ratios, took[0]/took[1])
	}
	middle := func(v []float64) float64 {
		slices.Sort(v)
		return v[len(v)/2]
	}
	b.ReportMetric(0, "ns/op") // of both together, which means nothing
	for i, name := range names {
		b.ReportMetric(1e6*middle(times[i]), name+"-us")
	}
	b.ReportMetric(middle(ratios), names[0]+"/"+names[1])
}

// measured are the networks that benchmarks measure.
func measured(b *testing.B) []*models.Network {
	return []*models.Network{
		exporttest.Network(b, "resnet32", cifar, 10),
		exporttest.Network(b, "mobilenet", models.Shape{C: 3, H: 160, W: 64}, 10),
	}
}

// BenchmarkOverhead compares calls of a Model with bare ones of its own ONNX
// Runtime session, on tensors made once: bare/model is 1 where a Model costs
// nothing.
func BenchmarkOverhead(b *testing.B) {
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, net := range measured(b) {
		m := openBytes(b, exporttest.Student(b, net, 1, export.Options{}), Options{})
		session := backendOf(m).(*ortSession)
		for _, n := range []int{1, 8, 64} {
			for _, c := range []struct {
				name string
				ctx  context.Context
			}{{"background", context.Background()}, {"cancellable", cancellable}} {
				b.Run(fmt.Sprintf("%s/%d/%s", net.Name, n, c.name), func(b *testing.B) {
					batch := noise(n*net.Input.Size(), 1)
					r, err := newRunner(n, session)
					if err != nil {
						b.Fatal(err)
					}
					defer r.destroy()
					in, err := r.own(session.desc.Input)
					if err != nil {
						b.Fatal(err)
					}
					copy(in.Float32, batch)
					alternate(b, [2]string{"bare", "model"}, [2]func() error{
						func() error { return session.session.Run(r.inputs, r.outputs) },
						func() error { _, err := m.Run(c.ctx, batch, n); return err },
					})
				})
			}
		}
	}
}

// BenchmarkHalf compares files with float32 weights and with float16 ones, which
// the graph casts to float32.
func BenchmarkHalf(b *testing.B) {
	for _, net := range append(measured(b), wide(b)) {
		single := openBytes(b, exporttest.Student(b, net, 1, export.Options{}), Options{})
		half := openBytes(b, exporttest.Student(b, net, 1, export.Options{Half: true}), Options{})
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/%d", net.Name, n), func(b *testing.B) {
				batch := noise(n*net.Input.Size(), 1)
				call := func(m *Model) func() error {
					return func() error { _, err := m.Run(context.Background(), batch, n); return err }
				}
				alternate(b, [2]string{"float32", "half"}, [2]func() error{call(single), call(half)})
			})
		}
	}
}
