//go:build cgo && (linux || darwin)

package onednn

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
)

// conv3x3 is a convolution of one side by one side images.
func conv3x3(e kernel.Engine, n, in, side, out int) kernel.ConvSpec {
	return kernel.ConvSpec{
		Src:     kernel.Desc{N: n, C: in, H: side, W: side, Layout: e.Layout(in, side, side)},
		Dst:     kernel.Desc{N: n, C: out, H: side, W: side, Layout: e.Layout(out, side, side)},
		KernelH: 3, KernelW: 3, StrideH: 1, StrideW: 1,
		Pad: kernel.Pad{Top: 1, Left: 1, Bottom: 1, Right: 1},
	}
}

// student runs every pass of a convolution and a batch norm several times on an
// engine of its own and returns all results.
func student(b kernel.Backend, seed uint64, rounds int) ([]float32, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	e, err := b.NewEngine(kernel.EngineOptions{Threads: 1})
	if err != nil {
		return nil, err
	}
	defer e.Close()
	spec := conv3x3(e, 8, 32, 16, 32)
	conv, err := e.Conv(spec)
	if err != nil {
		return nil, err
	}
	norm, err := e.BatchNorm(kernel.BatchNormSpec{Src: spec.Dst, Epsilon: 1e-5, Act: kernel.ReLU()})
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(seed, 0))
	activation := func() kernel.Tensor {
		return kernel.Tensor{Desc: spec.Src, Data: fill(rng, alloc(e, spec.Src.Size()))}
	}
	src, dst, y, dy := activation(), activation(), activation(), activation()
	w, dw := fill(rng, alloc(e, 9*32*32)), alloc(e, 9*32*32)
	gamma, beta, dGamma, dBeta := fill(rng, alloc(e, 32)), fill(rng, alloc(e, 32)), alloc(e, 32), alloc(e, 32)
	for range rounds {
		for _, run := range []func() error{
			func() error { return conv.Forward(dst, src, w, nil) },
			func() error { return norm.Forward(y, dst, gamma, beta) },
			func() error { return norm.Backward(dy, dGamma, dBeta, y, dst, y, gamma, beta) },
			func() error { return conv.BackwardWeights(dw, nil, src, dy) },
			func() error { return conv.BackwardData(src, dy, w) },
		} {
			if err := run(); err != nil {
				return nil, err
			}
		}
	}
	return slices.Concat(src.Data, dst.Data, dw, dGamma, dBeta), nil
}

// TestConcurrentEngines requires of students on OS threads of their own the
// same bits as of students in turn.
func TestConcurrentEngines(t *testing.T) {
	b := open(t)
	const students, rounds = 4, 3
	var want, got [students][]float32
	for i := range want {
		var err error
		if want[i], err = student(b, uint64(i), rounds); err != nil {
			t.Fatal(err)
		}
	}
	var wg sync.WaitGroup
	var errs [students]error
	for i := range got {
		wg.Go(func() { got[i], errs[i] = student(b, uint64(i), rounds) })
	}
	wg.Wait()
	for i := range got {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		if !slices.Equal(got[i], want[i]) {
			t.Errorf("student %d computes other values beside the others than alone", i)
		}
	}
	if slices.Equal(want[0], want[1]) {
		t.Error("students of different seeds compute the same values: the test compares nothing")
	}
}

