package kerneltest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// check runs every generic check of a problem.
func (s *suite) check(t *testing.T, p *problem) {
	for i, opts := range configurations(p.winograd) {
		t.Run(fmt.Sprintf("threads=%d,winograd=%v", opts.Threads, !opts.NoWinograd), func(t *testing.T) {
			e := s.engine(t, opts)
			x := p.instantiate(t, e, allocator(t, e))
			s.compare(t, x, opts)
			s.checkRepeats(t, x, opts)
			s.checkMemory(t, x, opts)
			if !opts.NoWinograd {
				checkDifferences(t, x)
			}
			if i == 0 {
				checkForwardOnly(t, x)
				checkArguments(t, x)
			}
			if s.AllocFree {
				checkAllocations(t, x)
			}
		})
	}
}

// compare runs x and compares all results with ref's in NCHW.
func (s *suite) compare(t *testing.T, x *instance, opts kernel.EngineOptions) {
	t.Helper()
	e := refEngine(t)
	avoidKinks(t, e, x)
	want := x.plain.instantiate(t, e, goMemory)
	copyInputs(want, x)
	x.run(t)
	want.run(t)
	limit := s.Tolerance
	switch {
	case opts.BFloat16:
		limit = bfloat16Tolerance
	case x.exact:
		limit = 0
	case x.winograd && !opts.NoWinograd:
		limit = s.WinogradTolerance
	}
	got := x.results()
	for i, w := range want.results() {
		g := got[i]
		if d := distance(g.Tensor, w.Tensor); !(d <= limit) {
			t.Errorf("%s, %s: %s differs from ref by %.3g (relative L2), limit %.3g; %s",
				x.name, describe(opts), g.name, d, limit, worst(g.Tensor, w.Tensor))
		}
		checkPadding(t, x.name, g.name, g.Tensor)
	}
}

// avoidKinks sets the gradient of those outputs to zero that lie so near to a
// bound of the activation that rounding decides whether they pass it.
func avoidKinks(t *testing.T, refEngine kernel.Engine, x *instance) {
	t.Helper()
	if x.bare == nil {
		return
	}
	const margin = 1e-4
	b := x.bare.instantiate(t, refEngine, goMemory)
	copyInputs(b, x)
	b.runForward(t)
	values(b.output, func(i int) {
		v := float64(b.out.Data[i])
		if math.Abs(v-float64(x.act.Lo)) < margin || math.Abs(v-float64(x.act.Hi)) < margin {
			x.dOut.Data[i] = 0
		}
	})
}

// pairs calls f with the position and both values of every element.
func pairs(got, want kernel.Tensor, f func(n, c, h, w int, got, want float64)) {
	for n := range want.N {
		for c := range want.C {
			for h := range want.H {
				for w := range want.W {
					f(n, c, h, w, float64(got.Data[got.Index(n, c, h, w)]), float64(want.Data[want.Index(n, c, h, w)]))
				}
			}
		}
	}
}

// distance is the L2 norm of got - want relative to that of want.
func distance(got, want kernel.Tensor) float64 {
	var diff, norm float64
	pairs(got, want, func(_, _, _, _ int, g, w float64) {
		diff += (g - w) * (g - w)
		norm += w * w
	})
	if diff == 0 {
		return 0
	}
	return math.Sqrt(diff / norm)
}

// worst says where two tensors differ most.
func worst(got, want kernel.Tensor) string {
	text, most := "", -1.0
	pairs(got, want, func(n, c, h, w int, g, v float64) {
		d := math.Abs(g - v)
		if math.IsNaN(d) {
			d = math.Inf(1)
		}
		if d > most {
			most = d
			text = fmt.Sprintf("most at (n %d, c %d, h %d, w %d): %g, want %g", n, c, h, w, g, v)
		}
	})
	return text
}

