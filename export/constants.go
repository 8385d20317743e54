package export

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/x448/float16"
	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// maxHalf is the largest float16.
const maxHalf = 65504

// constant adds a parameter, whose values must be finite. Of a file of float16
// the vectors, which are short, stay float32.
func (b *builder) constant(name string, shape []int, values []float32) error {
	for i, v := range values {
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%s holds %v at %d; the training has diverged", name, v, i)
		}
		if b.isHalf(shape) && math.Abs(float64(v)) > maxHalf {
			return fmt.Errorf("%s holds %v at %d, beyond float16's largest number %d; export it as float32", name, v, i, maxHalf)
		}
	}
	b.addWeight(name, shape, values)
	return nil
}

func (b *builder) isHalf(shape []int) bool { return b.half && len(shape) > 1 }

// addWeight adds an initializer, and where it is stored as float16 the Cast that
// widens it. name is taken already.
func (b *builder) addWeight(name string, shape []int, values []float32) {
	if !b.isHalf(shape) {
		b.addTensor(name, shape, values)
		return
	}
	raw := make([]byte, 2*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint16(raw[2*i:], float16.Fromfloat32(v).Bits())
	}
	narrow := b.freshTensor(name + ".float16")
	b.initializer(narrow, onnxpb.TensorProto_FLOAT16, shape, raw)
	b.node("Cast", name+"/cast", name, []string{narrow}, intAttr("to", int(onnxpb.TensorProto_FLOAT)))
}

// addTensor adds a float32 initializer; a nil shape makes it a scalar. name is
// taken already.
func (b *builder) addTensor(name string, shape []int, values []float32) {
	raw := make([]byte, 4*len(values))
	for i, v := range values {
		binary.LittleEndian.PutUint32(raw[4*i:], math.Float32bits(v))
	}
	b.initializer(name, onnxpb.TensorProto_FLOAT, shape, raw)
}

// addIntegers adds a list of integers, such as the axes of an operator. name is
// taken already.
func (b *builder) addIntegers(name string, values ...int) {
	var raw []byte
	for _, v := range values {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(v))
	}
	b.initializer(name, onnxpb.TensorProto_INT64, []int{len(values)}, raw)
}

func (b *builder) initializer(name string, kind onnxpb.TensorProto_DataType, shape []int, raw []byte) {
	t := &onnxpb.TensorProto{Name: proto.String(name), DataType: proto.Int32(int32(kind)), RawData: raw}
	for _, n := range shape {
		t.Dims = append(t.Dims, int64(n))
	}
	b.out.Initializer = append(b.out.Initializer, t)
}
