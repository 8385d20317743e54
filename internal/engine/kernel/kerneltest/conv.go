package kerneltest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// Gradients of a kernel that is linear in each operand have no truncation
// error, so differences take a wide step and rounding is small.
const (
	linearStep  = 0.5
	linearSlack = 3e-4
)

// convCase is a ConvSpec written briefly; zero extents mean their usual value.
type convCase struct {
	n, in, h, w, out, kh, kw int
	strideH, strideW         int
	dilationH, dilationW     int
	pad                      kernel.Pad
	groups                   int
	bias                     bool
}

func same(p int) kernel.Pad { return kernel.Pad{Top: p, Left: p, Bottom: p, Right: p} }

var convCases = []convCase{
	{n: 1, in: 3, h: 7, w: 5, out: 5, kh: 1, kw: 1},
	{n: 2, in: 17, h: 9, w: 8, out: 24, kh: 1, kw: 1, strideH: 2, strideW: 2},
	{n: 1, in: 5, h: 1, w: 1, out: 17, kh: 1, kw: 1, bias: true},
	{n: 2, in: 4, h: 5, w: 4, out: 6, kh: 1, kw: 1, pad: same(1), bias: true},
	{n: 2, in: 3, h: 8, w: 8, out: 16, kh: 3, kw: 3, pad: same(1), bias: true},
	{n: 1, in: 3, h: 13, w: 11, out: 24, kh: 7, kw: 7, strideH: 2, strideW: 2, pad: same(3)},
	{n: 2, in: 1, h: 12, w: 12, out: 16, kh: 3, kw: 3, strideH: 2, strideW: 2, pad: same(1), bias: true},
	{n: 3, in: 5, h: 9, w: 7, out: 17, kh: 3, kw: 3, pad: same(1)},
	{n: 2, in: 16, h: 9, w: 9, out: 32, kh: 3, kw: 3, strideH: 2, strideW: 2, pad: same(1)},
	{n: 1, in: 16, h: 32, w: 8, out: 16, kh: 3, kw: 3, pad: same(1)},
	{n: 2, in: 24, h: 8, w: 8, out: 17, kh: 3, kw: 3, strideH: 2, strideW: 2, pad: kernel.Pad{Bottom: 1, Right: 1}},
	{n: 2, in: 5, h: 6, w: 7, out: 3, kh: 3, kw: 2, pad: kernel.Pad{Top: 2, Bottom: 1, Right: 1}, bias: true},
	{n: 1, in: 17, h: 8, w: 8, out: 24, kh: 3, kw: 3, strideH: 3, strideW: 3},
	{n: 1, in: 8, h: 7, w: 9, out: 16, kh: 3, kw: 3, strideH: 2, strideW: 1, pad: same(1)},
	{n: 2, in: 17, h: 9, w: 9, out: 24, kh: 3, kw: 3, dilationH: 2, dilationW: 2, pad: same(2)},
	{n: 1, in: 3, h: 11, w: 9, out: 5, kh: 5, kw: 3, dilationH: 2, pad: kernel.Pad{Top: 4, Left: 1, Bottom: 3, Right: 1}, bias: true},
	{n: 2, in: 24, h: 4, w: 4, out: 17, kh: 4, kw: 4, bias: true},
	{n: 2, in: 6, h: 7, w: 7, out: 9, kh: 3, kw: 3, pad: same(1), groups: 3, bias: true},
	{n: 1, in: 32, h: 8, w: 8, out: 64, kh: 3, kw: 3, pad: same(1), groups: 2},
	{n: 2, in: 24, h: 5, w: 5, out: 10, kh: 1, kw: 1, groups: 2},
	{n: 2, in: 17, h: 7, w: 6, out: 17, kh: 3, kw: 3, pad: same(1), groups: 17},
	{n: 1, in: 24, h: 9, w: 8, out: 24, kh: 3, kw: 3, strideH: 2, strideW: 2, pad: kernel.Pad{Bottom: 1, Right: 1}, groups: 24},
	{n: 2, in: 32, h: 8, w: 8, out: 32, kh: 3, kw: 3, pad: same(1), groups: 32, bias: true},
	{n: 1, in: 5, h: 6, w: 6, out: 10, kh: 3, kw: 3, pad: same(1), groups: 5},
	{n: 2, in: 32, h: 14, w: 14, out: 32, kh: 3, kw: 3, pad: same(1)},
	{n: 1, in: 64, h: 9, w: 11, out: 48, kh: 3, kw: 3, pad: same(1), bias: true},
	// Of Winograd's tiles: ragged ends, wide and uneven padding, none at all,
	// images of one tile.
	{n: 5, in: 48, h: 1, w: 2, out: 16, kh: 3, kw: 3, pad: same(1)},
	{n: 3, in: 16, h: 5, w: 7, out: 32, kh: 3, kw: 3},
	{n: 2, in: 32, h: 6, w: 3, out: 16, kh: 3, kw: 3, pad: same(2)},
	{n: 3, in: 16, h: 10, w: 9, out: 16, kh: 3, kw: 3, pad: kernel.Pad{Top: 2, Right: 1}},
}

