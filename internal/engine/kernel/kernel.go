package kernel

import (
	"errors"
	"math"
)

// ErrUnavailable is wrapped by a backend that cannot run on this machine, for
// example because its library is not installed.
var ErrUnavailable = errors.New("kernel backend unavailable")

// ErrMemory is wrapped when the system has no memory for what was asked.
var ErrMemory = errors.New("out of memory")

// Backend is an implementation of the kernels.
type Backend interface {
	// Info describes what was found: library, version, instruction set.
	Info() Info
	// NewEngine makes the engine of one student.
	NewEngine(opts EngineOptions) (Engine, error)
}

// Info describes a backend to people and to checkpoints.
type Info struct {
	Name    string // "ref" or "onednn"
	Version string // library version, empty for ref
	Library string // path or soname of the loaded library, empty for ref
	ISA     string // instruction set the library uses, e.g. "avx512_core"
}

// EngineOptions configures an engine; the zero value is usable.
type EngineOptions struct {
	// Threads is the number of threads of every kernel; 0 means 1.
	Threads int
	// NoWinograd keeps convolutions to direct algorithms.
	NoWinograd bool
	// BFloat16 rounds what the convolutions of training multiply to bfloat16, 8
	// significant bits, where that makes them faster; sums, results and all else
	// stay float32. NewEngine refuses it with ErrUnavailable where the processor
	// has no such instructions.
	BFloat16 bool
}

// Engine plans kernels for one student. An engine and its kernels are used by
// one goroutine at a time, locked to its OS thread (thread pools of native
// libraries belong to OS threads). Planning methods report a spec that cannot
// be computed as an error that wraps ErrSpec; they never panic on it. Running a
// kernel on a tensor of another Desc, a slice of another length, or in a
// direction that its spec promised away is an error that wraps ErrArgument. Activations may be in any
// layout of the spec's Descs; weights are plain [out, in/groups, kh, kw],
// biases and per-channel vectors plain [C], all in caller-owned slices.
type Engine interface {
	// Layout returns the layout this engine computes fastest in for
	// activations of c channels in h x w.
	Layout(c, h, w int) Layout
	// Alloc returns n zeroed values, 64-byte aligned, valid until Close.
	// The error wraps ErrMemory.
	Alloc(n int) ([]float32, error)

	Conv(ConvSpec) (Conv, error)
	BatchNorm(BatchNormSpec) (BatchNorm, error)
	Pool(PoolSpec) (Pool, error)
	GlobalAvgPool(src Desc) (GlobalAvgPool, error)
	Dense(DenseSpec) (Dense, error)
	Add(AddSpec) (Add, error)
	Activation(ActivationSpec) (Activation, error)
	Sigmoid(SigmoidSpec) (Sigmoid, error)
	Multiply(MultiplySpec) (Multiply, error)
	Subsample(SubsampleSpec) (Subsample, error)
	Concat(ConcatSpec) (Concat, error)
	Dropout(DropoutSpec) (Dropout, error)
	Softmax(SoftmaxSpec) (Softmax, error)
	Reorder(dst, src Desc) (Reorder, error)

	// Close frees the kernels and memory of the engine. No kernel or slice
	// of it may be used afterwards. It is safe to call twice.
	Close() error
}

// Pad is spatial zero padding; it may be asymmetric.
type Pad struct{ Top, Left, Bottom, Right int }

// Clip is an activation that limits values to [Lo, Hi]: ReLU is
// {0, +Inf}, ReLU6 {0, 6}. Zero lies within the bounds and Lo < Hi, so that
// channel padding stays zero. A kernel takes it as a pointer; nil means none.
// The gradient passes where Lo < y < Hi.
type Clip struct{ Lo, Hi float32 }

// ReLU returns the bounds of max(0, x).
func ReLU() *Clip { return &Clip{0, float32(math.Inf(1))} }