// checkPadding requires that channels past C are zero.
func checkPadding(t *testing.T, problem, name string, v kernel.Tensor) {
	t.Helper()
	inside := make([]bool, len(v.Data))
	values(v.Desc, func(i int) { inside[i] = true })
	for i, in := range inside {
		if !in && v.Data[i] != 0 {
			t.Errorf("%s: %s has channel padding %g at position %d, want 0", problem, name, v.Data[i], i)
			return
		}
	}
}

// checkRepeats requires the same bits of a second run and of another engine.
func (s *suite) checkRepeats(t *testing.T, x *instance, opts kernel.EngineOptions) {
	t.Helper()
	first := snapshot(x)
	x.run(t)
	sameBits(t, x.name+": second run", first, snapshot(x))
	e := s.engine(t, opts)
	y := x.problem.instantiate(t, e, allocator(t, e))
	copyInputs(y, x)
	y.run(t)
	sameBits(t, x.name+": second engine", first, snapshot(y))
}

// snapshot copies the results.
func snapshot(x *instance) []result {
	all := x.results()
	for i := range all {
		all[i].Data = slices.Clone(all[i].Data)
	}
	return all
}

func sameBits(t *testing.T, what string, want, got []result) {
	t.Helper()
	for r := range want {
		for i, w := range want[r].Data {
			if g := got[r].Data[i]; math.Float32bits(g) != math.Float32bits(w) {
				t.Errorf("%s: %s at position %d is %g, first %g", what, want[r].name, i, g, w)
				break
			}
		}
	}
}

// checkMemory runs a kernel on other tensors than before: it must read and
// write those alone, wherever they lie.
func (s *suite) checkMemory(t *testing.T, x *instance, opts kernel.EngineOptions) {
	t.Helper()
	e := s.engine(t, opts)
	want := snapshot(x)
	y := *x
	y.allocate(allocator(t, e))
	copyInputs(&y, x)
	old := append(slices.Concat(x.in, x.grads), x.out, x.dOut)
	const garbage = 12345
	for _, v := range old {
		for i := range v.Data {
			v.Data[i] = garbage
		}
	}
	y.run(t)
	sameBits(t, x.name+": other tensors", want, snapshot(&y))
	for _, v := range old {
		if slices.ContainsFunc(v.Data, func(f float32) bool { return f != garbage }) {
			t.Errorf("%s: a run on other tensors wrote to those of the run before", x.name)
		}
		clear(v.Data)
	}
	// New values at the same place, then memory of Go.
	y.draw(2)
	s.compare(t, &y, opts)
	y.allocate(goMemory)
	y.draw(3)
	s.compare(t, &y, opts)
	x.draw(1)
	s.compare(t, x, opts)
}

// checkDifferences compares gradients with central differences of the forward
// pass. The loss is a random projection <r, output>; each operand moves along
// random directions v of entries 1 and -1:
//
//	(loss(x + h v) - loss(x - h v)) / 2h  =  <gradient, v>
//
// The terms of the projection have random signs, so the root of the sum of
// their squares is the size of the loss's derivative, and the error is measured
// against it. A term is left out if a bound of the activation lies between the
// two ends.
func checkDifferences(t *testing.T, x *instance) {
	t.Helper()
	if x.backward == nil || x.forwardOnly {
		return
	}
	rng := rand.New(rand.NewPCG(7, 11))
	for i, o := range x.operands {
		if !o.grad {
			continue
		}
		for range 2 {
			base := slices.Clone(x.in[i].Data)
			direction := make([]float64, len(base))
			values(o.desc, func(j int) { direction[j] = float64(1 - 2*rng.IntN(2)) })
			ends := [2][]float32{}
			for e, sign := range []float64{1, -1} {
				values(o.desc, func(j int) { x.in[i].Data[j] = float32(float64(base[j]) + sign*x.step*direction[j]) })
				x.runForward(t)
				ends[e] = slices.Clone(x.out.Data)
			}
			copy(x.in[i].Data, base)
			x.runForward(t)
			var numeric, analytic, square float64
			values(x.output, func(j int) {
				r := 2*rng.Float64() - 1
				if x.act != nil && (side(x.act, ends[0][j]) != side(x.act, ends[1][j])) {
					r = 0
				}
				x.dOut.Data[j] = float32(r)
				r = float64(x.dOut.Data[j])
				term := r * (float64(ends[0][j]) - float64(ends[1][j])) / (2 * x.step)
				numeric += term
				square += term * term
			})
			x.runBackward(t)
			values(o.desc, func(j int) { analytic += float64(x.grads[i].Data[j]) * direction[j] })
			if size := math.Sqrt(square); !(math.Abs(numeric-analytic) <= x.slack*size) {
				t.Errorf("%s: gradient of %s along a random direction is %.6g, finite differences say %.6g; limit %.2g",
					x.name, o.name, analytic, numeric, x.slack*size)
			}
		}
	}
}

