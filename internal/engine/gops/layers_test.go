package gops_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/engine/exec"
	"github.com/deepmutual/dml/internal/engine/gops"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
)

func engine(t *testing.T) kernel.Engine {
	t.Helper()
	e, err := ref.New().NewEngine(kernel.EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// expression is a small graph: an output and the leaves it is differentiated
// by.
type expression struct {
	y   gops.Tensor
	wrt []*gorgonia.Node
	// spread draws values that all differ, so that maxima have no ties.
	spread bool
}

// values draws n values in (-1, 1). Neither they nor sums of two are close to
// the kinks of the rectifiers below.
func values(rng *rand.Rand, n int, spread bool) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = (float32(rng.IntN(32)-16) + 0.25) / 16
	}
	if spread {
		for i, p := range rng.Perm(n) {
			v[i] = float32(2*p+1-n) / float32(n)
		}
	}
	return v
}

// checkGradients compares the gradients of sum(r * y), r random, with finite
// differences.
func checkGradients(t *testing.T, b *gops.Builder, x expression) {
	t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	dy := b.Input("dy", x.y.Desc)
	grads, err := gorgonia.Backpropagate(gorgonia.Nodes{x.y.Node}, gorgonia.Nodes{dy.Node}, x.wrt)
	if err != nil {
		t.Fatal(err)
	}
	p, err := exec.Compile(exec.Spec{Outputs: gorgonia.Nodes{x.y.Node}, Gradients: grads, Memory: b.Engine, Add: planAdd})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range b.Graph.AllNodes() {
		if n.IsVar() && p.Value(n) != nil && n.Op() == nil {
			copy(p.Value(n), values(rng, len(p.Value(n)), x.spread))
		}
	}
	// Channel padding has no meaning and no gradient.
	unpad(p.Value(dy.Node), x.y.Desc)
	objective := func() float64 {
		if err := p.Forward(); err != nil {
			t.Fatal(err)
		}
		var sum float64
		for i, v := range p.Value(x.y.Node) {
			sum += float64(v) * float64(p.Value(dy.Node)[i])
		}
		return sum
	}
	objective()
	if err := p.Backward(); err != nil {
		t.Fatal(err)
	}
	for k, n := range x.wrt {
		got := append([]float32(nil), p.Value(grads[k])...)
		var diff, norm float64
		for i := range p.Value(n) {
			at, h := &p.Value(n)[i], float32(1)/512
			old := *at
			*at = old + h
			up := objective()
			*at = old - h
			want := (up - objective()) / float64(2*h)
			*at = old
			diff += (float64(got[i]) - want) * (float64(got[i]) - want)
			norm += want * want
		}
		if rel := math.Sqrt(diff / norm); !(rel < 2e-3) {
			t.Errorf("gradient of %q: relative distance %.2g from finite differences (norm %.2g)", n.Name(), rel, math.Sqrt(norm))
		}
	}
}

func unpad(v []float32, d kernel.Desc) {
	t := kernel.Tensor{Desc: d, Data: v}
	plain := kernel.NewTensor(d.As(kernel.NCHW))
	kernel.Convert(plain, t)
	kernel.Convert(t, plain)
}

func planAdd(int) (exec.Add, error) { return add, nil }

func add(dst, a, b []float32) error {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
	return nil
}

// must unwraps the result of a builder's method.
func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// image is an input with a gradient.
func image(b *gops.Builder, name string, d kernel.Desc) gops.Tensor {
	x := b.Input(name, d)
	x.NeedsGrad = true
	return x
}

