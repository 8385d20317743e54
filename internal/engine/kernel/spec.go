package kernel

import (
	"errors"
	"fmt"
	"math"
)

// ErrSpec is wrapped by every fault that the Validate functions report.
var ErrSpec = errors.New("kernel: invalid spec")

// Limits that keep the arithmetic on extents from overflowing.
const (
	maxExtent = math.MaxInt32
	maxValues = 1 << 40
)

// faults collects every fault of one spec.
type faults struct {
	what string
	errs []error
}

func (f *faults) addf(format string, args ...any) {
	f.errs = append(f.errs, fmt.Errorf("%w: %s: %s", ErrSpec, f.what, fmt.Sprintf(format, args...)))
}

func (f *faults) err() error { return errors.Join(f.errs...) }

// within reports whether v is in [lo, maxExtent], and notes a fault if not.
func (f *faults) within(name string, v, lo int) bool {
	if v < lo || v > maxExtent {
		f.addf("%s is %d, want %d to %d", name, v, lo, maxExtent)
		return false
	}
	return true
}

// desc reports whether d is a possible shape.
func (f *faults) desc(name string, d Desc) bool {
	ok := f.within(name+".N", d.N, 1)
	ok = f.within(name+".C", d.C, 1) && ok
	ok = f.within(name+".H", d.H, 1) && ok
	ok = f.within(name+".W", d.W, 1) && ok
	if d.Layout > NChw16c {
		f.addf("%s has the unknown layout %v", name, d.Layout)
		ok = false
	}
	if ok && !fits(d.N, d.C+d.Layout.Block(), d.H, d.W) {
		f.addf("%s %v has more than %d values", name, d, maxValues)
		ok = false
	}
	return ok
}

// fits reports whether the product of positive extents is at most maxValues.
func fits(extents ...int) bool {
	n := 1
	for _, e := range extents {
		if e > maxValues/n {
			return false
		}
		n *= e
	}
	return true
}

func (f *faults) clip(c *Clip) {
	if c == nil {
		return
	}
	// NaN fails the comparison too.
	if !(c.Lo <= 0 && c.Hi >= 0 && c.Lo < c.Hi) {
		f.addf("activation bounds are [%g, %g], want lower <= 0 <= upper and lower < upper: "+
			"channel padding is zero and must stay so", c.Lo, c.Hi)
	}
}

// pad reports whether all four sides are possible.
func (f *faults) pad(p Pad) bool {
	ok := f.within("Pad.Top", p.Top, 0)
	ok = f.within("Pad.Left", p.Left, 0) && ok
	ok = f.within("Pad.Bottom", p.Bottom, 0) && ok
	return f.within("Pad.Right", p.Right, 0) && ok
}

// window notes a fault unless dst is the number of positions of a window along
// one axis. All arguments are within their limits.
func (f *faults) window(axis string, dst, src, kernel, dilation, stride, before, after int) {
	reach := (kernel-1)*dilation + 1
	if padded := src + before + after; padded < reach {
		f.addf("the kernel reaches over %d values but the padded Src.%s has %d", reach, axis, padded)
	} else if want := (padded-reach)/stride + 1; dst != want {
		f.addf("Dst.%s is %d, want %d: Src.%s %d, kernel %d, stride %d, dilation %d, padding %d+%d",
			axis, dst, want, axis, src, kernel, stride, dilation, before, after)
	}
}

