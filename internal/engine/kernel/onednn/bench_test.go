//go:build cgo && (linux || darwin)

package onednn

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// resnetConvs are the convolutions of a CIFAR ResNet: input channels and side,
// output channels, stride.
var resnetConvs = []struct{ in, side, out, stride int }{
	{3, 32, 16, 1},
	{16, 32, 16, 1},
	{16, 32, 32, 2},
	{32, 16, 32, 1},
	{32, 16, 64, 2},
	{64, 8, 64, 1},
	{160, 32, 160, 1},
	{320, 16, 320, 1},
	{640, 8, 640, 1},
}

const benchBatch = 64

func fill(rng *rand.Rand, v []float32) []float32 {
	for i := range v {
		v[i] = 2*rng.Float32() - 1
	}
	return v
}

func tensor(e *engine, rng *rand.Rand, c, side int) kernel.Tensor {
	d := kernel.Desc{N: benchBatch, C: c, H: side, W: side}
	d.Layout = e.Layout(c, side, side)
	return kernel.Tensor{Desc: d, Data: fill(rng, alloc(e, d.Size()))}
}

// repeat times f and reports the shortest run, which other work on the machine
// disturbs least, and with it the speed for the given work.
func repeat(b *testing.B, work float64, unit string, f func() error) {
	b.Helper()
	if err := f(); err != nil {
		b.Fatal(err)
	}
	shortest := time.Duration(1<<63 - 1)
	for b.Loop() {
		start := time.Now()
		if err := f(); err != nil {
			b.Fatal(err)
		}
		shortest = min(shortest, time.Since(start))
	}
	b.ReportMetric(shortest.Seconds()*1e3, "min-ms")
	b.ReportMetric(work/shortest.Seconds()/1e9, unit)
}

func BenchmarkConv(b *testing.B) {
	backend := open(b)
	for _, s := range resnetConvs {
		for _, direct := range []bool{false, true} {
			opts := kernel.EngineOptions{NoWinograd: direct}
			algorithm := "auto"
			if direct {
				algorithm = "direct"
			}
			name := fmt.Sprintf("%d-%dx%d-%d-s%d/%s", s.in, s.side, s.side, s.out, s.stride, algorithm)
			b.Run(name, func(b *testing.B) {
				e := newEngine(b, backend, opts)
				rng := rand.New(rand.NewPCG(1, 2))
				src, dst := tensor(e, rng, s.in, s.side), tensor(e, rng, s.out, s.side/s.stride)
				spec := kernel.ConvSpec{
					Src: src.Desc, Dst: dst.Desc, KernelH: 3, KernelW: 3, StrideH: s.stride, StrideW: s.stride,
					Pad: kernel.Pad{Top: 1, Left: 1, Bottom: 1, Right: 1}, NoDataGradient: s.in == 3,
				}
				k, err := e.Conv(spec)
				if err != nil {
					b.Fatal(err)
				}
				w := fill(rng, alloc(e, 9*s.in*s.out))
				flop := 2 * 9 * float64(s.in) * float64(dst.N*dst.C*dst.H*dst.W)
				passes := []struct {
					name string
					run  func() error
				}{
					{"forward", func() error { return k.Forward(dst, src, w, nil) }},
					{"backward-weights", func() error { return k.BackwardWeights(w, nil, src, dst) }},
					{"backward-data", func() error { return k.BackwardData(src, dst, w) }},
				}
				for i, p := range passes {
					if i == 2 && spec.NoDataGradient {
						continue
					}
					b.Run(p.name, func(b *testing.B) {
						b.Logf("%s", k.(*conv).implementations()[i])
						repeat(b, flop, "GFLOP/s", p.run)
					})
				}
			})
		}
	}
}

