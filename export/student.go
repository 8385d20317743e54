package export

import (
	"fmt"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/models"
)

// student adds one network to a graph.
type student struct {
	*builder
	prefix  string // of its nodes, tensors and outputs: "", or its name and a slash
	net     *models.Network
	weights models.Weights
	shapes  map[string]models.Shape
	params  map[string][]int  // parameter name to shape
	folds   map[string]string // convolution to the batch norm folded into it
	tensors map[string]string // layer, or the input, to its tensor
}

// add appends a network that reads the tensor input, with the softmax of its
// logits, as the tensors prefix+"logits" and so on.
func (b *builder) add(prefix, input string, net *models.Network, w models.Weights, keepBatchNorm bool) (*student, error) {
	shapes, err := net.Shapes()
	if err != nil {
		return nil, err
	}
	params, err := net.Params()
	if err != nil {
		return nil, err
	}
	s := &student{
		builder: b, prefix: prefix, net: net, weights: w, shapes: shapes,
		params:  make(map[string][]int, len(params)),
		folds:   map[string]string{},
		tensors: map[string]string{models.InputName: input},
	}
	for _, p := range params {
		s.params[p.Name] = p.Shape
	}
	if !keepBatchNorm {
		s.folds = foldable(net)
	}
	s.nameTensors(params)
	folded := map[string]bool{}
	for _, bn := range s.folds {
		folded[bn] = true
	}
	for i := range net.Layers {
		l := &net.Layers[i]
		if folded[l.Name] {
			continue // its convolution computes it
		}
		if err := s.layer(l); err != nil {
			return nil, fmt.Errorf("layer %q (%s): %w", l.Name, l.Kind, err)
		}
	}
	logits := s.named(onnxmeta.Logits)
	if net.Embedding == net.Logits {
		s.node("Identity", s.named("embedding"), s.named(onnxmeta.Embedding), []string{logits})
	}
	s.node("Softmax", s.named("probabilities"), s.named(onnxmeta.Probabilities), []string{logits}, intAttr("axis", 1))
	return s, nil
}

// named is the name of something of this student.
func (s *student) named(name string) string { return s.prefix + name }

// shapeOf is the shape of one of the student's outputs.
func (s *student) shapeOf(output string) models.Shape {
	if output == onnxmeta.Embedding {
		return s.shapes[s.net.Embedding]
	}
	return s.shapes[s.net.Logits]
}

// foldable maps each convolution whose only consumer is a batch norm to that
// batch norm, but for those whose weights other layers have too.
func foldable(net *models.Network) map[string]string {
	consumers := map[string]int{}
	kinds := map[string]models.Kind{}
	shared := map[string]bool{}
	for _, l := range net.Layers {
		kinds[l.Name] = l.Kind
		if l.WeightsOf != "" {
			shared[l.Name], shared[l.WeightsOf] = true, true
		}
		for _, in := range l.Inputs {
			consumers[in]++
		}
	}
	folds := map[string]string{}
	for _, l := range net.Layers {
		if l.Kind != models.KindBatchNorm {
			continue
		}
		if in := l.Inputs[0]; kinds[in] == models.KindConv && consumers[in] == 1 && !shared[in] {
			folds[in] = l.Name
		}
	}
	return folds
}

// nameTensors gives the outputs their fixed names, every parameter its own, and
// every other layer's tensor the layer's name, with a prime where that is taken.
func (s *student) nameTensors(params []models.Param) {
	for _, name := range []string{onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding} {
		s.names[s.named(name)] = struct{}{}
	}
	for _, p := range params {
		s.names[s.named(p.Name)] = struct{}{}
		// A folded convolution has a bias even if the network gives it none.
		s.names[s.named(p.Layer+".bias")] = struct{}{}
	}
	s.tensors[s.net.Embedding] = s.named(onnxmeta.Embedding)
	s.tensors[s.net.Logits] = s.named(onnxmeta.Logits)
	for _, l := range s.net.Layers {
		if _, isNamed := s.tensors[l.Name]; !isNamed {
			s.tensors[l.Name] = s.freshTensor(s.named(l.Name))
		}
	}
}
