//go:build cgo

package infer

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/internal/exporttest"
	"github.com/deepmutual/dml/models"
)

// BenchmarkOverhead alternates calls of a Model with bare ones of its own ONNX
// Runtime session, on tensors made once. It reports the median time of each, and
// the median of the bare call's share, which is 1 where a Model costs nothing.
// Every iteration is one call of each kind.
func BenchmarkOverhead(b *testing.B) {
	cancellable, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, net := range []struct {
		arch string
		in   models.Shape
	}{{"resnet32", cifar}, {"mobilenet", models.Shape{C: 3, H: 160, W: 64}}} {
		m := openBytes(b, exporttest.Student(b, exporttest.Network(b, net.arch, net.in, 10), 1, export.Options{}), Options{})
		session := m.backend.(*ortSession)
		for _, n := range []int{1, 8, 64} {
			for name, ctx := range map[string]context.Context{"background": context.Background(), "cancellable": cancellable} {
				b.Run(fmt.Sprintf("%s/%d/%s", net.arch, n, name), func(b *testing.B) {
					batch := noise(n*net.in.Size(), 1)
					r, err := newRunner(n, session)
					if err != nil {
						b.Fatal(err)
					}
					defer r.destroy()
					copy(r.data.Float32, batch)
					calls := []func() error{
						func() error { return session.session.Run(r.inputs, r.outputs) },
						func() error { _, err := m.Run(ctx, batch, n); return err },
					}
					var times [2][]float64
					var ratios []float64
					for i := 0; b.Loop(); i++ {
						var took [2]float64
						for k := range calls {
							k = (i + k) % 2 // each is first in turn
							begin := time.Now()
							if err := calls[k](); err != nil {
								b.Fatal(err)
							}
							took[k] = time.Since(begin).Seconds()
							times[k] = append(times[k], took[k])
						}
						ratios = append(ratios, took[0]/took[1])
					}
					for i, what := range []string{"bare-us", "model-us"} {
						b.ReportMetric(1e6*middle(times[i]), what)
					}
					b.ReportMetric(middle(ratios), "bare/model")
				})
			}
		}
	}
}

func middle(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