func (c convCase) spec() kernel.ConvSpec {
	s := kernel.ConvSpec{
		Src:     kernel.Desc{N: c.n, C: c.in, H: c.h, W: c.w},
		KernelH: c.kh, KernelW: c.kw,
		StrideH: max(1, c.strideH), StrideW: max(1, c.strideW),
		DilationH: c.dilationH, DilationW: c.dilationW,
		Pad: c.pad, Groups: c.groups, Bias: c.bias,
	}
	reachH, reachW := (c.kh-1)*max(1, c.dilationH)+1, (c.kw-1)*max(1, c.dilationW)+1
	s.Dst = kernel.Desc{
		N: c.n, C: c.out,
		H: (c.h+c.pad.Top+c.pad.Bottom-reachH)/s.StrideH + 1,
		W: (c.w+c.pad.Left+c.pad.Right-reachW)/s.StrideW + 1,
	}
	return s
}

// convProblem has the operands src, weights and, where the spec has one, bias.
func convProblem(s kernel.ConvSpec) *problem {
	shape := s.WeightShape()
	p := &problem{
		name: fmt.Sprintf("conv %v to %v, kernel %dx%d, stride %dx%d, dilation %dx%d, pad %d+%d %d+%d, groups %d, bias %v%s",
			s.Src, s.Dst, s.KernelH, s.KernelW, s.StrideH, s.StrideW, s.DilationH, s.DilationW,
			s.Pad.Top, s.Pad.Bottom, s.Pad.Left, s.Pad.Right, max(1, s.Groups), s.Bias, fusedName(s)),
		operands: []operand{
			{name: "src", desc: s.Src, grad: !s.NoDataGradient && !s.ForwardOnly, saved: true},
			{name: "weights", desc: vector(shape[0] * shape[1] * shape[2] * shape[3]), grad: !s.ForwardOnly, saved: !s.NoDataGradient},
		},
		output: s.Dst,
		winograd: s.KernelH == 3 && s.KernelW == 3 && s.StrideH == 1 && s.StrideW == 1 &&
			max(s.Groups, s.DilationH, s.DilationW) <= 1 && min(s.Src.C, s.Dst.C) >= 8,
		forwardOnly: s.ForwardOnly,
		step:        linearStep,
		slack:       linearSlack,
	}
	if s.Bias {
		p.operands = append(p.operands, operand{name: "bias", desc: vector(s.Dst.C), grad: !s.ForwardOnly})
	}
	before := len(p.operands)
	if s.Sum {
		p.operands = append(p.operands, operand{name: "what dst holds", desc: s.Dst})
	}
	bias := func(v []kernel.Tensor) []float32 {
		if s.Bias {
			return v[2].Data
		}
		return nil
	}
	p.plan = func(e kernel.Engine) (runner, error) {
		k, err := e.Conv(s)
		if err != nil {
			return runner{}, err
		}
		return runner{
			forward: func(out kernel.Tensor, in []kernel.Tensor) error {
				if s.Sum {
					if err := kernel.CheckTensor("what dst holds", in[before], s.Dst); err != nil {
						return err
					}
					copy(out.Data, in[before].Data)
				}
				return k.Forward(out, in[0], in[1].Data, bias(in))
			},
			backward: func(grads []kernel.Tensor, dOut, out kernel.Tensor, in []kernel.Tensor) error {
				if !s.NoDataGradient {
					if err := k.BackwardData(grads[0], dOut, in[1].Data); err != nil {
						return err
					}
				}
				return k.BackwardWeights(grads[1].Data, bias(grads), in[0], dOut)
			},
		}, nil
	}
	return p
}

func fusedName(s kernel.ConvSpec) string {
	name := ""
	if s.Sum {
		name += ", sum"
	}
	if s.Act != nil {
		name += fmt.Sprintf(", clip [%g, %g]", s.Act.Lo, s.Act.Hi)
	}
	return name
}

// fusions are the ends of a forward pass, which the cases take in turn.
var fusions = []struct {
	sum bool
	act *kernel.Clip
}{
	{act: kernel.ReLU()},
	{sum: true, act: kernel.ReLU()},
	{sum: true},
	{act: &kernel.Clip{Hi: 0.5}},
	{sum: true, act: &kernel.Clip{Lo: -0.25, Hi: 0.75}},
}

