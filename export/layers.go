package export

import (
	"fmt"
	"math"

	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

// layer appends the nodes of one layer.
func (s *student) layer(l *models.Layer) error {
	inputs := make([]string, len(l.Inputs))
	for i, name := range l.Inputs {
		inputs[i] = s.tensors[name]
	}
	output := s.tensors[l.Name]
	switch l.Kind {
	case models.KindConv:
		return s.conv(l, inputs[0])
	case models.KindBatchNorm:
		return s.batchNorm(l, inputs[0], output)
	case models.KindActivation:
		s.activation(l, inputs[0], output)
	case models.KindSigmoid:
		if l.Sigmoid.Hard {
			s.node("HardSigmoid", s.named(l.Name), output, inputs, floatAttr("alpha", 1./6), floatAttr("beta", 0.5))
		} else {
			s.node("Sigmoid", s.named(l.Name), output, inputs)
		}
	case models.KindMultiply:
		s.multiply(l, inputs, output)
	case models.KindAdd:
		s.node("Add", s.named(l.Name), output, inputs)
	case models.KindConcat:
		s.node("Concat", s.named(l.Name), output, inputs, intAttr("axis", 1))
	case models.KindMaxPool:
		s.node("MaxPool", s.named(l.Name), output, inputs, windowAttrs(l.Pool.Kernel, l.Pool.Stride, l.Pool.PadFor(s.shapes[l.Inputs[0]]))...)
	case models.KindAvgPool:
		countPad := 0
		if l.Pool.CountPad {
			countPad = 1
		}
		attrs := append(windowAttrs(l.Pool.Kernel, l.Pool.Stride, l.Pool.PadFor(s.shapes[l.Inputs[0]])), intAttr("count_include_pad", countPad))
		s.node("AveragePool", s.named(l.Name), output, inputs, attrs...)
	case models.KindGlobalAvgPool:
		pooled := s.freshTensor(s.named(l.Name + "/pooled")) // [batch, C, 1, 1]
		s.node("GlobalAveragePool", s.named(l.Name), pooled, inputs)
		s.node("Flatten", s.named(l.Name+"/flatten"), output, []string{pooled}, intAttr("axis", 1))
	case models.KindFlatten:
		s.node("Flatten", s.named(l.Name), output, inputs, intAttr("axis", 1))
	case models.KindDense:
		return s.dense(l, inputs[0], output)
	case models.KindSubsample:
		s.subsample(l, inputs[0], output)
	default:
		return fmt.Errorf("has no ONNX form")
	}
	return nil
}

// conv appends a convolution, with the batch norm folded into it if there is
// one; the output is then the batch norm's tensor.
func (s *student) conv(l *models.Layer, input string) error {
	weightName, biasName := l.Owner()+".weight", l.Owner()+".bias"
	weight, bias := s.weights[weightName], s.weights[biasName]
	output := s.tensors[l.Name]
	if bn, folded := s.folds[l.Name]; folded {
		var err error
		if weight, bias, err = s.foldBatchNorm(l, bn); err != nil {
			return fmt.Errorf("folding %q: %w", bn, err)
		}
		output = s.tensors[bn]
	}
	if err := s.parameter(l, weightName, s.params[weightName], weight); err != nil {
		return err
	}
	inputs := []string{input, s.named(weightName)}
	if bias != nil {
		if err := s.parameter(l, biasName, []int{l.Conv.Out}, bias); err != nil {
			return err
		}
		inputs = append(inputs, s.named(biasName))
	}
	attrs := append(windowAttrs(l.Conv.Kernel, l.Conv.Stride, l.Conv.PadFor(s.shapes[l.Inputs[0]])),
		intsAttr("dilations", l.Conv.Dilation[0], l.Conv.Dilation[1]), intAttr("group", l.Conv.Groups))
	s.node("Conv", s.named(l.Name), output, inputs, attrs...)
	return nil
}

// parameter adds a parameter of a layer, unless an earlier layer lends it.
func (s *student) parameter(l *models.Layer, name string, shape []int, values []float32) error {
	if l.WeightsOf != "" {
		return nil
	}
	return s.constant(s.named(name), shape, values)
}

// multiply appends a product; a gate that is a vector, [batch, C], is widened to
// [batch, C, 1, 1].
func (s *student) multiply(l *models.Layer, inputs []string, output string) {
	if in, gate := s.shapes[l.Inputs[0]], s.shapes[l.Inputs[1]]; gate.IsVector() && !in.IsVector() {
		axes, wide := s.freshTensor(s.named(l.Name+".axes")), s.freshTensor(s.named(l.Name+"/gate"))
		s.addIntegers(axes, 2, 3)
		s.node("Unsqueeze", s.named(l.Name+"/unsqueeze"), wide, []string{inputs[1], axes})
		inputs[1] = wide
	}
	s.node("Mul", s.named(l.Name), output, inputs)
}

// foldBatchNorm returns the weights and bias of the convolution followed by the
// batch norm in evaluation mode: with s = gamma / sqrt(var + epsilon),
// w' = s w and b' = s (b - mean) + beta, computed in float64.
func (s *student) foldBatchNorm(conv *models.Layer, bnName string) (weight, bias []float32, err error) {
	bn, _ := s.net.Layer(bnName)
	w, b := s.weights[conv.Name+".weight"], s.weights[conv.Name+".bias"]
	gamma, beta := s.weights[bnName+".weight"], s.weights[bnName+".bias"]
	mean, variance := s.weights[bnName+".running_mean"], s.weights[bnName+".running_var"]
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

func (s *student) batchNorm(l *models.Layer, input, output string) error {
	if err := checkVariance(l.Name, s.weights[l.Name+".running_var"]); err != nil {
		return err
	}
	inputs := []string{input}
	for _, suffix := range []string{".weight", ".bias", ".running_mean", ".running_var"} {
		name := l.Name + suffix
		if err := s.constant(s.named(name), s.params[name], s.weights[name]); err != nil {
			return err
		}
		inputs = append(inputs, s.named(name))
	}
	s.node("BatchNormalization", s.named(l.Name), output, inputs, floatAttr("epsilon", l.BatchNorm.Epsilon))
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

func (s *student) activation(l *models.Layer, input, output string) {
	if l.Activation.Max == 0 {
		s.node("Relu", s.named(l.Name), output, []string{input})
		return
	}
	low, high := s.freshTensor(s.named(l.Name+".min")), s.freshTensor(s.named(l.Name+".max"))
	s.addTensor(low, nil, []float32{0})
	s.addTensor(high, nil, []float32{l.Activation.Max})
	s.node("Clip", s.named(l.Name), output, []string{input, low, high})
}

func (s *student) dense(l *models.Layer, input, output string) error {
	inputs := []string{input}
	for _, suffix := range []string{".weight", ".bias"} {
		name := l.Owner() + suffix
		if s.weights[name] == nil {
			continue
		}
		if err := s.parameter(l, name, s.params[name], s.weights[name]); err != nil {
			return err
		}
		inputs = append(inputs, s.named(name))
	}
	s.node("Gemm", s.named(l.Name), output, inputs, floatAttr("alpha", 1), floatAttr("beta", 1), intAttr("transA", 0), intAttr("transB", 1))
	return nil
}

// subsample appends an option A shortcut as a 1x1 convolution whose weights
// pick input channel i for output channel Front+i.
func (s *student) subsample(l *models.Layer, input, output string) {
	a, in := l.Subsample, s.shapes[l.Inputs[0]].C
	pick := make([]float32, a.Out*in)
	for i := range in {
		pick[(a.Front+i)*in+i] = 1
	}
	name := s.freshTensor(s.named(l.Name + ".pick"))
	s.addWeight(name, []int{a.Out, in, 1, 1}, pick)
	attrs := append(windowAttrs(models.Square(1), models.Square(a.Stride), models.Pad{}),
		intsAttr("dilations", 1, 1), intAttr("group", 1))
	s.node("Conv", s.named(l.Name), output, []string{input, name}, attrs...)
}

func windowAttrs(kernel, stride [2]int, pad models.Pad) []*onnxpb.AttributeProto {
	return []*onnxpb.AttributeProto{
		intsAttr("kernel_shape", kernel[0], kernel[1]),
		intsAttr("strides", stride[0], stride[1]),
		intsAttr("pads", pad.Top, pad.Left, pad.Bottom, pad.Right),
	}
}
