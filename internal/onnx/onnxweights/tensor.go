package onnxweights

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"

	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// Tensor is a constant of a model. Layers may share one: its values must not be
// changed.
type Tensor struct {
	Name  string
	Shape []int
	Data  []float32
}

// transpose swaps the axes of a matrix; others are returned as they are.
func (t *Tensor) transpose() *Tensor {
	if len(t.Shape) != 2 {
		return t
	}
	rows, cols := t.Shape[0], t.Shape[1]
	out := &Tensor{Name: t.Name, Shape: []int{cols, rows}, Data: make([]float32, len(t.Data))}
	for i := range rows {
		for j := range cols {
			out.Data[j*rows+i] = t.Data[i*cols+j]
		}
	}
	return out
}

// constant is a tensor under one of its names.
type constant struct {
	name string
	*stored
}

// stored is a tensor of the file, decoded once, when a layer uses it.
type stored struct {
	proto              *onnxpb.TensorProto
	used               bool
	values, transposed *Tensor
}

// tensor returns the values under the constant's name.
func (c constant) tensor(transpose bool) (*Tensor, error) {
	c.used = true
	if c.values == nil {
		var err error
		if c.values, err = decode(c.name, c.proto); err != nil {
			return nil, err
		}
	}
	t := c.values
	if transpose {
		if c.transposed == nil {
			c.transposed = c.values.transpose()
		}
		t = c.transposed
	}
	return &Tensor{Name: c.name, Shape: t.Shape, Data: t.Data}, nil
}

// decode reads the values as float32. Nothing is allocated before the shape is
// known to agree with the values that are there.
func decode(name string, t *onnxpb.TensorProto) (*Tensor, error) {
	fault := func(format string, args ...any) (*Tensor, error) {
		return nil, fmt.Errorf("%w: %q %s", ErrTensor, name, fmt.Sprintf(format, args...))
	}
	if t.GetDataLocation() == onnxpb.TensorProto_EXTERNAL || len(t.GetExternalData()) > 0 {
		return nil, fmt.Errorf("%w: %q; save the model as one file", ErrExternal, name)
	}
	kind := onnxpb.TensorProto_DataType(t.GetDataType())
	raw := t.GetRawData()
	var size int // of a value in raw data
	var listed int
	switch kind {
	case onnxpb.TensorProto_FLOAT:
		size, listed = 4, len(t.GetFloatData())
	case onnxpb.TensorProto_DOUBLE:
		size, listed = 8, len(t.GetDoubleData())
	case onnxpb.TensorProto_FLOAT16, onnxpb.TensorProto_BFLOAT16:
		size, listed = 2, len(t.GetInt32Data())
	default:
		return fault("is of type %v, which holds no real numbers", kind)
	}
	n := listed
	if len(raw) > 0 {
		if n = len(raw) / size; len(raw)%size != 0 {
			return fault("has %d bytes of %d-byte values", len(raw), size)
		}
	}
	want := int64(1)
	shape := make([]int, len(t.GetDims()))
	for i, d := range t.GetDims() {
		if d < 1 || d > math.MaxInt32 || want > math.MaxInt32/d {
			return fault("has the shape %v", t.GetDims())
		}
		want *= d
		shape[i] = int(d)
	}
	if want != int64(n) {
		return fault("has the shape %v and %d values", t.GetDims(), n)
	}
	out := &Tensor{Name: name, Shape: shape, Data: make([]float32, n)}
	for i := range out.Data {
		out.Data[i] = value(t, kind, raw, i)
	}
	return out, nil
}

func value(t *onnxpb.TensorProto, kind onnxpb.TensorProto_DataType, raw []byte, i int) float32 {
	switch {
	case kind == onnxpb.TensorProto_FLOAT && len(raw) == 0:
		return t.GetFloatData()[i]
	case kind == onnxpb.TensorProto_FLOAT:
		return math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	case kind == onnxpb.TensorProto_DOUBLE && len(raw) == 0:
		return float32(t.GetDoubleData()[i])
	case kind == onnxpb.TensorProto_DOUBLE:
		return float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
	}
	var bits uint16
	if len(raw) == 0 {
		bits = uint16(t.GetInt32Data()[i])
	} else {
		bits = binary.LittleEndian.Uint16(raw[2*i:])
	}
	if kind == onnxpb.TensorProto_BFLOAT16 {
		return math.Float32frombits(uint32(bits) << 16)
	}
	return float16.Frombits(bits).Float32()
}
