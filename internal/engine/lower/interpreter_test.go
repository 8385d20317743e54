package lower_test

import (
	"math"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/models"
)

// feature is a batch of one layer's outputs, [n, C, H, W]; a vector has H = W
// = 1.
type feature struct {
	n, c, h, w int
	v          []float64
}

func newFeature(n int, s models.Shape) feature {
	f := feature{n: n, c: s.C, h: max(1, s.H), w: max(1, s.W)}
	f.v = make([]float64, n*s.Size())
	return f
}

func (f feature) index(n, c, h, w int) int { return ((n*f.c+c)*f.h+h)*f.w + w }

// at returns a value, or outside for positions in the padding.
func (f feature) at(n, c, h, w int, outside float64) float64 {
	if h < 0 || w < 0 || h >= f.h || w >= f.w {
		return outside
	}
	return f.v[f.index(n, c, h, w)]
}

// each sets every value of f.
func (f feature) each(value func(n, c, h, w int) float64) feature {
	for n := range f.n {
		for c := range f.c {
			for h := range f.h {
				for w := range f.w {
					f.v[f.index(n, c, h, w)] = value(n, c, h, w)
				}
			}
		}
	}
	return f
}

// channel returns the mean and the biased variance of a channel.
func (f feature) channel(c int) (mean, variance float64) {
	count := float64(f.n * f.h * f.w)
	for n := range f.n {
		for i := range f.h * f.w {
			mean += f.v[f.index(n, c, 0, i)] / count
		}
	}
	for n := range f.n {
		for i := range f.h * f.w {
			d := f.v[f.index(n, c, 0, i)] - mean
			variance += d * d / count
		}
	}
	return mean, variance
}

