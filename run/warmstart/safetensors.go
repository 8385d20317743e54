package warmstart

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/nlpodyssey/safetensors"
	"github.com/x448/float16"

	"github.com/deepmutual/dml/models"
)

// maxHeader bounds the header of a safetensors file; those of networks have
// some kilobytes.
const maxHeader = 16 << 20

// isSafetensors reports whether data begins as such a file does: the length of
// a JSON object, and its brace.
func isSafetensors(data []byte) bool {
	return len(data) > 8 && data[8] == '{' && binary.LittleEndian.Uint64(data) <= maxHeader
}

// parseSafetensors reads layers from tensors whose names end like those of a
// PyTorch state_dict.
func parseSafetensors(data []byte) (*Source, error) {
	tensors, err := safetensorsOf(data)
	if err != nil {
		return nil, err
	}
	src := &Source{Format: Safetensors}
	index := make(map[string]int) // of layers by name
	for _, t := range tensors {
		head, suffix := splitName(t.name)
		role, known := suffixes[suffix]
		switch {
		case !known:
			src.others = append(src.others, Tensor{t.name, "no layer's weights"})
			continue
		case t.data == nil:
			src.others = append(src.others, Tensor{t.name, "holds no real numbers"})
			continue
		}
		at, ok := index[head]
		if !ok {
			at = len(src.layers)
			index[head] = at
			src.layers = append(src.layers, layer{name: head, follows: -1})
		}
		if src.layers[at].tensors[role] != nil {
			src.others = append(src.others, Tensor{t.name, "another tensor has its name, but for what stands before"})
			continue
		}
		src.layers[at].tensors[role] = t
	}
	src.classify()
	return src, nil
}

// safetensorsOf returns the tensors of a file, sorted by name. The library checks
// that their shapes agree with the bytes that they have, and that they fill the
// file.
func safetensorsOf(data []byte) ([]*tensor, error) {
	length, meta, err := safetensors.ReadMetadata(data)
	if err != nil {
		return nil, fmt.Errorf("%w: safetensors: %w", ErrFormat, err)
	}
	values := data[8+length:]
	infos := meta.Tensors()
	var out []*tensor
	for _, name := range slices.Sorted(maps.Keys(infos)) {
		info := infos[name]
		t, err := widen(name, info, values[info.DataOffsets[0]:info.DataOffsets[1]])
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// classify finds each layer's kind from its tensors. What is none of the kinds
// with weights goes to the others.
func (s *Source) classify() {
	layers := s.layers
	s.layers = nil
	for _, l := range layers {
		weight := l.tensors[models.RoleWeight]
		switch {
		case l.tensors[models.RoleRunningMean] != nil || l.tensors[models.RoleRunningVar] != nil:
			l.kind = models.KindBatchNorm
			for from, to := range map[models.Role]models.Role{models.RoleWeight: models.RoleGamma, models.RoleBias: models.RoleBeta} {
				if l.tensors[to] == nil {
					l.tensors[to], l.tensors[from] = l.tensors[from], nil
				}
			}
		case weight != nil && len(weight.shape) == 4:
			l.kind = models.KindConv
		case weight != nil && len(weight.shape) == 2:
			l.kind = models.KindDense
		default:
			for _, t := range l.tensors {
				if t != nil {
					s.others = append(s.others, Tensor{t.name, "of no convolution, dense layer or batch norm"})
				}
			}
			continue
		}
		s.layers = append(s.layers, l)
	}
}

// widen returns a tensor with its values as float32, or without if they are no
// real numbers.
func widen(name string, info *safetensors.TensorInfo, raw []byte) (*tensor, error) {
	t := &tensor{name: name, shape: make([]int, len(info.Shape))}
	for i, d := range info.Shape {
		if d > math.MaxInt32 {
			return nil, fmt.Errorf("%w: safetensors: %q has the shape %v", ErrFormat, name, info.Shape)
		}
		t.shape[i] = int(d)
	}
	var value func(at []byte) float32
	switch info.DType {
	case safetensors.F32:
		value = func(at []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(at)) }
	case safetensors.F64:
		value = func(at []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(at))) }
	case safetensors.F16:
		value = func(at []byte) float32 { return float16.Frombits(binary.LittleEndian.Uint16(at)).Float32() }
	case safetensors.BF16:
		value = func(at []byte) float32 { return math.Float32frombits(uint32(binary.LittleEndian.Uint16(at)) << 16) }
	default:
		return t, nil
	}
	size := int(info.DType.Size())
	t.data = make([]float32, len(raw)/size)
	for i := range t.data {
		t.data[i] = value(raw[i*size:])
	}
	return t, nil
}
