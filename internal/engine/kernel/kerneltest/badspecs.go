package kerneltest

import (
	"fmt"
	"math"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// testBadSpecs plans kernels that cannot be: each must be an error.
func (s *suite) testBadSpecs(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	refuse := func(what string, plan func() error) {
		t.Helper()
		mustFail(t, what, kernel.ErrSpec, plan)
	}
	nan := float32(math.NaN())

	conv := func(what string, change func(*kernel.ConvSpec)) {
		t.Helper()
		spec := kernel.ConvSpec{
			Src: kernel.Desc{N: 2, C: 6, H: 8, W: 8}, Dst: kernel.Desc{N: 2, C: 9, H: 8, W: 8},
			KernelH: 3, KernelW: 3, StrideH: 1, StrideW: 1, Pad: same(1), Groups: 3,
		}
		change(&spec)
		refuse("convolution with "+what, func() error { _, err := e.Conv(spec); return err })
	}
	conv("no fields", func(s *kernel.ConvSpec) { *s = kernel.ConvSpec{} })
	conv("another height", func(s *kernel.ConvSpec) { s.Dst.H = 7 })
	conv("another width", func(s *kernel.ConvSpec) { s.Dst.W = 9 })
	conv("another batch", func(s *kernel.ConvSpec) { s.Dst.N = 1 })
	conv("stride 0", func(s *kernel.ConvSpec) { s.StrideH = 0 })
	conv("a negative stride", func(s *kernel.ConvSpec) { s.StrideW = -1 })
	conv("a negative dilation", func(s *kernel.ConvSpec) { s.DilationH = -1 })
	conv("negative padding", func(s *kernel.ConvSpec) { s.Pad.Left, s.Dst.W = -1, 6 })
	conv("kernel 0", func(s *kernel.ConvSpec) { s.KernelH = 0 })
	conv("a kernel past the input", func(s *kernel.ConvSpec) { s.KernelH, s.Dst.H = 11, 1 })
	conv("groups that do not divide Src.C", func(s *kernel.ConvSpec) { s.Src.C = 7 })
	conv("groups that do not divide Dst.C", func(s *kernel.ConvSpec) { s.Dst.C = 8 })
	conv("negative groups", func(s *kernel.ConvSpec) { s.Groups = -1 })
	conv("an unknown layout", func(s *kernel.ConvSpec) { s.Src.Layout = 9 })
	conv("an activation and gradients", func(s *kernel.ConvSpec) { s.Act = kernel.ReLU() })
	conv("a sum and gradients", func(s *kernel.ConvSpec) { s.Sum = true })
	conv("bounds in the wrong order", func(s *kernel.ConvSpec) { s.ForwardOnly, s.Act = true, &kernel.Clip{Lo: 1, Hi: -1} })
	conv("a size beyond all memory", func(s *kernel.ConvSpec) { s.Src.N, s.Dst.N = math.MaxInt, math.MaxInt })

	norm := func(what string, change func(*kernel.BatchNormSpec)) {
		t.Helper()
		spec := kernel.BatchNormSpec{Src: kernel.Desc{N: 2, C: 3, H: 4, W: 4}, Epsilon: 1e-5, Momentum: 0.1}
		change(&spec)
		refuse("batch norm with "+what, func() error { _, err := e.BatchNorm(spec); return err })
	}
	norm("no fields", func(s *kernel.BatchNormSpec) { *s = kernel.BatchNormSpec{} })
	norm("one value a channel", func(s *kernel.BatchNormSpec) { s.Src = kernel.Matrix(1, 3) })
	norm("epsilon 0", func(s *kernel.BatchNormSpec) { s.Epsilon = 0 })
	norm("epsilon NaN", func(s *kernel.BatchNormSpec) { s.Epsilon = nan })
	norm("momentum 1.5", func(s *kernel.BatchNormSpec) { s.Momentum = 1.5 })
	norm("bounds in the wrong order", func(s *kernel.BatchNormSpec) { s.Act = &kernel.Clip{Lo: 1, Hi: -1} })
	norm("bounds that exclude zero", func(s *kernel.BatchNormSpec) { s.Act = &kernel.Clip{Lo: 1, Hi: 2} })

	pool := func(what string, change func(*kernel.PoolSpec)) {
		t.Helper()
		spec := kernel.PoolSpec{
			Src: kernel.Desc{N: 2, C: 3, H: 8, W: 8}, Dst: kernel.Desc{N: 2, C: 3, H: 4, W: 4}, Max: true,
			KernelH: 2, KernelW: 2, StrideH: 2, StrideW: 2,
		}
		change(&spec)
		refuse("pooling with "+what, func() error { _, err := e.Pool(spec); return err })
	}
	pool("no fields", func(s *kernel.PoolSpec) { *s = kernel.PoolSpec{} })
	pool("stride 0", func(s *kernel.PoolSpec) { s.StrideH = 0 })
	pool("another height", func(s *kernel.PoolSpec) { s.Dst.H = 5 })
	pool("other channels", func(s *kernel.PoolSpec) { s.Dst.C = 4 })
	pool("windows of padding alone", func(s *kernel.PoolSpec) { s.Pad.Top, s.Dst.H = 2, 5 })

	dense := func(what string, spec kernel.DenseSpec) {
		t.Helper()
		refuse("dense with "+what, func() error { _, err := e.Dense(spec); return err })
	}
	dense("no fields", kernel.DenseSpec{})
	dense("a negative width", kernel.DenseSpec{Batch: 1, In: -3, Out: 2})

	subsample := func(what string, change func(*kernel.SubsampleSpec)) {
		t.Helper()
		spec := kernel.SubsampleSpec{
			Src: kernel.Desc{N: 2, C: 8, H: 8, W: 8}, Dst: kernel.Desc{N: 2, C: 16, H: 4, W: 4}, Stride: 2, Front: 4,
		}
		change(&spec)
		refuse("subsample with "+what, func() error { _, err := e.Subsample(spec); return err })
	}
	subsample("no fields", func(s *kernel.SubsampleSpec) { *s = kernel.SubsampleSpec{} })
	subsample("stride 0", func(s *kernel.SubsampleSpec) { s.Stride = 0 })
	subsample("another height", func(s *kernel.SubsampleSpec) { s.Dst.H = 8 })
	subsample("too few channels", func(s *kernel.SubsampleSpec) { s.Front = 9 })
	subsample("a negative front", func(s *kernel.SubsampleSpec) { s.Front = -1 })

	concat := func(what string, change func(*kernel.ConcatSpec)) {
		t.Helper()
		piece := kernel.Desc{N: 2, C: 3, H: 4, W: 4}
		spec := kernel.ConcatSpec{Srcs: []kernel.Desc{piece, piece}, Dst: kernel.Desc{N: 2, C: 6, H: 4, W: 4}}
		change(&spec)
		refuse("concatenation with "+what, func() error { _, err := e.Concat(spec); return err })
	}
	concat("no fields", func(s *kernel.ConcatSpec) { *s = kernel.ConcatSpec{} })
	concat("one source", func(s *kernel.ConcatSpec) { s.Srcs, s.Dst.C = s.Srcs[:1], 3 })
	concat("other channels", func(s *kernel.ConcatSpec) { s.Dst.C = 7 })
	concat("another height", func(s *kernel.ConcatSpec) { s.Srcs[1].H = 5 })
	concat("another batch", func(s *kernel.ConcatSpec) { s.Srcs[0].N = 1 })
	concat("an empty source", func(s *kernel.ConcatSpec) { s.Srcs[0].C, s.Dst.C = 0, 3 })

	d := kernel.Desc{N: 2, C: 3, H: 4, W: 4}
	refuse("global average pooling of nothing", func() error { _, err := e.GlobalAvgPool(kernel.Desc{}); return err })
	refuse("addition of nothing", func() error { _, err := e.Add(kernel.AddSpec{}); return err })
	refuse("activation of nothing", func() error { _, err := e.Activation(kernel.ActivationSpec{Act: *kernel.ReLU()}); return err })
	refuse("activation without bounds", func() error { _, err := e.Activation(kernel.ActivationSpec{Desc: d}); return err })
	refuse("activation with NaN", func() error {
		_, err := e.Activation(kernel.ActivationSpec{Desc: d, Act: kernel.Clip{Lo: 0, Hi: nan}})
		return err
	})
	refuse("sigmoid of nothing", func() error { _, err := e.Sigmoid(kernel.SigmoidSpec{}); return err })
	refuse("multiplication of nothing", func() error { _, err := e.Multiply(kernel.MultiplySpec{Gate: true}); return err })
	for _, rate := range []float32{0, 1, -0.5, 1.5, nan} {
		refuse(fmt.Sprintf("dropout at rate %g", rate), func() error {
			_, err := e.Dropout(kernel.DropoutSpec{Desc: d, Rate: rate})
			return err
		})
	}
	refuse("dropout of nothing", func() error { _, err := e.Dropout(kernel.DropoutSpec{Rate: 0.5}); return err })
	refuse("softmax of nothing", func() error { _, err := e.Softmax(kernel.SoftmaxSpec{Rows: 3}); return err })
	refuse("softmax of a negative number of rows", func() error { _, err := e.Softmax(kernel.SoftmaxSpec{Rows: -1, Cols: 2}); return err })
	refuse("reorder to another shape", func() error { _, err := e.Reorder(kernel.Desc{N: 2, C: 3, H: 4, W: 5}, d); return err })
	refuse("reorder to another matrix", func() error { _, err := e.Reorder(kernel.Matrix(2, 47), d); return err })
	refuse("reorder of NHWC to a matrix", func() error { _, err := e.Reorder(kernel.Matrix(2, 48), d.As(kernel.NHWC)); return err })
}
