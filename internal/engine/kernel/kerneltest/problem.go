package kerneltest

import (
	"hash/fnv"
	"math"
	"math/rand/v2"
	"testing"
	"unsafe"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// problem is one kernel with one spec, in a form that every check can drive.
type problem struct {
	name     string
	operands []operand
	output   kernel.Desc
	plan     func(kernel.Engine) (runner, error)
	// act is the activation that the kernel applies last, and bare the same
	// problem without it. Both are nil where there is none.
	act  *kernel.Clip
	bare *problem
	// plain is the same problem with all activations in NCHW, for ref.
	plain *problem
	// winograd marks a convolution that Winograd's algorithm can compute.
	winograd bool
	// exact marks a kernel that only moves values.
	exact bool
	// forwardOnly expects an error of backward.
	forwardOnly bool
	// step is the step of finite differences, and slack the limit of their
	// error, relative to the deviation of the random projection.
	step, slack float64
}

// operand is one input. Weights, biases and vectors of channels, which kernels
// take as plain slices, have the Desc of a matrix with one row.
type operand struct {
	name string
	desc kernel.Desc
	// grad: backward computes the operand's gradient.
	grad bool
	// saved: backward reads the operand.
	saved bool
	// draw fills it; nil means uniformly from [-1, 1).
	draw func(*rand.Rand, kernel.Tensor)
}

// vector describes an operand that is a plain slice of n values.
func vector(n int) kernel.Desc { return kernel.Matrix(1, n) }

// runner runs a planned kernel.
type runner struct {
	forward func(out kernel.Tensor, in []kernel.Tensor) error
	// backward sets the gradients whose data are not nil. It is nil for
	// kernels that have no gradient.
	backward func(grads []kernel.Tensor, dOut, out kernel.Tensor, in []kernel.Tensor) error
}

// instance is a problem planned on an engine, with its tensors.
type instance struct {
	*problem
	runner
	in, grads []kernel.Tensor
	out, dOut kernel.Tensor
}

// goMemory returns memory of Go that is aligned to a value and no more.
func goMemory(n int) []float32 { return make([]float32, n+1)[1:] }

// instantiate plans p and draws its inputs, the same for every engine and
// layout.
func (p *problem) instantiate(t *testing.T, e kernel.Engine, alloc func(int) []float32) *instance {
	t.Helper()
	r, err := p.plan(e)
	if err != nil {
		t.Fatalf("%s: planning: %v", p.name, err)
	}
	x := &instance{problem: p, runner: r}
	x.allocate(alloc)
	x.draw(1)
	return x
}

func (x *instance) allocate(alloc func(int) []float32) {
	tensor := func(d kernel.Desc) kernel.Tensor { return kernel.Tensor{Desc: d, Data: alloc(d.Size())} }
	x.in, x.grads = nil, nil
	for _, o := range x.operands {
		x.in = append(x.in, tensor(o.desc))
		g := kernel.Tensor{}
		if o.grad {
			g = tensor(o.desc)
		}
		x.grads = append(x.grads, g)
	}
	x.out, x.dOut = tensor(x.output), tensor(x.output)
}

// draw fills operands and the output's gradient from a seed.
func (x *instance) draw(seed uint64) {
	h := fnv.New64a()
	for _, o := range x.operands {
		h.Write([]byte(o.desc.As(kernel.NCHW).String()))
	}
	rng := rand.New(rand.NewPCG(h.Sum64(), seed))
	for i, o := range x.operands {
		if o.draw != nil {
			o.draw(rng, x.in[i])
		} else {
			uniform(-1, 1)(rng, x.in[i])
		}
	}
	uniform(-1, 1)(rng, x.dOut)
}

// run clears outputs to NaN, which a kernel must overwrite, and runs forward
// and backward.
func (x *instance) run(t *testing.T) {
	t.Helper()
	x.runForward(t)
	if x.backward != nil && !x.forwardOnly {
		x.runBackward(t)
	}
}

func (x *instance) runForward(t *testing.T) {
	t.Helper()
	spoil(x.out)
	if err := x.forward(x.out, x.in); err != nil {
		t.Fatalf("%s: forward: %v", x.name, err)
	}
}

func (x *instance) runBackward(t *testing.T) {
	t.Helper()
	for _, g := range x.grads {
		spoil(g)
	}
	if err := x.backward(x.grads, x.dOut, x.out, x.in); err != nil {
		t.Fatalf("%s: backward: %v", x.name, err)
	}
}

// result is a computed tensor.
type result struct {
	name string
	kernel.Tensor
}

// results returns the output and the gradients that backward computes.
func (x *instance) results() []result {
	all := []result{{"output", x.out}}
	if x.backward != nil && !x.forwardOnly {
		for i, o := range x.operands {
			if o.grad {
				all = append(all, result{"gradient of " + o.name, x.grads[i]})
			}
		}
	}
	return all
}

// copyInputs copies operands and the output's gradient, between any layouts.
func copyInputs(dst, src *instance) {
	for i := range src.in {
		kernel.Convert(dst.in[i], src.in[i])
	}
	kernel.Convert(dst.dOut, src.dOut)
}

func spoil(t kernel.Tensor) {
	for i := range t.Data {
		t.Data[i] = float32(math.NaN())
	}
}

// values calls f with the position of every value but channel padding, in the
// order of NCHW.
func values(d kernel.Desc, f func(i int)) {
	for n := range d.N {
		for c := range d.C {
			for h := range d.H {
				for w := range d.W {
					f(d.Index(n, c, h, w))
				}
			}
		}
	}
}

// uniform draws from [lo, hi).
func uniform(lo, hi float64) func(*rand.Rand, kernel.Tensor) {
	return func(rng *rand.Rand, t kernel.Tensor) {
		values(t.Desc, func(i int) { t.Data[i] = float32(lo + (hi-lo)*rng.Float64()) })
	}
}

func address(v []float32) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(v))) }
