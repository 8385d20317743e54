package gops_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/deepmutual/dml/internal/engine/exec"
	"github.com/deepmutual/dml/internal/engine/gops"
	"github.com/deepmutual/dml/internal/engine/kernel"
)

// A residual network gives the same bits on Gorgonia's own machine as in
// package exec.
func TestExecEqualsTapeMachine(t *testing.T) {
	b := gops.NewBuilder(engine(t))
	d := kernel.Desc{N: 2, C: 4, H: 6, W: 5}
	conv := func(x gops.Tensor, name string, dst kernel.Desc) (gops.Tensor, *gorgonia.Node) {
		w := b.Param(name, dst.C, x.Desc.C, 3, 3)
		return must(b.Conv(x, w, nil, kernel.ConvSpec{Dst: dst, KernelH: 3, KernelW: 3, StrideH: 1, StrideW: 1, Pad: kernel.Pad{Top: 1, Left: 1, Bottom: 1, Right: 1}}))(t), w
	}
	image := b.Input("image", kernel.Desc{N: 2, C: 3, H: 6, W: 5})
	x, w1 := conv(image, "w1", d.As(kernel.NHWC))
	gamma, beta := b.Param("gamma", 4), b.Param("beta", 4)
	y, _, err := b.BatchNorm(x, gamma, beta, kernel.BatchNormSpec{Epsilon: 1e-5, Momentum: 0.1, Act: kernel.ReLU()})
	if err != nil {
		t.Fatal(err)
	}
	z, w2 := conv(y, "w2", d)
	z = must(b.Add(z, y, kernel.ReLU()))(t)
	w3, bias := b.Param("w3", 3, 4), b.Param("bias", 3)
	logits := must(b.Dense(must(b.GlobalAvgPool(z))(t), w3, bias, 3))(t)
	dy := b.Input("dy", logits.Desc)
	params := gorgonia.Nodes{w1, gamma, beta, w2, w3, bias}
	grads := must(gorgonia.Backpropagate(gorgonia.Nodes{logits.Node}, gorgonia.Nodes{dy.Node}, params))(t)

	p := must(exec.Compile(exec.Spec{Outputs: gorgonia.Nodes{logits.Node}, Gradients: grads, Memory: b.Engine, Add: planAdd}))(t)
	rng := rand.New(rand.NewPCG(5, 6))
	for _, n := range append(params, image.Node, dy.Node) {
		copy(p.Value(n), values(rng, len(p.Value(n)), false))
		v := tensor.New(tensor.WithShape(n.Shape()...), tensor.WithBacking(slices.Clone(p.Value(n))))
		if err := gorgonia.Let(n, v); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Forward(); err != nil {
		t.Fatal(err)
	}
	if err := p.Backward(); err != nil {
		t.Fatal(err)
	}

	tape := make([]gorgonia.Value, 1+len(grads))
	roots := append(gorgonia.Nodes{logits.Node}, grads...)
	for i, n := range roots {
		gorgonia.Read(n, &tape[i])
	}
	machine := gorgonia.NewTapeMachine(b.Graph)
	defer machine.Close()
	if err := machine.RunAll(); err != nil {
		t.Fatal(err)
	}
	for i, n := range roots {
		if got := p.Value(n); !slices.Equal(got, tape[i].Data().([]float32)) {
			t.Errorf("%v: %v, the tape machine has %v", n, got, tape[i].Data())
		}
	}
}