// side says on which side of the bounds an output lies.
func side(act *kernel.Clip, y float32) int {
	switch {
	case y <= act.Lo:
		return -1
	case y >= act.Hi:
		return 1
	}
	return 0
}

func checkForwardOnly(t *testing.T, x *instance) {
	t.Helper()
	if x.forwardOnly && x.backward != nil {
		mustFail(t, x.name+": backward of a ForwardOnly kernel", kernel.ErrArgument,
			func() error { return x.backward(x.grads, x.dOut, x.out, x.in) })
	}
}

// checkAllocations requires that running does not allocate Go memory.
func checkAllocations(t *testing.T, x *instance) {
	t.Helper()
	if n := testing.AllocsPerRun(3, func() { _ = x.forward(x.out, x.in) }); n != 0 {
		t.Errorf("%s: forward allocates %g times", x.name, n)
	}
	if x.backward == nil || x.forwardOnly {
		return
	}
	if n := testing.AllocsPerRun(3, func() { _ = x.backward(x.grads, x.dOut, x.out, x.in) }); n != 0 {
		t.Errorf("%s: backward allocates %g times", x.name, n)
	}
}

// checkArguments gives the kernel tensors that its spec does not describe: too
// few values, or another shape. Each must be refused.
func checkArguments(t *testing.T, x *instance) {
	t.Helper()
	x.run(t)
	backward := x.backward != nil && !x.forwardOnly
	forward := func() error { return x.forward(x.out, x.in) }
	back := func() error { return x.backward(x.grads, x.dOut, x.out, x.in) }
	refuse := func(what string, v *kernel.Tensor, run func() error) {
		t.Helper()
		good := *v
		defer func() { *v = good }()
		v.Data = good.Data[:len(good.Data)-1]
		mustFail(t, x.name+": "+what+" with a value too few", kernel.ErrArgument, run)
		v.Data = good.Data
		if v.N == 1 && v.H == 1 && v.W == 1 {
			return // possibly a plain slice, whose Desc the kernel does not see
		}
		v.N++
		mustFail(t, x.name+": "+what+" with another Desc", kernel.ErrArgument, run)
	}
	refuse("output", &x.out, forward)
	if backward {
		refuse("output gradient", &x.dOut, back)
	}
	for i, o := range x.operands {
		refuse(o.name, &x.in[i], forward)
		if backward && o.saved {
			refuse(o.name+" in backward", &x.in[i], back)
		}
		if backward && o.grad {
			refuse("gradient of "+o.name, &x.grads[i], back)
		}
	}
}

// mustFail requires an error of f, and no panic. The error must wrap kind
// unless that is nil.
func mustFail(t *testing.T, what string, kind error, f func() error) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			t.Errorf("%s: want an error, got a panic: %v", what, r)
		}
	}()
	switch err := f(); {
	case err == nil:
		t.Errorf("%s: want an error, got none", what)
	case kind != nil && !errors.Is(err, kind):
		t.Errorf("%s: want an error that wraps %q, got %v", what, kind, err)
	}
}