// interpret computes every layer of a network in float64, straight from the
// definitions of package models. In training mode batch norms use the
// statistics of the batch, and dropout the masks of seed and step 0.
func interpret(t *testing.T, net *models.Network, weights models.Weights, batch int, input []float32, training bool) map[string]feature {
	t.Helper()
	shapes, err := net.Shapes()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]feature{models.InputName: newFeature(batch, net.Input)}
	for i, v := range input {
		out[models.InputName].v[i] = float64(v)
	}
	for i := range net.Layers {
		l := &net.Layers[i]
		x, y := out[l.Inputs[0]], newFeature(batch, shapes[l.Name])
		param := func(suffix string, i int) float64 {
			v, ok := weights[l.Owner()+"."+suffix]
			if !ok {
				return 0 // a bias that the layer does not have
			}
			return float64(v[i])
		}
		switch l.Kind {
		case models.KindConv:
			a := l.Conv
			top, left := paddingBefore(a.Padding, a.Pad, x, y, a.Kernel, a.Stride, a.Dilation)
			in, group := x.c/a.Groups, y.c/a.Groups
			y.each(func(n, o, h, w int) float64 {
				sum := param("bias", o)
				for i := range in {
					for kh := range a.Kernel[0] {
						for kw := range a.Kernel[1] {
							sum += param("weight", ((o*in+i)*a.Kernel[0]+kh)*a.Kernel[1]+kw) *
								x.at(n, o/group*in+i, h*a.Stride[0]-top+kh*a.Dilation[0], w*a.Stride[1]-left+kw*a.Dilation[1], 0)
						}
					}
				}
				return sum
			})
		case models.KindDense:
			y.each(func(n, o, _, _ int) float64 {
				sum := param("bias", o)
				for i := range x.c {
					sum += param("weight", o*x.c+i) * x.at(n, i, 0, 0, 0)
				}
				return sum
			})
		case models.KindBatchNorm:
			for c := range x.c {
				mean, variance := param("running_mean", c), param("running_var", c)
				if training {
					mean, variance = x.channel(c)
				}
				scale := param("weight", c) / math.Sqrt(variance+float64(l.BatchNorm.Epsilon))
				for n := range x.n {
					for i := range x.h * x.w {
						y.v[x.index(n, c, 0, i)] = (x.v[x.index(n, c, 0, i)]-mean)*scale + param("bias", c)
					}
				}
			}
		case models.KindActivation:
			limit := math.Inf(1)
			if l.Activation.Max > 0 {
				limit = float64(l.Activation.Max)
			}
			for i, v := range x.v {
				y.v[i] = min(max(v, 0), limit)
			}
		case models.KindSigmoid:
			for i, v := range x.v {
				y.v[i] = 1 / (1 + math.Exp(-v))
				if l.Sigmoid.Hard {
					y.v[i] = min(max(v+3, 0), 6) / 6
				}
			}
		case models.KindMultiply:
			factor := out[l.Inputs[1]]
			y.each(func(n, c, h, w int) float64 {
				return x.at(n, c, h, w, 0) * factor.at(n, c, h%factor.h, w%factor.w, 0)
			})
		case models.KindAdd:
			for i, v := range x.v {
				y.v[i] = v + out[l.Inputs[1]].v[i]
			}
		case models.KindConcat:
			y.each(func(n, c, h, w int) float64 {
				for _, name := range l.Inputs {
					if x = out[name]; c < x.c {
						break
					}
					c -= x.c
				}
				return x.at(n, c, h, w, 0)
			})
		case models.KindDropout:
			y.each(func(n, c, h, w int) float64 {
				v, rate := x.at(n, c, h, w, 0), float64(l.Dropout.Rate)
				sample := kernel.SampleKey(kernel.MaskKey(0, l.Name, 0), n)
				switch {
				case !training:
					return v
				case float64(kernel.MaskBits(sample, uint32((c*x.h+h)*x.w+w))) < rate*(1<<32):
					return 0
				}
				return v / (1 - rate)
			})
		case models.KindMaxPool, models.KindAvgPool:
			a := l.Pool
			top, left := paddingBefore(a.Padding, a.Pad, x, y, a.Kernel, a.Stride, models.Square(1))
			y.each(func(n, c, h, w int) float64 {
				peak, sum, count := math.Inf(-1), 0.0, 0
				for kh := range a.Kernel[0] {
					for kw := range a.Kernel[1] {
						v := x.at(n, c, h*a.Stride[0]-top+kh, w*a.Stride[1]-left+kw, math.NaN())
						if !math.IsNaN(v) {
							peak, sum, count = max(peak, v), sum+v, count+1
						}
					}
				}
				switch {
				case l.Kind == models.KindMaxPool:
					return peak
				case a.CountPad:
					return sum / float64(a.Kernel[0]*a.Kernel[1])
				}
				return sum / float64(count)
			})
		case models.KindGlobalAvgPool:
			y.each(func(n, c, _, _ int) float64 {
				var sum float64
				for i := range x.h * x.w {
					sum += x.v[x.index(n, c, 0, i)]
				}
				return sum / float64(x.h*x.w)
			})
		case models.KindFlatten:
			copy(y.v, x.v)
		case models.KindSubsample:
			a := l.Subsample
			y.each(func(n, c, h, w int) float64 {
				if c < a.Front || c >= a.Front+x.c {
					return 0
				}
				return x.at(n, c-a.Front, h*a.Stride, w*a.Stride, 0)
			})
		default:
			t.Fatalf("the interpreter does not know the kind %q", l.Kind)
		}
		out[l.Name] = y
	}
	return out
}

// paddingBefore returns how many rows and columns are added at the top and the
// left: with SAME, half of what the last window reaches past the input.
func paddingBefore(mode models.Padding, pad models.Pad, x, y feature, kernel, stride, dilation [2]int) (top, left int) {
	if mode != models.SameUpper {
		return pad.Top, pad.Left
	}
	past := func(in, out, axis int) int {
		return max(0, (out-1)*stride[axis]+(kernel[axis]-1)*dilation[axis]+1-in)
	}
	return past(x.h, y.h, 0) / 2, past(x.w, y.w, 1) / 2
}