func BenchmarkBatchNorm(b *testing.B) {
	backend := open(b)
	for _, s := range []struct{ c, side int }{{16, 32}, {32, 16}, {64, 8}} {
		b.Run(fmt.Sprintf("%d-%dx%d", s.c, s.side, s.side), func(b *testing.B) {
			e := newEngine(b, backend, kernel.EngineOptions{})
			rng := rand.New(rand.NewPCG(1, 2))
			src, dst, dSrc, dDst := tensor(e, rng, s.c, s.side), tensor(e, rng, s.c, s.side), tensor(e, rng, s.c, s.side), tensor(e, rng, s.c, s.side)
			k, err := e.BatchNorm(kernel.BatchNormSpec{Src: src.Desc, Epsilon: 1e-5, Momentum: 0.1, Act: kernel.ReLU()})
			if err != nil {
				b.Fatal(err)
			}
			gamma, beta := fill(rng, alloc(e, s.c)), fill(rng, alloc(e, s.c))
			dGamma, dBeta := alloc(e, s.c), alloc(e, s.c)
			bytes := float64(4 * len(src.Data))
			b.Run("forward", func(b *testing.B) {
				repeat(b, 2*bytes, "GB/s", func() error { return k.Forward(dst, src, gamma, beta) })
			})
			b.Run("backward", func(b *testing.B) {
				repeat(b, 3*bytes, "GB/s", func() error {
					return k.Backward(dSrc, dGamma, dBeta, dDst, src, dst, gamma, beta)
				})
			})
		})
	}
}

func BenchmarkPointwise(b *testing.B) {
	backend := open(b)
	e := newEngine(b, backend, kernel.EngineOptions{})
	rng := rand.New(rand.NewPCG(1, 2))
	x, y, z := tensor(e, rng, 16, 32), tensor(e, rng, 16, 32), tensor(e, rng, 16, 32)
	small := tensor(e, rng, 32, 16)
	add, err := e.Add(kernel.AddSpec{Desc: x.Desc, Act: kernel.ReLU()})
	if err != nil {
		b.Fatal(err)
	}
	shortcut, err := e.Subsample(kernel.SubsampleSpec{Src: x.Desc, Dst: small.Desc, Stride: 2, Front: 8})
	if err != nil {
		b.Fatal(err)
	}
	wide := tensor(e, rng, 64, 16)
	join := func(channels int) (kernel.Concat, []kernel.Tensor, kernel.Tensor) {
		in := []kernel.Tensor{tensor(e, rng, channels, 16), wide}
		dst := tensor(e, rng, 64+channels, 16)
		k, err := e.Concat(kernel.ConcatSpec{Srcs: []kernel.Desc{in[0].Desc, wide.Desc}, Dst: dst.Desc})
		if err != nil {
			b.Fatal(err)
		}
		return k, in, dst
	}
	whole, wholeIn, wholeOut := join(32)
	crossing, crossingIn, crossingOut := join(24)
	dropout, err := e.Dropout(kernel.DropoutSpec{Desc: x.Desc, Rate: 0.5})
	if err != nil {
		b.Fatal(err)
	}
	logits := kernel.Tensor{Desc: kernel.Matrix(64, 1000), Data: fill(rng, alloc(e, 64000))}
	logq, dLogits := kernel.NewTensor(logits.Desc), kernel.NewTensor(logits.Desc)
	softmax, err := e.Softmax(kernel.SoftmaxSpec{Rows: 64, Cols: 1000, Log: true})
	if err != nil {
		b.Fatal(err)
	}
	bytes := float64(4 * len(x.Data))
	for _, p := range []struct {
		name string
		work float64
		run  func() error
	}{
		{"add-relu/forward", 3 * bytes, func() error { return add.Forward(z, x, y) }},
		{"add-relu/backward", 3 * bytes, func() error { return add.Backward(x, y, z) }},
		{"shortcut/forward", bytes, func() error { return shortcut.Forward(small, x) }},
		{"shortcut/backward", bytes, func() error { return shortcut.Backward(x, small) }},
		{"concat/forward", float64(8 * len(wholeOut.Data)), func() error { return whole.Forward(wholeOut, wholeIn...) }},
		{"concat/backward", float64(8 * len(wide.Data)), func() error { return whole.Backward(1, wide, wholeOut) }},
		{"concat-crossing-blocks/forward", float64(8 * len(crossingOut.Data)), func() error { return crossing.Forward(crossingOut, crossingIn...) }},
		{"concat-crossing-blocks/backward", float64(8 * len(wide.Data)), func() error { return crossing.Backward(1, wide, crossingOut) }},
		{"dropout", 2 * bytes, func() error { return dropout.Run(y, x, 1) }},
		{"log-softmax/forward", float64(8 * len(logits.Data)), func() error { return softmax.Forward(logq, logits) }},
		{"log-softmax/backward", float64(12 * len(logits.Data)), func() error { return softmax.Backward(dLogits, logits, logq) }},
	} {
		b.Run(p.name, func(b *testing.B) { repeat(b, p.work, "GB/s", p.run) })
	}
}
