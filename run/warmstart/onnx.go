package warmstart

import (
	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/onnx/onnxweights"
	"github.com/deepmutual/dml/models"
)

func fromONNX(m *onnxweights.Model) *Source {
	src := &Source{Format: ONNX}
	if meta, err := onnxmeta.Parse(m.Metadata); err == nil {
		src.Classes = meta.Classes
	}
	type sharing struct {
		kind         onnxweights.Kind
		weight, bias string
	}
	first := make(map[sharing]int)       // layer of these weights
	index := make([]int, len(m.Layers))  // where each layer of the model is in src
	again := make([]bool, len(m.Layers)) // it has the weights of an earlier one
	for i, l := range m.Layers {
		weights := sharing{kind: l.Kind, weight: l.Weight.Name}
		if l.Bias != nil {
			weights.bias = l.Bias.Name
		}
		if at, ok := first[weights]; ok && l.Kind != onnxweights.BatchNorm {
			index[i], again[i] = at, true
			continue
		}
		first[weights], index[i] = len(src.layers), len(src.layers)
		own := layer{follows: -1}
		set := func(role models.Role, t *onnxweights.Tensor) {
			if t != nil {
				own.tensors[role] = &tensor{t.Name, t.Shape, t.Data}
			}
		}
		switch l.Kind {
		case onnxweights.Conv, onnxweights.Dense:
			own.kind = models.KindConv
			if l.Kind == onnxweights.Dense {
				own.kind = models.KindDense
			}
			set(models.RoleWeight, l.Weight)
			set(models.RoleBias, l.Bias)
		case onnxweights.BatchNorm:
			own.kind, own.epsilon, own.hasEpsilon = models.KindBatchNorm, l.Epsilon, true
			if l.Follows >= 0 && m.Layers[l.Follows].Kind != onnxweights.BatchNorm && !again[l.Follows] {
				own.follows = index[l.Follows]
			}
			set(models.RoleGamma, l.Weight)
			set(models.RoleBeta, l.Bias)
			set(models.RoleRunningMean, l.Mean)
			set(models.RoleRunningVar, l.Variance)
		}
		name, suffix := splitName(l.Weight.Name)
		if _, known := suffixes[suffix]; known {
			own.name = name
		} else {
			own.name = withoutWrappers(onnxweights.Scope(l.Node))
		}
		src.layers = append(src.layers, own)
	}
	unique(src.layers)
	src.graph = graphOfONNX(m, index, src.layers)
	for _, name := range m.Others {
		src.others = append(src.others, Tensor{name, "no layer's weights"})
	}
	return src
}
