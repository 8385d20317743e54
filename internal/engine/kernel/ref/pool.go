package ref

import (
	"errors"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

type pool struct {
	kernel.PoolSpec
	// winners holds, for each value of Dst (in Dst's order), the pixel
	// h*W + w of its maximum in the last Forward.
	winners []int
	ran     bool
	// sums is one plane of the gradient.
	sums []float64
}

func (*engine) Pool(spec kernel.PoolSpec) (kernel.Pool, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	k := &pool{PoolSpec: spec, sums: make([]float64, spec.Src.H*spec.Src.W)}
	if spec.Max && !spec.ForwardOnly {
		k.winners = make([]int, spec.Dst.Size())
	}
	return k, nil
}

// window is the part of one pooling window that lies inside the input.
type window struct{ y0, y1, x0, x1 int }

func (k *pool) window(y, x int) window {
	top, left := y*k.StrideH-k.Pad.Top, x*k.StrideW-k.Pad.Left
	return window{
		y0: max(0, top), y1: min(k.Src.H, top+k.KernelH),
		x0: max(0, left), x1: min(k.Src.W, left+k.KernelW),
	}
}

// divisor is what an average divides the sum of window w by.
func (k *pool) divisor(w window) float64 {
	if k.CountPad {
		return float64(k.KernelH * k.KernelW)
	}
	return float64((w.y1 - w.y0) * (w.x1 - w.x0))
}

func (k *pool) Forward(dst, src kernel.Tensor) error {
	if err := errors.Join(kernel.CheckTensor("dst", dst, k.Dst), kernel.CheckTensor("src", src, k.Src)); err != nil {
		return err
	}
	for n := range k.Dst.N {
		for c := range k.Dst.C {
			start, step := plane(k.Src, n, c)
			for y := range k.Dst.H {
				for x := range k.Dst.W {
					i, w := k.Dst.Index(n, c, y, x), k.window(y, x)
					if !k.Max {
						dst.Data[i] = float32(k.sum(src.Data, start, step, w) / k.divisor(w))
						continue
					}
					winner := k.argmax(src.Data, start, step, w)
					dst.Data[i] = src.Data[start+winner*step]
					if k.winners != nil {
						k.winners[i] = winner
					}
				}
			}
		}
	}
	clearPadding(dst)
	k.ran = true
	return nil
}

func (k *pool) sum(data []float32, start, step int, w window) float64 {
	sum := 0.0
	for y := w.y0; y < w.y1; y++ {
		for x := w.x0; x < w.x1; x++ {
			sum += float64(data[start+(y*k.Src.W+x)*step])
		}
	}
	return sum
}

// argmax returns the pixel of the first maximum; a NaN wins nothing but stays
// if it comes first.
func (k *pool) argmax(data []float32, start, step int, w window) int {
	best := w.y0*k.Src.W + w.x0
	for y := w.y0; y < w.y1; y++ {
		for x := w.x0; x < w.x1; x++ {
			if p := y*k.Src.W + x; data[start+p*step] > data[start+best*step] {
				best = p
			}
		}
	}
	return best
}

func (k *pool) Backward(dSrc, dDst kernel.Tensor) error {
	if k.ForwardOnly {
		return errForwardOnly
	}
	if k.Max && !k.ran {
		return errors.New("ref: Backward of a max pooling before its Forward")
	}
	if err := errors.Join(kernel.CheckTensor("dSrc", dSrc, k.Src), kernel.CheckTensor("dDst", dDst, k.Dst)); err != nil {
		return err
	}
	for n := range k.Dst.N {
		for c := range k.Dst.C {
			clear(k.sums)
			for y := range k.Dst.H {
				for x := range k.Dst.W {
					i := k.Dst.Index(n, c, y, x)
					if k.Max {
						k.sums[k.winners[i]] += float64(dDst.Data[i])
					} else {
						w := k.window(y, x)
						k.spread(w, float64(dDst.Data[i])/k.divisor(w))
					}
				}
			}
			store(dSrc, n, c, k.sums)
		}
	}
	clearPadding(dSrc)
	return nil
}

// spread adds g to every pixel of window w.
func (k *pool) spread(w window, g float64) {
	for y := w.y0; y < w.y1; y++ {
		for x := w.x0; x < w.x1; x++ {
			k.sums[y*k.Src.W+x] += g
		}
	}
}
