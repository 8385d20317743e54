package kerneltest

import (
	"fmt"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

func concatProblem(s kernel.ConcatSpec) *problem {
	p := &problem{
		name:   fmt.Sprintf("concat %v to %v", s.Srcs, s.Dst),
		output: s.Dst,
		exact:  true,
		step:   linearStep,
		slack:  linearSlack,
	}
	for i, d := range s.Srcs {
		p.operands = append(p.operands, operand{name: fmt.Sprintf("src %d", i), desc: d, grad: true})
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.Concat(s)
		if err != nil {
			return runner{}, err
		}
		return runner{
			forward: func(out kernel.Tensor, in []kernel.Tensor) error { return k.Forward(out, in...) },
			backward: func(grads []kernel.Tensor, dOut, out kernel.Tensor, in []kernel.Tensor) error {
				for i, g := range grads {
					if err := k.Backward(i, g, dOut); err != nil {
						return err
					}
				}
				return nil
			},
		}, nil
	}
	return p
}

// concatCases have pieces of whole blocks, pieces that cross blocks of 8 or 16
// or share one, and matrices.
var concatCases = []struct {
	n, h, w  int
	channels []int
}{
	{2, 4, 3, []int{16, 32}},
	{1, 5, 7, []int{3, 2}},
	{2, 3, 5, []int{8, 24, 8}},
	{3, 4, 4, []int{5, 17, 16, 10}},
	{2, 2, 3, []int{16, 5}},
	{1, 3, 3, []int{20, 16}},
	{2, 3, 2, []int{1, 1, 1, 1, 1}},
	{2, 2, 2, []int{12, 4, 28, 12}},
	{3, 1, 1, []int{7, 33, 16}},
	{4, 9, 1, []int{32, 16, 16}},
}

// testConcat covers one layout for all tensors, and one for each.
func (s *suite) testConcat(t *testing.T) {
	mix := []kernel.Layout{kernel.NChw16c, kernel.NCHW, kernel.NChw8c, kernel.NHWC}
	for _, c := range concatCases {
		spec := func(place placement) kernel.ConcatSpec {
			out := kernel.ConcatSpec{Dst: kernel.Desc{N: c.n, H: c.h, W: c.w}}
			for _, channels := range c.channels {
				out.Srcs = append(out.Srcs, place(kernel.Desc{N: c.n, C: channels, H: c.h, W: c.w}))
				out.Dst.C += channels
			}
			out.Dst = place(out.Dst)
			return out
		}
		s.each(t, func(place placement) *problem { return concatProblem(spec(place)) }, s.check)
		for shift := range mix {
			at := shift
			mixed := concatProblem(spec(func(d kernel.Desc) kernel.Desc {
				at++
				return d.As(mix[at%len(mix)])
			}))
			mixed.plain = concatProblem(spec(inLayout(kernel.NCHW)))
			t.Run("Mixed", func(t *testing.T) { s.check(t, mixed) })
		}
	}
	t.Run("Sources", s.testConcatSources)
}

// testConcatSources gives a concatenation too few sources, and asks for the
// gradient of one that it does not have.
func (s *suite) testConcatSources(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	d := kernel.Desc{N: 1, C: 2, H: 3, W: 3}
	spec := kernel.ConcatSpec{Srcs: []kernel.Desc{d, d}, Dst: kernel.Desc{N: 1, C: 4, H: 3, W: 3}}
	k, err := e.Concat(spec)
	must(t, err)
	spec.Srcs[0].C = 3 // the caller's slice is not the kernel's
	src, dst := kernel.NewTensor(d), kernel.NewTensor(spec.Dst)
	must(t, k.Forward(dst, src, src))
	mustFail(t, "one source of two", kernel.ErrArgument, func() error { return k.Forward(dst, src) })
	mustFail(t, "three sources of two", kernel.ErrArgument, func() error { return k.Forward(dst, src, src, src) })
	for _, source := range []int{-1, 2} {
		mustFail(t, fmt.Sprintf("gradient of source %d", source), kernel.ErrArgument, func() error { return k.Backward(source, src, dst) })
	}
}
