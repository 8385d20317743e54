package export

import (
	"encoding/binary"
	"fmt"
	"math"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnxpb"
	"github.com/deepmutual/dml/models"
)

// layer appends the nodes of one layer.
func (g *graph) layer(l *models.Layer) error {
	inputs := make([]string, len(l.Inputs))
	for i, name := range l.Inputs {
		inputs[i] = g.tensors[name]
	}
	output := g.tensors[l.Name]
	switch l.Kind {
	case models.KindConv:
		return g.conv(l, inputs[0])
	case models.KindBatchNorm:
		return g.batchNorm(l, inputs[0], output)
	case models.KindActivation:
		g.activation(l, inputs[0], output)
	case models.KindAdd:
		g.node("Add", l.Name, output, inputs)
	case models.KindConcat:
		g.node("Concat", l.Name, output, inputs, intAttr("axis", 1))
	case models.KindMaxPool:
		g.node("MaxPool", l.Name, output, inputs, windowAttrs(l.Pool.Kernel, l.Pool.Stride, l.Pool.PadFor(g.shapes[l.Inputs[0]]))...)
	case models.KindAvgPool:
		countPad := 0
		if l.Pool.CountPad {
			countPad = 1
		}
		attrs := append(windowAttrs(l.Pool.Kernel, l.Pool.Stride, l.Pool.PadFor(g.shapes[l.Inputs[0]])), intAttr("count_include_pad", countPad))
		g.node("AveragePool", l.Name, output, inputs, attrs...)
	case models.KindGlobalAvgPool:
		pooled := g.freshTensor(l.Name + "/pooled") // [batch, C, 1, 1]
		g.node("GlobalAveragePool", l.Name, pooled, inputs)
		g.node("Flatten", l.Name+"/flatten", output, []string{pooled}, intAttr("axis", 1))
	case models.KindFlatten:
		g.node("Flatten", l.Name, output, inputs, intAttr("axis", 1))
	case models.KindDense:
		return g.dense(l, inputs[0], output)
	case models.KindSubsample:
		g.subsample(l, inputs[0], output)
	default:
		return fmt.Errorf("has no ONNX form")
	}
	return nil
}

// conv appends a convolution, with the batch norm folded into it if there is
// one; the output is then the batch norm's tensor.
func (g *graph) conv(l *models.Layer, input string) error {
	weightName, biasName := l.Name+".weight", l.Name+".bias"
	weight, bias := g.weights[weightName], g.weights[biasName]
	output := g.tensors[l.Name]
	if bn, folded := g.folds[l.Name]; folded {
		var err error
		if weight, bias, err = g.foldBatchNorm(l, bn); err != nil {
			return fmt.Errorf("folding %q: %w", bn, err)
		}
		output = g.tensors[bn]
	}
	if err := g.constant(weightName, g.params[weightName], weight); err != nil {
		return err
	}
	inputs := []string{input, weightName}
	if bias != nil {
		if err := g.constant(biasName, []int{l.Conv.Out}, bias); err != nil {
			return err
		}
		inputs = append(inputs, biasName)
	}
	attrs := append(windowAttrs(l.Conv.Kernel, l.Conv.Stride, l.Conv.PadFor(g.shapes[l.Inputs[0]])),
		intsAttr("dilations", l.Conv.Dilation[0], l.Conv.Dilation[1]), intAttr("group", l.Conv.Groups))
	g.node("Conv", l.Name, output, inputs, attrs...)
	return nil
}

// foldBatchNorm returns the weights and bias of the convolution followed by the
// batch norm in evaluation mode: with s = gamma / sqrt(var + epsilon),
// w' = s w and b' = s (b - mean) + beta, computed in float64.
func (g *graph) foldBatchNorm(conv *models.Layer, bnName string) (weight, bias []float32, err error) {
	bn, _ := g.net.Layer(bnName)
	w, b := g.weights[conv.Name+".weight"], g.weights[conv.Name+".bias"]
	gamma, beta := g.weights[bnName+".weight"], g.weights[bnName+".bias"]
	mean, variance := g.weights[bnName+".running_mean"], g.weights[bnName+".running_var"]
	if err := checkVariance(bnName, variance); err != nil {
		return nil, nil, err
	}
	weight, bias = make([]float32, len(w)), make([]float32, conv.Conv.Out)
	each := len(w) / conv.Conv.Out
	for c := range bias {
		scale := float64(gamma[c]) / math.Sqrt(float64(variance[c])+float64(bn.BatchNorm.Epsilon))
		for i := c * each; i < (c+1)*each; i++ {
			weight[i] = float32(float64(w[i]) * scale)
		}
		before := 0.0
		if b != nil {
			before = float64(b[c])
		}
		bias[c] = float32((before-float64(mean[c]))*scale + float64(beta[c]))
	}
	return weight, bias, nil
}