// TestManyThreads compares the gradients of a convolution on more threads than
// there are processors with ref.
func TestManyThreads(t *testing.T) {
	b := open(t)
	fast := newEngine(t, b, kernel.EngineOptions{Threads: max(4, 2*runtime.NumCPU()), NoWinograd: true})
	slow, err := ref.New().NewEngine(kernel.EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	spec := conv3x3(fast, 8, 32, 16, 32)
	rng := rand.New(rand.NewPCG(5, 0))
	src, dDst := kernel.NewTensor(spec.Src), kernel.NewTensor(spec.Dst)
	fill(rng, src.Data)
	fill(rng, dDst.Data)
	w := fill(rng, make([]float32, 9*32*32))
	gradients := func(e kernel.Engine) []float32 {
		t.Helper()
		k, err := e.Conv(spec)
		if err != nil {
			t.Fatal(err)
		}
		dw, dSrc := make([]float32, len(w)), kernel.NewTensor(spec.Src)
		if err := k.BackwardWeights(dw, nil, src, dDst); err != nil {
			t.Fatal(err)
		}
		if err := k.BackwardData(dSrc, dDst, w); err != nil {
			t.Fatal(err)
		}
		return append(dw, dSrc.Data...)
	}
	got, want := gradients(fast), gradients(slow)
	for i, v := range want {
		if d := got[i] - v; d > 1e-3 || d < -1e-3 || d != d {
			t.Fatalf("value %d is %g, ref has %g", i, got[i], v)
		}
	}
}

// TestFastImplementations requires that no convolution falls back to oneDNN's
// reference loops, whatever the layouts.
func TestFastImplementations(t *testing.T) {
	b := open(t)
	if !b.(*backend).has(isaAVX2) {
		t.Skipf("the implementations under test need AVX2, this is %s", b.Info().ISA)
	}
	e := newEngine(t, b, kernel.EngineOptions{})
	for _, layouts := range [][2]kernel.Layout{
		{kernel.NCHW, e.Layout(16, 32, 32)},
		{kernel.NHWC, kernel.NHWC},
		{kernel.NHWC, e.Layout(16, 32, 32)},
		{kernel.NChw8c, kernel.NChw16c},
		{kernel.NChw16c, kernel.NCHW},
		{kernel.NChw16c, kernel.NChw16c},
	} {
		for _, in := range []int{3, 16} {
			spec := conv3x3(e, 2, in, 32, 16)
			spec.Src.Layout, spec.Dst.Layout = layouts[0], layouts[1]
			k, err := e.Conv(spec)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range k.(*conv).implementations() {
				if strings.HasPrefix(name, "ref") {
					t.Errorf("%s runs %q", k.(*conv).name, k.(*conv).implementations())
					break
				}
			}
		}
	}
}

// TestPromisedAway requires an error of the passes that a spec rules out.
func TestPromisedAway(t *testing.T) {
	e := newEngine(t, open(t), kernel.EngineOptions{})
	spec := conv3x3(e, 1, 16, 4, 16)
	spec.NoDataGradient = true
	k, err := e.Conv(spec)
	if err != nil {
		t.Fatal(err)
	}
	src, dst := kernel.NewTensor(spec.Src), kernel.NewTensor(spec.Dst)
	if err := k.BackwardData(src, dst, make([]float32, 9*16*16)); !errors.Is(err, kernel.ErrArgument) {
		t.Errorf("data gradient that the spec rules out: %v, want an error that wraps ErrArgument", err)
	}
}

// TestMirroredForward compares forward passes that run as data gradients with
// ref, for paddings and dilations that are not symmetric.
func TestMirroredForward(t *testing.T) {
	b := open(t)
	if !b.(*backend).has(isaAVX2) {
		t.Skipf("forward passes are mirrored with AVX2 and later, this is %s", b.Info().ISA)
	}
	e := newEngine(t, b, kernel.EngineOptions{})
	slow, err := ref.New().NewEngine(kernel.EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	base := kernel.ConvSpec{
		Src:     kernel.Desc{N: 2, C: 24, H: 7, W: 31},
		KernelH: 3, KernelW: 3, StrideH: 1, StrideW: 1, DilationH: 1, DilationW: 1, Groups: 1,
	}
	for name, change := range map[string]func(*kernel.ConvSpec){
		"no padding":         func(s *kernel.ConvSpec) {},
		"asymmetric padding": func(s *kernel.ConvSpec) { s.Pad = kernel.Pad{Top: 2, Left: 0, Bottom: 1, Right: 2} },
		"dilation":           func(s *kernel.ConvSpec) { s.DilationH, s.Pad = 2, kernel.Pad{Top: 4, Left: 1, Bottom: 3, Right: 1} },
		"oblong kernel":      func(s *kernel.ConvSpec) { s.KernelH, s.KernelW, s.Pad = 2, 5, kernel.Pad{Left: 3, Bottom: 1} },
	} {
		for _, out := range []int{8, 10, 16} {
			spec := base
			change(&spec)
			spec.Dst = kernel.Desc{
				N: 2, C: out,
				H: spec.Src.H + spec.Pad.Top + spec.Pad.Bottom - (spec.KernelH-1)*spec.DilationH,
				W: spec.Src.W + spec.Pad.Left + spec.Pad.Right - (spec.KernelW-1)*spec.DilationW,
			}
			spec.Src.Layout, spec.Dst.Layout = e.Layout(24, 0, 0), e.Layout(out, 0, 0)
			if !e.mirrors(spec) {
				t.Fatalf("%s: %+v is not mirrored: this test checks nothing", name, spec)
			}
			rng := rand.New(rand.NewPCG(3, uint64(out)))
			src := kernel.NewTensor(spec.Src.As(kernel.NCHW))
			fill(rng, src.Data)
			blocked := kernel.NewTensor(spec.Src)
			kernel.Convert(blocked, src)
			shape := spec.WeightShape()
			w := fill(rng, make([]float32, shape[0]*shape[1]*shape[2]*shape[3]))
			got, want := kernel.NewTensor(spec.Dst), kernel.NewTensor(spec.Dst)
			run := func(e kernel.Engine, dst, src kernel.Tensor) {
				t.Helper()
				s := spec
				s.Src, s.Dst = src.Desc, dst.Desc
				k, err := e.Conv(s)
				if err != nil {
					t.Fatal(err)
				}
				if err := k.Forward(dst, src, w, nil); err != nil {
					t.Fatal(err)
				}
			}
			run(e, got, blocked)
			run(slow, want, blocked)
			for i, v := range want.Data {
				if d := got.Data[i] - v; d > 1e-4 || d < -1e-4 || d != d {
					t.Errorf("%s, %d channels: value %d is %g, ref has %g", name, out, i, got.Data[i], v)
					break
				}
			}
		}
	}
}

// alloc takes memory of an engine that has enough.
func alloc(e kernel.Engine, n int) []float32 {
	v, err := e.Alloc(n)
	if err != nil {
		panic(err)
	}
	return v
}

// TestPlanningWithoutMemory plans a kernel whose tables alone, 128 bytes a plane,
// are larger than the process may grow.
func TestPlanningWithoutMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skipf("limits of the address space hold on Linux, this is %s", runtime.GOOS)
	}
	e := newEngine(t, open(t), kernel.EngineOptions{})
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_AS, &before); err != nil {
		t.Fatal(err)
	}
	limit := syscall.Rlimit{Cur: min(before.Cur, 1<<44), Max: before.Max}
	if err := syscall.Setrlimit(syscall.RLIMIT_AS, &limit); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_AS, &before); err != nil {
			t.Error(err)
		}
	}()
	images := kernel.Desc{N: 1 << 28, C: 1 << 10, H: 1, W: 1}
	if _, err := e.BatchNorm(kernel.BatchNormSpec{Src: images, Epsilon: 1e-5}); !errors.Is(err, kernel.ErrMemory) {
		t.Errorf("a batch norm of %v: %v, want an error that wraps ErrMemory", images, err)
	}
}