func TestGradients(t *testing.T) {
	plain := kernel.Desc{N: 2, C: 4, H: 5, W: 3}
	relu6 := &kernel.Clip{Lo: 0, Hi: 0.6}
	convolution := func(groups int, bias bool, layout kernel.Layout) func(*testing.T, *gops.Builder) expression {
		return func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain.As(layout))
			wrt := []*gorgonia.Node{x.Node, b.Param("w", 6, 4/groups, 3, 2)}
			var biasNode *gorgonia.Node
			if bias {
				biasNode = b.Param("bias", 6)
				wrt = append(wrt, biasNode)
			}
			y := must(b.Conv(x, wrt[1], biasNode, kernel.ConvSpec{Dst: kernel.Desc{N: 2, C: 6, H: 3, W: 3, Layout: layout},
				KernelH: 3, KernelW: 2, StrideH: 2, StrideW: 1, Pad: kernel.Pad{Top: 1, Bottom: 1, Right: 1}, Groups: groups}))(t)
			return expression{y: y, wrt: wrt}
		}
	}
	pool := func(spec kernel.PoolSpec) func(*testing.T, *gops.Builder) expression {
		spec.Dst = kernel.Desc{N: 2, C: 4, H: 3, W: 2}
		spec.KernelH, spec.KernelW, spec.StrideH, spec.StrideW = 3, 2, 2, 2
		spec.Pad = kernel.Pad{Top: 1, Bottom: 1, Right: 1}
		return func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			return expression{y: must(b.Pool(x, spec))(t), wrt: []*gorgonia.Node{x.Node}, spread: true}
		}
	}
	norm := func(act *kernel.Clip) func(*testing.T, *gops.Builder) expression {
		return func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			gamma, beta := b.Param("gamma", 4), b.Param("beta", 4)
			y, _, err := b.BatchNorm(x, gamma, beta, kernel.BatchNormSpec{Epsilon: 1e-3, Momentum: 0.1, Act: act})
			if err != nil {
				t.Fatal(err)
			}
			return expression{y: y, wrt: []*gorgonia.Node{x.Node, gamma, beta}}
		}
	}
	sum := func(act *kernel.Clip, right kernel.Layout) func(*testing.T, *gops.Builder) expression {
		return func(t *testing.T, b *gops.Builder) expression {
			l, r := image(b, "l", plain), image(b, "r", plain.As(right))
			return expression{y: must(b.Add(l, r, act))(t), wrt: []*gorgonia.Node{l.Node, r.Node}}
		}
	}
	for name, build := range map[string]func(*testing.T, *gops.Builder) expression{
		"conv":               convolution(1, false, kernel.NCHW),
		"conv bias":          convolution(1, true, kernel.NCHW),
		"conv groups NHWC":   convolution(2, true, kernel.NHWC),
		"batch norm":         norm(nil),
		"batch norm relu":    norm(kernel.ReLU()),
		"batch norm bounded": norm(relu6),
		"max pool":           pool(kernel.PoolSpec{Max: true}),
		"average pool":       pool(kernel.PoolSpec{}),
		"average pool all":   pool(kernel.PoolSpec{CountPad: true}),
		"add":                sum(nil, kernel.NCHW),
		"add relu":           sum(kernel.ReLU(), kernel.NCHW),
		"add layouts":        sum(relu6, kernel.NHWC),
		"add itself": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			return expression{y: must(b.Add(x, x, kernel.ReLU()))(t), wrt: []*gorgonia.Node{x.Node}, spread: true}
		},
		"concat": func(t *testing.T, b *gops.Builder) expression {
			l, m, r := image(b, "l", plain), image(b, "m", kernel.Desc{N: 2, C: 9, H: 5, W: 3, Layout: kernel.NHWC}), image(b, "r", plain)
			y := must(b.Concat(kernel.Desc{N: 2, C: 17, H: 5, W: 3, Layout: kernel.NChw8c}, l, m, r))(t)
			return expression{y: y, wrt: []*gorgonia.Node{l.Node, m.Node, r.Node}}
		},
		"concat with itself": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			y := must(b.Concat(kernel.Desc{N: 2, C: 12, H: 5, W: 3}, x, b.Input("constant", plain), x))(t)
			return expression{y: y, wrt: []*gorgonia.Node{x.Node}}
		},
		"dropout": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain.As(kernel.NHWC))
			y, mask, err := b.Dropout(x, 0.4)
			if err != nil {
				t.Fatal(err)
			}
			mask.SetKey(kernel.MaskKey(1, "dropout", 2))
			return expression{y: y, wrt: []*gorgonia.Node{x.Node}}
		},
		"dense": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", kernel.Matrix(3, 5))
			w := b.Param("w", 4, 5)
			return expression{y: must(b.Dense(x, w, nil, 4))(t), wrt: []*gorgonia.Node{x.Node, w}}
		},
		"dense bias": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", kernel.Matrix(3, 5))
			w, bias := b.Param("w", 4, 5), b.Param("bias", 4)
			return expression{y: must(b.Dense(x, w, bias, 4))(t), wrt: []*gorgonia.Node{x.Node, w, bias}}
		},
		"global average pool": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			return expression{y: must(b.GlobalAvgPool(x))(t), wrt: []*gorgonia.Node{x.Node}}
		},
		"subsample": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			y := must(b.Subsample(x, kernel.SubsampleSpec{Dst: kernel.Desc{N: 2, C: 7, H: 3, W: 2}, Stride: 2, Front: 1}))(t)
			return expression{y: y, wrt: []*gorgonia.Node{x.Node}}
		},
		"reorder": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			return expression{y: must(b.Reorder(x, plain.As(kernel.NChw8c)))(t), wrt: []*gorgonia.Node{x.Node}}
		},
		"flatten": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			return expression{y: must(b.Reorder(x, kernel.Matrix(2, 60)))(t), wrt: []*gorgonia.Node{x.Node}}
		},
		"activation": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			return expression{y: must(b.Activation(x, *relu6))(t), wrt: []*gorgonia.Node{x.Node}, spread: true}
		},
		"sigmoid": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain.As(kernel.NChw8c))
			return expression{y: must(b.Sigmoid(x, false))(t), wrt: []*gorgonia.Node{x.Node}}
		},
		"hard sigmoid": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			return expression{y: must(b.Sigmoid(x, true))(t), wrt: []*gorgonia.Node{x.Node}}
		},
		"multiply": func(t *testing.T, b *gops.Builder) expression {
			x, y := image(b, "x", plain), image(b, "y", plain.As(kernel.NHWC))
			return expression{y: must(b.Multiply(x, y))(t), wrt: []*gorgonia.Node{x.Node, y.Node}}
		},
		"multiply by itself": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			return expression{y: must(b.Multiply(x, x))(t), wrt: []*gorgonia.Node{x.Node}}
		},
		"gate": func(t *testing.T, b *gops.Builder) expression {
			x, gate := image(b, "x", plain.As(kernel.NChw8c)), image(b, "gate", kernel.Matrix(2, 4))
			return expression{y: must(b.Multiply(x, gate))(t), wrt: []*gorgonia.Node{x.Node, gate.Node}}
		},
		"gate of a constant": func(t *testing.T, b *gops.Builder) expression {
			gate := image(b, "gate", kernel.Desc{N: 2, C: 4, H: 1, W: 1, Layout: kernel.NChw8c})
			return expression{y: must(b.Multiply(b.Input("x", plain), gate))(t), wrt: []*gorgonia.Node{gate.Node}}
		},
		"log-softmax": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", kernel.Matrix(4, 7))
			return expression{y: must(b.LogSoftmax(x))(t), wrt: []*gorgonia.Node{x.Node}}
		},
		"three readers": func(t *testing.T, b *gops.Builder) expression {
			x := image(b, "x", plain)
			l := must(b.Add(x, x, nil))(t)
			return expression{y: must(b.Add(l, x, nil))(t), wrt: []*gorgonia.Node{x.Node}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := gops.NewBuilder(engine(t))
			checkGradients(t, b, build(t, b))
		})
	}
}