// ConvSpec is a 2-D cross-correlation:
//
//	dst[n,o,y,x] = bias[o] + sum src[n,i, y*SH - Top + kh*DH, x*SW - Left + kw*DW] * w[o,i,kh,kw]
//
// With Sum what dst held is added, and then Act limits the result. The extents of Dst follow from Src, kernel, stride, dilation and padding.
type ConvSpec struct {
	Src, Dst         Desc
	KernelH, KernelW int
	StrideH, StrideW int
	DilationH        int // 0 and 1 both mean dense
	DilationW        int
	Pad              Pad
	Groups           int // 0 means 1; depthwise when equal to Src.C
	Bias             bool
	// Sum adds the result to the values of dst. It needs ForwardOnly.
	Sum bool
	// Act is applied last; nil means none. It needs ForwardOnly.
	Act *Clip
	// ForwardOnly promises that the backward methods are never called.
	ForwardOnly bool
	// NoDataGradient promises that BackwardData is never called.
	NoDataGradient bool
}

// WeightShape returns [out, in/groups, kh, kw].
func (s ConvSpec) WeightShape() [4]int {
	return [4]int{s.Dst.C, s.Src.C / max(1, s.Groups), s.KernelH, s.KernelW}
}

// Conv is a planned convolution. bias is nil when the spec has none.
type Conv interface {
	// Forward computes dst, which shares no memory with src.
	Forward(dst, src Tensor, weights, bias []float32) error
	// BackwardData sets dSrc from dDst.
	BackwardData(dSrc, dDst Tensor, weights []float32) error
	// BackwardWeights sets dWeights, and dBias unless it is nil.
	BackwardWeights(dWeights, dBias []float32, src, dDst Tensor) error
}

// BatchNormSpec normalises each channel over N, H and W:
//
//	y = clip(gamma (x - mean) / sqrt(var + Epsilon) + beta)
//
// Src and Dst have the same Desc, and training needs two values a channel.
type BatchNormSpec struct {
	Src     Desc
	Epsilon float32 // positive
	// Momentum, in [0, 1], is the weight of the batch in the running statistics:
	// running = (1-Momentum) running + Momentum batch, with the unbiased
	// variance (as in PyTorch).
	Momentum float32
	Act      *Clip
	// ForwardOnly promises that only Infer is called.
	ForwardOnly bool
}

// BatchNorm is a planned batch normalisation. The batch statistics of the
// last Forward are kept inside, for Backward.
type BatchNorm interface {
	// Forward normalises with the statistics of the batch.
	Forward(dst, src Tensor, gamma, beta []float32) error
	// UpdateRunning advances running statistics by the last Forward's.
	UpdateRunning(mean, variance []float32)
	// Infer normalises with given statistics.
	Infer(dst, src Tensor, gamma, beta, mean, variance []float32) error
	// Backward sets dSrc, dGamma and dBeta; src and dst are those of the
	// last Forward (dst is read only if the spec has an activation).
	Backward(dSrc Tensor, dGamma, dBeta []float32, dDst, src, dst Tensor, gamma, beta []float32) error
}

// PoolSpec is max or average pooling. Padding, on each side smaller than the
// window, never wins a maximum. The average divides by the values inside the input, or by the whole window with
// CountPad.
type PoolSpec struct {
	Src, Dst         Desc
	Max              bool
	CountPad         bool
	KernelH, KernelW int
	StrideH, StrideW int
	Pad              Pad
	ForwardOnly      bool
}

// Pool is a planned pooling; a max pooling remembers the winners of the last
// Forward.
type Pool interface {
	Forward(dst, src Tensor) error
	Backward(dSrc, dDst Tensor) error
}

// GlobalAvgPool averages each channel over H and W into a [N, C] matrix.
type GlobalAvgPool interface {
	Forward(dst, src Tensor) error
	Backward(dSrc, dDst Tensor) error
}

// DenseSpec is a fully connected layer: dst[n,o] = bias[o] + sum_i src[n,i] w[o,i].
type DenseSpec struct {
	Batch, In, Out int
	Bias           bool
}

// Dense is a planned fully connected layer; weights are [out, in].
type Dense interface {
	Forward(dst, src Tensor, weights, bias []float32) error
	BackwardData(dSrc, dDst Tensor, weights []float32) error
	// BackwardWeights sets dWeights, and dBias unless it is nil.
	BackwardWeights(dWeights, dBias []float32, src, dDst Tensor) error
}

// AddSpec is dst = clip(a + b), all of the same Desc.
type AddSpec struct {
	Desc Desc
	Act  *Clip
}

