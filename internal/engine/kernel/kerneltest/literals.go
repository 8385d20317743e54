package kerneltest

import (
	"math"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// testLiterals compares with numbers worked out by hand.
func (s *suite) testLiterals(t *testing.T) {
	t.Run("Conv", s.literalConv)
	t.Run("BatchNorm", s.literalBatchNorm)
	t.Run("Pool", s.literalPool)
	t.Run("Dense", s.literalDense)
	t.Run("Multiply", s.literalMultiply)
	t.Run("Subsample", s.literalSubsample)
	t.Run("Concat", s.literalConcat)
}

func image(c, h, w int, v ...float32) kernel.Tensor {
	return kernel.Tensor{Desc: kernel.Desc{N: 1, C: c, H: h, W: w}, Data: v}
}

// near compares with an absolute tolerance: the numbers are of the order of 1.
func near(t *testing.T, what string, got []float32, want ...float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s is %v, want %v", what, got, want)
		return
	}
	for i := range want {
		if !(math.Abs(float64(got[i]-want[i])) <= 1e-4) {
			t.Errorf("%s is %v, want %v", what, got, want)
			return
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// literalConv runs a kernel that is not symmetric, so that a convolution in the
// mathematician's sense (with the kernel turned) shows.
func (s *suite) literalConv(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	src := image(1, 3, 3,
		1, 2, 3,
		4, 5, 6,
		7, 8, 9)
	weights := []float32{
		1, 0, 0,
		0, 10, 0,
		0, 0, 100}
	k, err := e.Conv(kernel.ConvSpec{Src: src.Desc, Dst: src.Desc, KernelH: 3, KernelW: 3, StrideH: 1, StrideW: 1, Pad: same(1), Bias: true})
	must(t, err)
	dst := kernel.NewTensor(src.Desc)
	must(t, k.Forward(dst, src, weights, []float32{0.5}))
	near(t, "convolution", dst.Data,
		510.5, 620.5, 30.5,
		840.5, 951.5, 62.5,
		70.5, 84.5, 95.5)
	// A gradient of 1 at the centre alone.
	dDst := image(1, 3, 3, 0, 0, 0, 0, 1, 0, 0, 0, 0)
	dSrc, dWeights, dBias := kernel.NewTensor(src.Desc), make([]float32, 9), make([]float32, 1)
	must(t, k.BackwardData(dSrc, dDst, weights))
	near(t, "data gradient", dSrc.Data, weights...)
	must(t, k.BackwardWeights(dWeights, dBias, src, dDst))
	near(t, "weight gradient", dWeights, src.Data...)
	near(t, "bias gradient", dBias, 1)
}

// literalBatchNorm normalises 1, 2, 3, 6: mean 3, variance 3.5, unbiased 14/3.
func (s *suite) literalBatchNorm(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	src := image(1, 2, 2, 1, 2, 3, 6)
	k, err := e.BatchNorm(kernel.BatchNormSpec{Src: src.Desc, Epsilon: 0.5, Momentum: 0.25})
	must(t, err)
	dst := kernel.NewTensor(src.Desc)
	gamma, beta := []float32{2}, []float32{1}
	must(t, k.Forward(dst, src, gamma, beta))
	near(t, "batch norm", dst.Data, -1, 0, 1, 4)
	mean, variance := []float32{1}, []float32{2}
	k.UpdateRunning(mean, variance)
	near(t, "running mean", mean, 1.5)
	near(t, "running variance", variance, 2*0.75+14.0/3/4)
	// xh = -1, -.5, 0, 1.5; g = 1, 0, 0, 0; so dx = (1 - 1/4 - xh * -1/4) etc.
	dDst := image(1, 2, 2, 1, 0, 0, 0)
	dSrc, dGamma, dBeta := kernel.NewTensor(src.Desc), make([]float32, 1), make([]float32, 1)
	must(t, k.Backward(dSrc, dGamma, dBeta, dDst, src, dst, gamma, beta))
	near(t, "gamma gradient", dGamma, -1)
	near(t, "beta gradient", dBeta, 1)
	near(t, "data gradient", dSrc.Data, 0.5, -0.375, -0.25, 0.125)
	must(t, k.Infer(dst, src, gamma, beta, []float32{2}, []float32{3.5}))
	near(t, "inference", dst.Data, 0, 1, 2, 5)
}

// literalPool has windows 2x2 at stride 2 over a 3x3 image that is padded above
// and on the left; all values are negative, so padding would win a maximum.
func (s *suite) literalPool(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	src := image(1, 3, 3,
		-9, -8, -7,
		-6, -5, -4,
		-3, -2, -1)
	spec := kernel.PoolSpec{
		Src: src.Desc, Dst: kernel.Desc{N: 1, C: 1, H: 2, W: 2},
		KernelH: 2, KernelW: 2, StrideH: 2, StrideW: 2, Pad: kernel.Pad{Top: 1, Left: 1},
	}
	dDst := image(1, 2, 2, 4, 8, 16, 32)
	run := func(what string, want, gradient []float32) {
		k, err := e.Pool(spec)
		must(t, err)
		dst, dSrc := kernel.NewTensor(spec.Dst), kernel.NewTensor(spec.Src)
		must(t, k.Forward(dst, src))
		near(t, what, dst.Data, want...)
		must(t, k.Backward(dSrc, dDst))
		near(t, what+" gradient", dSrc.Data, gradient...)
	}
	run("average", []float32{-9, -7.5, -4.5, -3},
		[]float32{4, 4, 4, 8, 8, 8, 8, 8, 8})
	spec.CountPad = true
	run("average with padding", []float32{-2.25, -3.75, -2.25, -3},
		[]float32{1, 2, 2, 4, 8, 8, 4, 8, 8})
	spec.CountPad, spec.Max = false, true
	run("maximum", []float32{-9, -7, -3, -1},
		[]float32{4, 0, 8, 0, 0, 0, 16, 0, 32})
}

func (s *suite) literalDense(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	k, err := e.Dense(kernel.DenseSpec{Batch: 2, In: 3, Out: 2, Bias: true})
	must(t, err)
	src := kernel.Tensor{Desc: kernel.Matrix(2, 3), Data: []float32{1, 2, 3, 4, 5, 6}}
	weights := []float32{1, 0, -1, 2, 1, 0}
	dst, dSrc := kernel.NewTensor(kernel.Matrix(2, 2)), kernel.NewTensor(src.Desc)
	must(t, k.Forward(dst, src, weights, []float32{0.5, -0.5}))
	near(t, "dense", dst.Data, -1.5, 3.5, -1.5, 12.5)
	dDst := kernel.Tensor{Desc: dst.Desc, Data: []float32{1, 2, 0, -1}}
	must(t, k.BackwardData(dSrc, dDst, weights))
	near(t, "data gradient", dSrc.Data, 5, 2, -1, -2, -1, 0)
	dWeights, dBias := make([]float32, 6), make([]float32, 2)
	must(t, k.BackwardWeights(dWeights, dBias, src, dDst))
	near(t, "weight gradient", dWeights, 1, 2, 3, -2, -1, 0)
	near(t, "bias gradient", dBias, 1, 1)
}

func (s *suite) literalSubsample(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	src := image(1, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9)
	spec := kernel.SubsampleSpec{Src: src.Desc, Dst: kernel.Desc{N: 1, C: 3, H: 2, W: 2}, Stride: 2, Front: 1}
	k, err := e.Subsample(spec)
	must(t, err)
	dst, dSrc := kernel.NewTensor(spec.Dst), kernel.NewTensor(spec.Src)
	must(t, k.Forward(dst, src))
	near(t, "subsample", dst.Data, 0, 0, 0, 0, 1, 3, 7, 9, 0, 0, 0, 0)
	must(t, k.Backward(dSrc, image(3, 2, 2, 9, 9, 9, 9, 1, 2, 3, 4, 9, 9, 9, 9)))
	near(t, "gradient", dSrc.Data, 1, 0, 2, 0, 0, 0, 3, 0, 4)
}

func (s *suite) literalConcat(t *testing.T) {
	e := s.engine(t, kernel.EngineOptions{})
	a := image(1, 1, 2, 1, 2)
	b := image(2, 1, 2, 3, 4, 5, 6)
	k, err := e.Concat(kernel.ConcatSpec{Srcs: []kernel.Desc{a.Desc, b.Desc}, Dst: kernel.Desc{N: 1, C: 3, H: 1, W: 2}})
	must(t, err)
	dst := kernel.NewTensor(kernel.Desc{N: 1, C: 3, H: 1, W: 2})
	must(t, k.Forward(dst, a, b))
	near(t, "concatenation", dst.Data, 1, 2, 3, 4, 5, 6)
	dA, dB := kernel.NewTensor(a.Desc), kernel.NewTensor(b.Desc)
	must(t, k.Backward(0, dA, dst))
	must(t, k.Backward(1, dB, dst))
	near(t, "gradient of the first", dA.Data, 1, 2)
	near(t, "gradient of the second", dB.Data, 3, 4, 5, 6)
}
