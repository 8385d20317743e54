//go:build cgo

package verify

import (
	"math"
	"testing"

	"github.com/deepmutual/dml/models"
)

// feature is one sample's activations [C, H, W] in float64.
type feature struct {
	models.Shape
	v []float64
}

func (f feature) at(c, y, x int) float64 {
	if y < 0 || y >= f.H || x < 0 || x >= f.W {
		return 0
	}
	return f.v[(c*f.H+y)*f.W+x]
}

// forward evaluates a network on one sample by the definition of each layer,
// in float64 and in evaluation mode. It is slow and obvious.
func forward(t *testing.T, net *models.Network, w models.Weights, input []float32) (logits, embedding []float64) {
	t.Helper()
	shapes, err := net.Shapes()
	if err != nil {
		t.Fatal(err)
	}
	in := feature{Shape: net.Input}
	for _, x := range input {
		in.v = append(in.v, float64(x))
	}
	values := map[string]feature{models.InputName: in}
	for _, l := range net.Layers {
		x, s := values[l.Inputs[0]], shapes[l.Name]
		out := feature{Shape: s, v: make([]float64, s.Size())}
		param := func(suffix string, i int) float64 { return float64(w[l.Owner()+suffix][i]) }
		each := func(f func(c, y, x int) float64) {
			for c := range s.C {
				for y := range max(1, s.H) {
					for i := range max(1, s.W) {
						out.v[(c*max(1, s.H)+y)*max(1, s.W)+i] = f(c, y, i)
					}
				}
			}
		}
		switch l.Kind {
		case models.KindConv:
			a := l.Conv
			perGroup, outPerGroup := x.C/a.Groups, a.Out/a.Groups
			each(func(c, oy, ox int) float64 {
				sum := 0.0
				if a.Bias {
					sum = param(".bias", c)
				}
				for k := range perGroup {
					for i := range a.Kernel[0] {
						for j := range a.Kernel[1] {
							weight := param(".weight", ((c*perGroup+k)*a.Kernel[0]+i)*a.Kernel[1]+j)
							sum += weight * x.at(c/outPerGroup*perGroup+k,
								oy*a.Stride[0]-a.Pad.Top+i*a.Dilation[0], ox*a.Stride[1]-a.Pad.Left+j*a.Dilation[1])
						}
					}
				}
				return sum
			})
		case models.KindBatchNorm:
			each(func(c, y, i int) float64 {
				scale := param(".weight", c) / math.Sqrt(param(".running_var", c)+float64(l.BatchNorm.Epsilon))
				return (x.at(c, y, i)-param(".running_mean", c))*scale + param(".bias", c)
			})
		case models.KindActivation:
			for i, v := range x.v {
				out.v[i] = max(0, v)
				if bound := float64(l.Activation.Max); bound > 0 {
					out.v[i] = min(out.v[i], bound)
				}
			}
		case models.KindSigmoid:
			for i, v := range x.v {
				if l.Sigmoid.Hard {
					out.v[i] = min(max(0, v+3), 6) / 6
				} else {
					out.v[i] = 1 / (1 + math.Exp(-v))
				}
			}
		case models.KindMultiply:
			factor := values[l.Inputs[1]].v
			for i, v := range x.v {
				out.v[i] = v * factor[i*len(factor)/len(x.v)] // a value each, or one a channel
			}
		case models.KindAdd:
			for i, v := range x.v {
				out.v[i] = v + values[l.Inputs[1]].v[i]
			}
		case models.KindConcat:
			out.v = out.v[:0]
			for _, name := range l.Inputs {
				out.v = append(out.v, values[name].v...)
			}
		case models.KindDropout: // drops in training only
			copy(out.v, x.v)
		case models.KindMaxPool, models.KindAvgPool:
			p := l.Pool
			each(func(c, oy, ox int) float64 {
				largest, sum, inside := math.Inf(-1), 0.0, 0
				for i := range p.Kernel[0] {
					for j := range p.Kernel[1] {
						y, xx := oy*p.Stride[0]-p.Pad.Top+i, ox*p.Stride[1]-p.Pad.Left+j
						if y >= 0 && y < x.H && xx >= 0 && xx < x.W {
							largest, inside = max(largest, x.at(c, y, xx)), inside+1
							sum += x.at(c, y, xx)
						}
					}
				}
				switch {
				case l.Kind == models.KindMaxPool:
					return largest
				case p.CountPad:
					return sum / float64(p.Kernel[0]*p.Kernel[1])
				}
				return sum / float64(inside)
			})
		case models.KindGlobalAvgPool:
			each(func(c, _, _ int) float64 {
				sum := 0.0
				for _, v := range x.v[c*x.H*x.W : (c+1)*x.H*x.W] {
					sum += v
				}
				return sum / float64(x.H*x.W)
			})
		case models.KindFlatten:
			copy(out.v, x.v)
		case models.KindDense:
			each(func(c, _, _ int) float64 {
				sum := 0.0
				if l.Dense.Bias {
					sum = param(".bias", c)
				}
				for i, v := range x.v {
					sum += param(".weight", c*len(x.v)+i) * v
				}
				return sum
			})
		case models.KindSubsample:
			each(func(c, y, i int) float64 {
				if from := c - l.Subsample.Front; from >= 0 && from < x.C {
					return x.at(from, y*l.Subsample.Stride, i*l.Subsample.Stride)
				}
				return 0
			})
		default:
			t.Fatalf("no reference for the kind %q", l.Kind)
		}
		values[l.Name] = out
	}
	return values[net.Logits].v, values[net.Embedding].v
}
