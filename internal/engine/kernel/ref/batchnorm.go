package ref

import (
	"errors"
	"fmt"
	"math"

	"github.com/deepmutual/dml/internal/engine/kernel"
)

// batchNorm follows Ioffe and Szegedy, ICML 2015.
type batchNorm struct {
	kernel.BatchNormSpec
	// mean and variance (biased) are those of the last Forward's batch.
	mean, variance []float64
	ran            bool
}

func (*engine) BatchNorm(spec kernel.BatchNormSpec) (kernel.BatchNorm, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	spec.Act = copyClip(spec.Act)
	return &batchNorm{
		BatchNormSpec: spec,
		mean:          make([]float64, spec.Src.C),
		variance:      make([]float64, spec.Src.C),
	}, nil
}

// count is the number of values of a channel.
func (k *batchNorm) count() int { return k.Src.N * k.Src.H * k.Src.W }

func (k *batchNorm) check(dst, src kernel.Tensor, gamma, beta []float32) error {
	return errors.Join(
		kernel.CheckTensor("dst", dst, k.Src),
		kernel.CheckTensor("src", src, k.Src),
		kernel.CheckSlice("gamma", gamma, k.Src.C),
		kernel.CheckSlice("beta", beta, k.Src.C))
}

func (k *batchNorm) Forward(dst, src kernel.Tensor, gamma, beta []float32) error {
	if k.ForwardOnly {
		return errForwardOnly
	}
	if err := k.check(dst, src, gamma, beta); err != nil {
		return err
	}
	for c := range k.Src.C {
		k.mean[c], k.variance[c] = k.statistics(src, c)
		k.normalise(dst, src, c, k.mean[c], k.variance[c], gamma[c], beta[c])
	}
	clearPadding(dst)
	k.ran = true
	return nil
}

func (k *batchNorm) Infer(dst, src kernel.Tensor, gamma, beta, mean, variance []float32) error {
	err := errors.Join(
		k.check(dst, src, gamma, beta),
		kernel.CheckSlice("mean", mean, k.Src.C),
		kernel.CheckSlice("variance", variance, k.Src.C))
	if err != nil {
		return err
	}
	for c := range k.Src.C {
		k.normalise(dst, src, c, float64(mean[c]), float64(variance[c]), gamma[c], beta[c])
	}
	clearPadding(dst)
	return nil
}

// statistics returns the mean and biased variance of channel c, in two passes.
func (k *batchNorm) statistics(src kernel.Tensor, c int) (mean, variance float64) {
	count := float64(k.count())
	for n := range src.N {
		start, step := plane(src.Desc, n, c)
		for p := range src.H * src.W {
			mean += float64(src.Data[start+p*step])
		}
	}
	mean /= count
	for n := range src.N {
		start, step := plane(src.Desc, n, c)
		for p := range src.H * src.W {
			d := float64(src.Data[start+p*step]) - mean
			variance += d * d
		}
	}
	return mean, variance / count
}

func (k *batchNorm) normalise(dst, src kernel.Tensor, c int, mean, variance float64, gamma, beta float32) {
	scale := float64(gamma) / math.Sqrt(variance+float64(k.Epsilon))
	for n := range src.N {
		start, step := plane(src.Desc, n, c)
		for p := range src.H * src.W {
			i := start + p*step
			dst.Data[i] = clip(k.Act, float32(scale*(float64(src.Data[i])-mean)+float64(beta)))
		}
	}
}

// UpdateRunning does nothing before the first Forward.
func (k *batchNorm) UpdateRunning(mean, variance []float32) {
	if !k.ran {
		return
	}
	count, m := float64(k.count()), float64(k.Momentum)
	for c := range k.Src.C {
		unbiased := k.variance[c] * count / (count - 1)
		mean[c] = float32((1-m)*float64(mean[c]) + m*k.mean[c])
		variance[c] = float32((1-m)*float64(variance[c]) + m*unbiased)
	}
}

// Backward is, with xh = (x - mean) / sqrt(var + eps), g the gradient of y
// before the activation and m the number of values of the channel:
//
//	dBeta = sum g    dGamma = sum g xh
//	dx = gamma / sqrt(var + eps) (g - dBeta/m - xh dGamma/m)
func (k *batchNorm) Backward(dSrc kernel.Tensor, dGamma, dBeta []float32, dDst, src, dst kernel.Tensor, gamma, beta []float32) error {
	if !k.ran {
		return fmt.Errorf("ref: %w: Backward of a batch norm before its Forward", kernel.ErrArgument)
	}
	err := errors.Join(
		kernel.CheckTensor("dSrc", dSrc, k.Src),
		kernel.CheckSlice("dGamma", dGamma, k.Src.C),
		kernel.CheckSlice("dBeta", dBeta, k.Src.C),
		kernel.CheckTensor("dDst", dDst, k.Src),
		kernel.CheckTensor("src", src, k.Src),
		kernel.CheckSlice("gamma", gamma, k.Src.C),
		kernel.CheckSlice("beta", beta, k.Src.C))
	if k.Act != nil {
		err = errors.Join(err, kernel.CheckTensor("dst", dst, k.Src))
	}
	if err != nil {
		return err
	}
	for c := range k.Src.C {
		dGamma[c], dBeta[c] = k.backwardChannel(dSrc, dDst, src, dst, c, gamma[c])
	}
	clearPadding(dSrc)
	return nil
}

func (k *batchNorm) backwardChannel(dSrc, dDst, src, dst kernel.Tensor, c int, gamma float32) (dGamma, dBeta float32) {
	inverse := 1 / math.Sqrt(k.variance[c]+float64(k.Epsilon))
	// at returns the normalised input and the gradient that reaches it.
	at := func(i int) (xh, g float64) {
		xh = (float64(src.Data[i]) - k.mean[c]) * inverse
		if k.Act == nil || passes(k.Act, dst.Data[i]) {
			g = float64(dDst.Data[i])
		}
		return xh, g
	}
	var sumG, sumGX float64
	for n := range src.N {
		start, step := plane(src.Desc, n, c)
		for p := range src.H * src.W {
			xh, g := at(start + p*step)
			sumG += g
			sumGX += g * xh
		}
	}
	m := float64(k.count())
	for n := range src.N {
		start, step := plane(src.Desc, n, c)
		for p := range src.H * src.W {
			i := start + p*step
			xh, g := at(i)
			dSrc.Data[i] = float32(float64(gamma) * inverse * (g - sumG/m - xh*sumGX/m))
		}
	}
	return float32(sumGX), float32(sumG)
}