func (g *graph) batchNorm(l *models.Layer, input, output string) error {
	if err := checkVariance(l.Name, g.weights[l.Name+".running_var"]); err != nil {
		return err
	}
	inputs := []string{input}
	for _, suffix := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
		name := l.Name + suffix
		if err := g.constant(name, g.params[name], g.weights[name]); err != nil {
			return err
		}
		inputs = append(inputs, name)
	}
	g.node("BatchNormalization", l.Name, output, inputs, floatAttr("epsilon", l.BatchNorm.Epsilon))
	return nil
}

func checkVariance(bn string, variance []float32) error {
	for c, v := range variance {
		if !(v >= 0) {
			return fmt.Errorf("%s.running_var of channel %d is %v; a variance cannot be negative", bn, c, v)
		}
	}
	return nil
}

func (g *graph) activation(l *models.Layer, input, output string) {
	if l.Activation.Max == 0 {
		g.node("Relu", l.Name, output, []string{input})
		return
	}
	low, high := g.freshTensor(l.Name+".min"), g.freshTensor(l.Name+".max")
	g.addTensor(low, nil, []float32{0})
	g.addTensor(high, nil, []float32{l.Activation.Max})
	g.node("Clip", l.Name, output, []string{input, low, high})
}

func (g *graph) dense(l *models.Layer, input, output string) error {
	inputs := []string{input}
	for _, suffix := range []string{".weight", ".bias"} {
		name := l.Name + suffix
		if g.weights[name] == nil {
			continue
		}
		if err := g.constant(name, g.params[name], g.weights[name]); err != nil {
			return err
		}
		inputs = append(inputs, name)
	}
	g.node("Gemm", l.Name, output, inputs, floatAttr("alpha", 1), floatAttr("beta", 1), intAttr("transA", 0), intAttr("transB", 1))
	return nil
}

// subsample appends an option A shortcut as a 1x1 convolution whose weights
// pick input channel i for output channel Front+i.
func (g *graph) subsample(l *models.Layer, input, output string) {
	s, in := l.Subsample, g.shapes[l.Inputs[0]].C
	pick := make([]float32, s.Out*in)
	for i := range in {
		pick[(s.Front+i)*in+i] = 1
	}
	name := g.freshTensor(l.Name + ".pick")
	g.addTensor(name, []int{s.Out, in, 1, 1}, pick)
	attrs := append(windowAttrs(models.Square(1), models.Square(s.Stride), models.Pad{}),
		intsAttr("dilations", 1, 1), intAttr("group", 1))
	g.node("Conv", l.Name, output, []string{input, name}, attrs...)
}

func windowAttrs(kernel, stride [2]int, pad models.Pad) []*onnxpb.AttributeProto {
	return []*onnxpb.AttributeProto{
		intsAttr("kernel_shape", kernel[0], kernel[1]),
		intsAttr("strides", stride[0], stride[1]),
		intsAttr("pads", pad.Top, pad.Left, pad.Bottom, pad.Right),
	}
}

// constant adds a parameter whose values must be finite.
func (g *graph) constant(name string, shape []int, values []float32) error {
	for i, v := range values {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%s holds %v at %d; the training has diverged", name, v, i)
		}
	}
	g.addTensor(name, shape, values)
	return nil
}

// addTensor adds an initializer; a nil shape makes it a scalar.
func (g *graph) addTensor(name string, shape []int, values []float32) {
	raw := make([]byte, 4*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
	}
	t := &onnxpb.TensorProto{
		Name: proto.String(name), DataType: proto.Int32(int32(onnxpb.TensorProto_FLOAT)), RawData: raw,
	}
	for _, n := range shape {
		t.Dims = append(t.Dims, int64(n))
	}
	g.out.Initializer = append(g.out.Initializer, t)
}