// Validate reports all faults of the options.
func (o EngineOptions) Validate() error {
	f := faults{what: "engine"}
	f.within("Threads", o.Threads, 0)
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s ConvSpec) Validate() error {
	f := faults{what: "convolution"}
	ok := f.desc("Src", s.Src)
	ok = f.desc("Dst", s.Dst) && ok
	ok = f.within("KernelH", s.KernelH, 1) && ok
	ok = f.within("KernelW", s.KernelW, 1) && ok
	ok = f.within("StrideH", s.StrideH, 1) && ok
	ok = f.within("StrideW", s.StrideW, 1) && ok
	ok = f.within("DilationH", s.DilationH, 0) && ok
	ok = f.within("DilationW", s.DilationW, 0) && ok
	ok = f.within("Groups", s.Groups, 0) && ok
	ok = f.pad(s.Pad) && ok
	if !ok {
		return f.err()
	}
	if (s.Sum || s.Act != nil) && !s.ForwardOnly {
		f.addf("Sum and Act need ForwardOnly: they have no gradient")
	}
	f.clip(s.Act)
	if s.Src.N != s.Dst.N {
		f.addf("Dst.N is %d, Src.N %d", s.Dst.N, s.Src.N)
	}
	g := max(1, s.Groups)
	if s.Src.C%g != 0 {
		f.addf("Groups %d does not divide Src.C %d", g, s.Src.C)
	}
	if s.Dst.C%g != 0 {
		f.addf("Groups %d does not divide Dst.C %d", g, s.Dst.C)
	}
	if w := s.WeightShape(); !fits(w[0], max(1, w[1]), w[2], w[3]) {
		f.addf("weights %v have more than %d values", w, maxValues)
	}
	f.window("H", s.Dst.H, s.Src.H, s.KernelH, max(1, s.DilationH), s.StrideH, s.Pad.Top, s.Pad.Bottom)
	f.window("W", s.Dst.W, s.Src.W, s.KernelW, max(1, s.DilationW), s.StrideW, s.Pad.Left, s.Pad.Right)
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s BatchNormSpec) Validate() error {
	f := faults{what: "batch norm"}
	if f.desc("Src", s.Src) && !s.ForwardOnly && s.Src.N*s.Src.H*s.Src.W < 2 {
		f.addf("Src %v has one value a channel: training needs two for a variance", s.Src)
	}
	if !(s.Epsilon > 0) || math.IsInf(float64(s.Epsilon), 1) {
		f.addf("Epsilon is %g, want a positive number", s.Epsilon)
	}
	if !(s.Momentum >= 0 && s.Momentum <= 1) {
		f.addf("Momentum is %g, want 0 to 1", s.Momentum)
	}
	f.clip(s.Act)
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s PoolSpec) Validate() error {
	f := faults{what: "pooling"}
	ok := f.desc("Src", s.Src)
	ok = f.desc("Dst", s.Dst) && ok
	ok = f.within("KernelH", s.KernelH, 1) && ok
	ok = f.within("KernelW", s.KernelW, 1) && ok
	ok = f.within("StrideH", s.StrideH, 1) && ok
	ok = f.within("StrideW", s.StrideW, 1) && ok
	ok = f.pad(s.Pad) && ok
	if !ok {
		return f.err()
	}
	if s.Src.N != s.Dst.N || s.Src.C != s.Dst.C {
		f.addf("Dst has N, C = %d, %d, Src %d, %d", s.Dst.N, s.Dst.C, s.Src.N, s.Src.C)
	}
	// A narrower padding also means that every window holds an input value.
	if max(s.Pad.Top, s.Pad.Bottom) >= s.KernelH || max(s.Pad.Left, s.Pad.Right) >= s.KernelW {
		f.addf("padding %+v is not smaller than the window %dx%d", s.Pad, s.KernelH, s.KernelW)
	}
	f.window("H", s.Dst.H, s.Src.H, s.KernelH, 1, s.StrideH, s.Pad.Top, s.Pad.Bottom)
	f.window("W", s.Dst.W, s.Src.W, s.KernelW, 1, s.StrideW, s.Pad.Left, s.Pad.Right)
	return f.err()
}