// A value that nothing upstream is trained for has no gradient, and no kernel
// computes one.
func TestNoGradientForInputs(t *testing.T) {
	b := gops.NewBuilder(engine(t))
	x := b.Input("x", kernel.Desc{N: 1, C: 2, H: 3, W: 3})
	y := must(b.Conv(x, b.Param("w", 1, 2, 3, 3), nil, kernel.ConvSpec{Dst: kernel.Desc{N: 1, C: 1, H: 1, W: 1}, KernelH: 3, KernelW: 3, StrideH: 1, StrideW: 1}))(t)
	if x.NeedsGrad || !y.NeedsGrad {
		t.Errorf("NeedsGrad of the input is %v, of a convolution of it %v, want false, true", x.NeedsGrad, y.NeedsGrad)
	}
	dy := b.Input("dy", y.Desc)
	if _, err := gorgonia.Backpropagate(gorgonia.Nodes{y.Node}, gorgonia.Nodes{dy.Node}, gorgonia.Nodes{x.Node}); err == nil {
		t.Error("the input of the network has a gradient")
	}
}

func TestBatchNormInferUsesGivenStatistics(t *testing.T) {
	b := gops.NewBuilder(engine(t))
	x := b.Input("x", kernel.Desc{N: 1, C: 1, H: 1, W: 2})
	gamma, beta, mean, variance := b.Param("gamma", 1), b.Param("beta", 1), b.Param("mean", 1), b.Param("variance", 1)
	y := must(b.BatchNormInfer(x, gamma, beta, mean, variance, kernel.BatchNormSpec{Epsilon: 1, Act: kernel.ReLU()}))(t)
	p := must(exec.Compile(exec.Spec{Outputs: gorgonia.Nodes{y.Node}, Memory: b.Engine, Add: planAdd}))(t)
	copy(p.Value(x.Node), []float32{9, 0})
	for n, v := range map[*gorgonia.Node]float32{gamma: 2, beta: 1, mean: 5, variance: 15} {
		p.Value(n)[0] = v
	}
	if err := p.Forward(); err != nil {
		t.Fatal(err)
	}
	if got := p.Value(y.Node); got[0] != 3 || got[1] != 0 { // 2 (9-5)/4 + 1, max(0, 2 (0-5)/4 + 1)
		t.Errorf("got %v, want [3 0]", got)
	}
}

func TestBuilderReportsBadSpecs(t *testing.T) {
	b := gops.NewBuilder(engine(t))
	x := b.Input("x", kernel.Desc{N: 1, C: 2, H: 3, W: 3})
	w := b.Param("w", 1, 2, 9, 9)
	_, err := b.Conv(x, w, nil, kernel.ConvSpec{Dst: x.Desc, KernelH: 9, KernelW: 9, StrideH: 1, StrideW: 1})
	if err == nil {
		t.Error("a kernel larger than its input is planned")
	}
	// Weights of another shape than the kernel's show when it runs.
	y := must(b.Conv(x, w, nil, kernel.ConvSpec{Dst: kernel.Desc{N: 1, C: 1, H: 1, W: 1}, KernelH: 3, KernelW: 3, StrideH: 1, StrideW: 1}))(t)
	p := must(exec.Compile(exec.Spec{Outputs: gorgonia.Nodes{y.Node}, Memory: b.Engine, Add: planAdd}))(t)
	if err := p.Forward(); err == nil {
		t.Error("weights of a wrong size are accepted")
	}
}
