package ref

import (
	"errors"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// conv is a direct convolution. Its loops visit, for one plane of the result,
// every (channel, kh, kw) and then whole rows, so that bounds are checked once
// a row.
type conv struct {
	kernel.ConvSpec
	engine *engine
	// Channels of one group.
	groupIn, groupOut int
	// taps are the kernel's positions in the order of the weights.
	taps []tap
	// sums holds, for each worker, one plane of the result.
	sums [][]float64
}

func (e *engine) Conv(spec kernel.ConvSpec) (kernel.Conv, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	spec.Groups = max(1, spec.Groups)
	spec.DilationH = max(1, spec.DilationH)
	spec.DilationW = max(1, spec.DilationW)
	spec.Act = copyClip(spec.Act)
	k := &conv{
		ConvSpec: spec,
		engine:   e,
		groupIn:  spec.Src.C / spec.Groups,
		groupOut: spec.Dst.C / spec.Groups,
		sums:     make([][]float64, e.threads),
	}
	for kh := range spec.KernelH {
		for kw := range spec.KernelW {
			k.taps = append(k.taps, k.tap(kh, kw))
		}
	}
	for t := range k.sums {
		k.sums[t] = make([]float64, max(spec.Src.H*spec.Src.W, spec.Dst.H*spec.Dst.W))
	}
	return k, nil
}

// tap is one position (kh, kw) of the kernel: output (y, x) meets input
// (y*StrideH + dy, x*StrideW + dx) for y in [y0, y1) and x in [x0, x1); outside
// of these it meets padding.
type tap struct {
	dy, y0, y1 int
	dx, x0, x1 int
}

func (k *conv) tap(kh, kw int) tap {
	t := tap{dy: kh*k.DilationH - k.Pad.Top, dx: kw*k.DilationW - k.Pad.Left}
	t.y0, t.y1 = inside(k.Dst.H, k.Src.H, k.StrideH, t.dy)
	t.x0, t.x1 = inside(k.Dst.W, k.Src.W, k.StrideW, t.dx)
	return t
}

// inside returns the range of output positions o for which
// 0 <= o*stride + offset < in.
func inside(out, in, stride, offset int) (lo, hi int) {
	for lo < out && lo*stride+offset < 0 {
		lo++
	}
	hi = out
	for hi > lo && (hi-1)*stride+offset >= in {
		hi--
	}
	return lo, hi
}

// kernelOf returns the weights between output channel o and the i-th input
// channel of its group, one for each tap.
func (k *conv) kernelOf(weights []float32, o, i int) []float32 {
	first := (o*k.groupIn + i) * len(k.taps)
	return weights[first : first+len(k.taps)]
}

func (k *conv) checkWeights(name string, w []float32) error {
	return kernel.CheckSlice(name, w, k.Dst.C*k.groupIn*len(k.taps))
}

func (k *conv) Forward(dst, src kernel.Tensor, weights, bias []float32) error {
	err := errors.Join(
		kernel.CheckTensor("dst", dst, k.Dst),
		kernel.CheckTensor("src", src, k.Src),
		k.checkWeights("weights", weights),
		checkBias(k.Bias, bias, k.Dst.C))
	if err != nil {
		return err
	}
	k.engine.parallel(k.Dst.N*k.Dst.C, func(worker, plane int) {
		k.forwardPlane(dst, src, weights, bias, plane/k.Dst.C, plane%k.Dst.C, k.sums[worker])
	})
	clearPadding(dst)
	return nil
}

// forwardPlane computes channel o of image n.
func (k *conv) forwardPlane(dst, src kernel.Tensor, weights, bias []float32, n, o int, sums []float64) {
	sums = sums[:k.Dst.H*k.Dst.W]
	clear(sums)
	if k.Bias {
		for p := range sums {
			sums[p] = float64(bias[o])
		}
	}
	firstIn := o / k.groupOut * k.groupIn
	for i := range k.groupIn {
		start, step := plane(k.Src, n, firstIn+i)
		weightOf := k.kernelOf(weights, o, i)
		for j, t := range k.taps {
			w := float64(weightOf[j])
			for y := t.y0; y < t.y1; y++ {
				in := start + ((y*k.StrideH+t.dy)*k.Src.W+t.dx)*step
				for x := t.x0; x < t.x1; x++ {
					sums[y*k.Dst.W+x] += w * float64(src.Data[in+x*k.StrideW*step])
				}
			}
		}
	}
	if k.Sum {
		start, step := plane(k.Dst, n, o)
		for p := range sums {
			sums[p] += float64(dst.Data[start+p*step])
		}
	}
	for p, s := range sums {
		sums[p] = float64(clip(k.Act, float32(s)))
	}
	store(dst, n, o, sums)
}

func (k *conv) BackwardData(dSrc, dDst kernel.Tensor, weights []float32) error {
	if k.ForwardOnly || k.NoDataGradient {
		return errForwardOnly
	}
	err := errors.Join(
		kernel.CheckTensor("dSrc", dSrc, k.Src),
		kernel.CheckTensor("dDst", dDst, k.Dst),
		k.checkWeights("weights", weights))
	if err != nil {
		return err
	}
	k.engine.parallel(k.Src.N*k.Src.C, func(worker, plane int) {
		k.backwardPlane(dSrc, dDst, weights, plane/k.Src.C, plane%k.Src.C, k.sums[worker])
	})
	clearPadding(dSrc)
	return nil
}

// backwardPlane computes the gradient of channel c of image n.
func (k *conv) backwardPlane(dSrc, dDst kernel.Tensor, weights []float32, n, c int, sums []float64) {
	sums = sums[:k.Src.H*k.Src.W]
	clear(sums)
	group, i := c/k.groupIn, c%k.groupIn
	for o := group * k.groupOut; o < (group+1)*k.groupOut; o++ {
		start, step := plane(k.Dst, n, o)
		weightOf := k.kernelOf(weights, o, i)
		for j, t := range k.taps {
			w := float64(weightOf[j])
			for y := t.y0; y < t.y1; y++ {
				in := (y*k.StrideH+t.dy)*k.Src.W + t.dx
				for x := t.x0; x < t.x1; x++ {
					sums[in+x*k.StrideW] += w * float64(dDst.Data[start+(y*k.Dst.W+x)*step])
				}
			}
		}
	}
	store(dSrc, n, c, sums)
}

func (k *conv) BackwardWeights(dWeights, dBias []float32, src, dDst kernel.Tensor) error {
	if k.ForwardOnly {
		return errForwardOnly
	}
	err := errors.Join(
		k.checkWeights("dWeights", dWeights),
		kernel.CheckTensor("src", src, k.Src),
		kernel.CheckTensor("dDst", dDst, k.Dst))
	if dBias != nil {
		err = errors.Join(err, checkBias(k.Bias, dBias, k.Dst.C))
	}
	if err != nil {
		return err
	}
	k.engine.parallel(k.Dst.C, func(_, o int) {
		for i := range k.groupIn {
			w := k.kernelOf(dWeights, o, i)
			for j, t := range k.taps {
				w[j] = k.weightGradient(src, dDst, o, i, t)
			}
		}
		if dBias != nil {
			dBias[o] = sumChannel(dDst, o)
		}
	})
	return nil
}

// weightGradient returns the gradient of the weight between output channel o
// and the i-th input channel of its group, at tap t.
func (k *conv) weightGradient(src, dDst kernel.Tensor, o, i int, t tap) float32 {
	sum := 0.0
	for n := range k.Src.N {
		in, inStep := plane(k.Src, n, o/k.groupOut*k.groupIn+i)
		out, outStep := plane(k.Dst, n, o)
		for y := t.y0; y < t.y1; y++ {
			inRow := in + ((y*k.StrideH+t.dy)*k.Src.W+t.dx)*inStep
			outRow := out + y*k.Dst.W*outStep
			for x := t.x0; x < t.x1; x++ {
				sum += float64(src.Data[inRow+x*k.StrideW*inStep]) * float64(dDst.Data[outRow+x*outStep])
			}
		}
	}
	return float32(sum)
}

// store rounds sums into channel c of image n.
func store(t kernel.Tensor, n, c int, sums []float64) {
	start, step := plane(t.Desc, n, c)
	for p, s := range sums {
		t.Data[start+p*step] = float32(s)
	}
}

// sumChannel returns the sum of channel c over all images.
func sumChannel(t kernel.Tensor, c int) float32 {
	sum := 0.0
	for n := range t.N {
		start, step := plane(t.Desc, n, c)
		for p := range t.H * t.W {
			sum += float64(t.Data[start+p*step])
		}
	}
	return float32(sum)
}

// checkBias checks a bias or its gradient: n values, or none where the spec
// has no bias.
func checkBias(has bool, bias []float32, n int) error {
	if !has {
		n = 0
	}
	return kernel.CheckSlice("bias", bias, n)
}