// testFusedConv gives every case two of the fusions, and over all cases every
// fusion to convolutions with and without a bias.
func (s *suite) testFusedConv(t *testing.T) {
	for i, c := range convCases {
		for j := range 2 {
			f := fusions[(2*i+j)%len(fusions)]
			s.each(t, func(place placement) *problem {
				spec := c.spec()
				spec.Src, spec.Dst = place(spec.Src), place(spec.Dst)
				spec.ForwardOnly, spec.Sum, spec.Act = true, f.sum, f.act
				spec.Bias = (i+j)%2 == 0
				return convProblem(spec)
			}, s.check)
		}
	}
}

func (s *suite) testConv(t *testing.T) {
	for _, c := range convCases {
		s.each(t, func(place placement) *problem {
			spec := c.spec()
			spec.Src, spec.Dst = place(spec.Src), place(spec.Dst)
			return convProblem(spec)
		}, s.check)
	}
	t.Run("Fused", s.testFusedConv)
	t.Run("BFloat16", s.testBFloat16)
	t.Run("FirstLayer", s.testFirstConv)
	t.Run("Promises", s.testConvPromises)
	t.Run("ForwardOnly", func(t *testing.T) {
		s.each(t, func(place placement) *problem {
			spec := convCases[4].spec()
			spec.Src, spec.Dst, spec.ForwardOnly = place(spec.Src), place(spec.Dst), true
			return convProblem(spec)
		}, s.check)
	})
	t.Run("WithoutBiasGradient", func(t *testing.T) {
		s.each(t, func(place placement) *problem {
			spec := convCases[4].spec()
			spec.Src, spec.Dst = place(spec.Src), place(spec.Dst)
			return convProblem(spec)
		}, s.checkWithoutBiasGradient)
	})
}

// bfloat16Tolerance is the relative L2 distance of a sum of products whose
// factors are rounded to 8 significant bits: each is off by up to 2^-9.
const bfloat16Tolerance = 5e-3

// testBFloat16 compares convolutions that round their operands with ref's.
func (s *suite) testBFloat16(t *testing.T) {
	opts := kernel.EngineOptions{Threads: 2, BFloat16: true}
	e, err := s.backend.NewEngine(opts)
	if errors.Is(err, kernel.ErrUnavailable) {
		t.Skip(err)
	}
	must(t, err)
	must(t, e.Close())
	for _, c := range convCases {
		s.each(t, func(place placement) *problem {
			spec := c.spec()
			spec.Src, spec.Dst = place(spec.Src), place(spec.Dst)
			return convProblem(spec)
		}, func(t *testing.T, p *problem) {
			e := s.engine(t, opts)
			x := p.instantiate(t, e, allocator(t, e))
			s.compare(t, x, opts)
			s.checkRepeats(t, x, opts)
			s.checkMemory(t, x, opts)
		})
	}
}

// testFirstConv reads plain images and writes the layout of the layers that
// follow, with and without a gradient of the images.
func (s *suite) testFirstConv(t *testing.T) {
	for _, noGradient := range []bool{false, true} {
		t.Run(fmt.Sprintf("NoDataGradient=%v", noGradient), func(t *testing.T) {
			for _, c := range convCases {
				if c.in > 3 {
					continue
				}
				s.each(t, func(place placement) *problem {
					spec := c.spec()
					spec.Dst, spec.NoDataGradient = place(spec.Dst), noGradient
					return convProblem(spec)
				}, s.check)
			}
		})
	}
}

// testConvPromises calls the methods that a spec promised not to call: an error
// each.
func (s *suite) testConvPromises(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	spec := convCases[4].spec()
	shape := spec.WeightShape()
	src, dst := kernel.NewTensor(spec.Src), kernel.NewTensor(spec.Dst)
	weights, bias := make([]float32, shape[0]*shape[1]*shape[2]*shape[3]), make([]float32, spec.Dst.C)
	plan := func() kernel.Conv {
		k, err := e.Conv(spec)
		must(t, err)
		return k
	}
	spec.NoDataGradient = true
	k := plan()
	must(t, k.BackwardWeights(weights, bias, src, dst))
	mustFail(t, "BackwardData with NoDataGradient", kernel.ErrArgument, func() error { return k.BackwardData(src, dst, weights) })
	spec.NoDataGradient, spec.ForwardOnly = false, true
	k = plan()
	mustFail(t, "BackwardData with ForwardOnly", kernel.ErrArgument, func() error { return k.BackwardData(src, dst, weights) })
	mustFail(t, "BackwardWeights with ForwardOnly", kernel.ErrArgument, func() error { return k.BackwardWeights(weights, bias, src, dst) })
}