// ValidateGlobalAvgPool reports all faults of the source of a global average
// pooling. An error wraps [ErrSpec].
func ValidateGlobalAvgPool(src Desc) error {
	f := faults{what: "global average pooling"}
	f.desc("Src", src)
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s DenseSpec) Validate() error {
	f := faults{what: "dense"}
	ok := f.within("Batch", s.Batch, 1)
	ok = f.within("In", s.In, 1) && ok
	ok = f.within("Out", s.Out, 1) && ok
	if ok && !(fits(s.Batch, s.In) && fits(s.Batch, s.Out) && fits(s.Out, s.In)) {
		f.addf("%d x %d -> %d has more than %d values", s.Batch, s.In, s.Out, maxValues)
	}
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s AddSpec) Validate() error {
	f := faults{what: "addition"}
	f.desc("Desc", s.Desc)
	f.clip(s.Act)
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s ActivationSpec) Validate() error {
	f := faults{what: "activation"}
	f.desc("Desc", s.Desc)
	f.clip(&s.Act)
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s SigmoidSpec) Validate() error {
	f := faults{what: "sigmoid"}
	f.desc("Desc", s.Desc)
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s MultiplySpec) Validate() error {
	f := faults{what: "multiplication"}
	f.desc("Desc", s.Desc)
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s SubsampleSpec) Validate() error {
	f := faults{what: "subsample"}
	ok := f.desc("Src", s.Src)
	ok = f.desc("Dst", s.Dst) && ok
	ok = f.within("Stride", s.Stride, 1) && ok
	ok = f.within("Front", s.Front, 0) && ok
	if !ok {
		return f.err()
	}
	if s.Src.N != s.Dst.N {
		f.addf("Dst.N is %d, Src.N %d", s.Dst.N, s.Src.N)
	}
	if s.Front+s.Src.C > s.Dst.C {
		f.addf("Front %d and Src.C %d exceed Dst.C %d", s.Front, s.Src.C, s.Dst.C)
	}
	f.window("H", s.Dst.H, s.Src.H, 1, 1, s.Stride, 0, 0)
	f.window("W", s.Dst.W, s.Src.W, 1, 1, s.Stride, 0, 0)
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s ConcatSpec) Validate() error {
	f := faults{what: "concatenation"}
	if len(s.Srcs) < 2 {
		f.addf("%d sources, want at least 2", len(s.Srcs))
	}
	ok := f.desc("Dst", s.Dst)
	for i, src := range s.Srcs {
		ok = f.desc(fmt.Sprintf("Srcs[%d]", i), src) && ok
	}
	if !ok {
		return f.err()
	}
	sum := 0
	for i, src := range s.Srcs {
		sum += src.C
		if src.N != s.Dst.N || src.H != s.Dst.H || src.W != s.Dst.W {
			f.addf("Srcs[%d] has N, H, W = %d, %d, %d, Dst %d, %d, %d", i, src.N, src.H, src.W, s.Dst.N, s.Dst.H, s.Dst.W)
		}
	}
	if sum != s.Dst.C {
		f.addf("Dst.C is %d, the sources have %d channels", s.Dst.C, sum)
	}
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s DropoutSpec) Validate() error {
	f := faults{what: "dropout"}
	const maxSample = 1 << 32 // values that the mask tells apart
	if d := s.Desc; f.desc("Desc", d) && d.C*d.H*d.W > maxSample {
		f.addf("Desc %v has more than %d values a sample", d, maxSample)
	}
	if !(s.Rate > 0 && s.Rate < 1) {
		f.addf("Rate is %g, want more than 0 and less than 1", s.Rate)
	}
	return f.err()
}

// Validate reports all faults of the spec. An error wraps [ErrSpec].
func (s SoftmaxSpec) Validate() error {
	f := faults{what: "softmax"}
	ok := f.within("Rows", s.Rows, 1)
	ok = f.within("Cols", s.Cols, 1) && ok
	if ok && !fits(s.Rows, s.Cols) {
		f.addf("%d x %d has more than %d values", s.Rows, s.Cols, maxValues)
	}
	return f.err()
}

// ValidateReorder reports all faults of a reorder: dst and src have the same
// extents, or one is a matrix [N, C*H*W] and the other NCHW. An error wraps
// [ErrSpec].
func ValidateReorder(dst, src Desc) error {
	f := faults{what: "reorder"}
	ok := f.desc("Src", src)
	ok = f.desc("Dst", dst) && ok
	if ok && dst.As(NCHW) != src.As(NCHW) && !flattens(dst, src) && !flattens(src, dst) {
		f.addf("cannot copy %v to %v: want equal extents, or an NCHW activation and a matrix of its values", src, dst)
	}
	return f.err()
}

// flattens reports whether m is the matrix of the NCHW activation a.
func flattens(m, a Desc) bool {
	return a.Layout == NCHW && m == Matrix(a.N, a.C*a.H*a.W)
}