// Add is a planned addition. dst may be one of the inputs.
type Add interface {
	Forward(dst, a, b Tensor) error
	// Backward sets dSrc, the gradient of both inputs; dst is that of the
	// last Forward (read only if the spec has an activation).
	Backward(dSrc, dDst, dst Tensor) error
}

// ActivationSpec is dst = clip(src).
type ActivationSpec struct {
	Desc Desc
	Act  Clip
}

// Activation is a planned activation. Backward reads the output.
type Activation interface {
	Forward(dst, src Tensor) error
	Backward(dSrc, dDst, dst Tensor) error
}

// SigmoidSpec is dst = 1/(1+exp(-src)), or with Hard
//
//	dst = min(max(src/6 + 1/2, 0), 1)
//
// Channel padding stays zero.
type SigmoidSpec struct {
	Desc Desc
	Hard bool
}

// Sigmoid is a planned sigmoid.
type Sigmoid interface {
	Forward(dst, src Tensor) error
	// Backward sets dSrc; dst is that of the last Forward. A hard sigmoid passes
	// the gradient where 0 < dst < 1.
	Backward(dSrc, dDst, dst Tensor) error
}

// MultiplySpec is dst = a * b, all of the same Desc. With Gate, b is the matrix
// [N, C] of a factor for each channel:
//
//	dst[n,c,y,x] = a[n,c,y,x] b[n,c]
type MultiplySpec struct {
	Desc Desc
	Gate bool
}

// Factor returns the Desc of b.
func (s MultiplySpec) Factor() Desc {
	if s.Gate {
		return Matrix(s.Desc.N, s.Desc.C)
	}
	return s.Desc
}

// Multiply is a planned multiplication.
type Multiply interface {
	// Forward computes dst, and the gradient of a from dst's in a's place.
	Forward(dst, a, b Tensor) error
	// BackwardFactor sets dB from dDst and a.
	BackwardFactor(dB, dDst, a Tensor) error
}

// SubsampleSpec takes every Stride-th row and column and moves channel c to
// c + Front; the other channels of Dst are zero. Dst is ceil(H/Stride) by
// ceil(W/Stride). It is the parameter-free "option A" shortcut (He et al., CVPR 2016, section 4.2).
type SubsampleSpec struct {
	Src, Dst Desc
	Stride   int
	Front    int
}

// Subsample is a planned shortcut.
type Subsample interface {
	Forward(dst, src Tensor) error
	Backward(dSrc, dDst Tensor) error
}

// ConcatSpec puts the channels of two or more sources of equal N, H and W one
// after the other; Dst has the sum of their channels. Each may be in a layout
// of its own.
type ConcatSpec struct {
	Srcs []Desc
	Dst  Desc
}

// Concat is a planned concatenation.
type Concat interface {
	Forward(dst Tensor, srcs ...Tensor) error
	// Backward sets dSrc, the gradient of the source of that index.
	Backward(source int, dSrc, dDst Tensor) error
}

// DropoutSpec sets values to zero with probability Rate, between 0 and 1, and
// multiplies the others by 1/(1-Rate), so that means stay (inverted dropout).
type DropoutSpec struct {
	Desc Desc
	Rate float32
}

// Dropout is a planned dropout. What is dropped follows from the key, see
// [MaskBits]: it is the same in every layout and on every backend, bit for bit.
type Dropout interface {
	// Run sets dst from src. With the same key it also sets the gradient of
	// src from that of dst.
	Run(dst, src Tensor, key uint64) error
}

// SoftmaxSpec is the softmax of each row of a matrix [Rows, Cols],
//
//	dst[r,c] = exp(src[r,c]) / sum_i exp(src[r,i])
//
// or with Log its logarithm. Finite values never overflow. A row that holds NaN
// or +Inf becomes NaN.
type SoftmaxSpec struct {
	Rows, Cols int
	Log        bool
}

// Softmax is a planned softmax.
type Softmax interface {
	// Forward computes dst, which may be src.
	Forward(dst, src Tensor) error
	// Backward sets dSrc; dst is that of the last Forward.
	Backward(dSrc, dDst, dst Tensor) error
}

// Reorder copies between layouts, or between a matrix [N, C*H*W] and the NCHW
// activation of the same values.
type Reorder interface {
	Run(dst, src Tensor) error
}
