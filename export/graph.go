package export

import (
	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/models"
)

// builder collects the nodes and constants of a file's graph.
type builder struct {
	out   onnxpb.GraphProto
	names map[string]struct{} // tensor names in use
	nodes map[string]struct{} // node names in use
	batch int                 // 0 is dynamic
	half  bool                // matrices and kernels are stored as float16
}

// newBuilder starts a graph of that name with the one input that all its
// networks read. It returns the tensor that holds the normalised samples.
func newBuilder(name string, in models.Shape, o Options) (_ *builder, normalised string) {
	b := &builder{names: map[string]struct{}{}, nodes: map[string]struct{}{}, batch: o.Batch, half: o.Half}
	for _, reserved := range []string{onnxmeta.Input, onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding} {
		b.names[reserved] = struct{}{}
	}
	b.out.Name = proto.String(name)
	if !o.Uint8Input {
		b.out.Input = []*onnxpb.ValueInfoProto{b.value(onnxmeta.Input, onnxpb.TensorProto_FLOAT, in.C, in.H, in.W)}
		return b, onnxmeta.Input
	}
	b.out.Input = []*onnxpb.ValueInfoProto{b.value(onnxmeta.Input, onnxpb.TensorProto_UINT8, in.H, in.W, in.C)}
	return b, b.normalise(in.C, o)
}

// normalise appends the nodes that turn pixels x, uint8 [batch, height, width,
// channels], into (x/255 - mean) / std, float32 [batch, channels, height, width].
func (b *builder) normalise(channels int, o Options) string {
	meta := o.normalisation(channels)
	scale, offset := make([]float32, channels), make([]float32, channels)
	for c := range channels {
		scale[c] = float32(1 / (255 * float64(meta.Std[c])))
		offset[c] = float32(-float64(meta.Mean[c]) / float64(meta.Std[c]))
	}
	tensor := func(suffix string) string { return b.freshTensor(onnxmeta.Input + suffix) }
	at := tensor("/channels_first") // while a value takes one byte
	b.node("Transpose", "input/transpose", at, []string{onnxmeta.Input}, intsAttr("perm", 0, 3, 1, 2))
	for _, step := range []struct {
		op, name string
		values   []float32
	}{{"Cast", "cast", nil}, {"Mul", "scale", scale}, {"Add", "offset", offset}} {
		inputs, out := []string{at}, tensor("/"+step.name)
		var attrs []*onnxpb.AttributeProto
		if step.values == nil {
			attrs = append(attrs, intAttr("to", int(onnxpb.TensorProto_FLOAT)))
		} else {
			constant := tensor("." + step.name)
			b.addTensor(constant, []int{1, channels, 1, 1}, step.values)
			inputs = append(inputs, constant)
		}
		b.node(step.op, onnxmeta.Input+"/"+step.name, out, inputs, attrs...)
		at = out
	}
	return at
}

// freshTensor returns an unused tensor name and takes it.
func (b *builder) freshTensor(name string) string { return fresh(b.names, name) }

// fresh returns name, with as many primes as make it unused, and takes it.
func fresh(taken map[string]struct{}, name string) string {
	for {
		if _, ok := taken[name]; !ok {
			taken[name] = struct{}{}
			return name
		}
		name += "'"
	}
}

// node appends an operator with one output.
func (b *builder) node(op, name, output string, inputs []string, attrs ...*onnxpb.AttributeProto) {
	b.out.Node = append(b.out.Node, &onnxpb.NodeProto{
		OpType: proto.String(op), Name: proto.String(fresh(b.nodes, name)),
		Input: inputs, Output: []string{output}, Attribute: attrs,
	})
}

// output lists a tensor of one sample's shape among the graph's outputs.
func (b *builder) output(name string, sample models.Shape) {
	extents := []int{sample.C}
	if !sample.IsVector() {
		extents = []int{sample.C, sample.H, sample.W}
	}
	b.out.Output = append(b.out.Output, b.value(name, onnxpb.TensorProto_FLOAT, extents...))
}

// value describes a tensor of samples of these extents behind the batch axis.
func (b *builder) value(name string, kind onnxpb.TensorProto_DataType, sample ...int) *onnxpb.ValueInfoProto {
	first := &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimParam{DimParam: "batch"}}
	if b.batch > 0 {
		first.Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(b.batch)}
	}
	dims := []*onnxpb.TensorShapeProto_Dimension{first}
	for _, n := range sample {
		dims = append(dims, &onnxpb.TensorShapeProto_Dimension{Value: &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(n)}})
	}
	return &onnxpb.ValueInfoProto{
		Name: proto.String(name),
		Type: &onnxpb.TypeProto{Value: &onnxpb.TypeProto_TensorType{TensorType: &onnxpb.TypeProto_Tensor{
			ElemType: proto.Int32(int32(kind)),
			Shape:    &onnxpb.TensorShapeProto{Dim: dims},
		}}},
	}
}

// graph returns what was built without the nodes and constants that no output
// needs, such as the classifier of a file that only embeds.
func (b *builder) graph() *onnxpb.GraphProto {
	needed := map[string]bool{}
	for _, out := range b.out.Output {
		needed[out.GetName()] = true
	}
	kept := make([]*onnxpb.NodeProto, len(b.out.Node))
	at := len(kept)
	for i := len(b.out.Node) - 1; i >= 0; i-- { // readers come after what they read
		n := b.out.Node[i]
		if !needed[n.Output[0]] {
			continue
		}
		for _, in := range n.Input {
			needed[in] = true
		}
		at--
		kept[at] = n
	}
	b.out.Node = kept[at:]
	constants := b.out.Initializer
	b.out.Initializer = nil
	for _, t := range constants {
		if needed[t.GetName()] {
			b.out.Initializer = append(b.out.Initializer, t)
		}
	}
	return &b.out
}

func intAttr(name string, v int) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_INT.Enum(), I: proto.Int64(int64(v))}
}

func intsAttr(name string, v ...int) *onnxpb.AttributeProto {
	a := &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_INTS.Enum()}
	for _, x := range v {
		a.Ints = append(a.Ints, int64(x))
	}
	return a
}

func floatAttr(name string, v float32) *onnxpb.AttributeProto {
	return &onnxpb.AttributeProto{Name: proto.String(name), Type: onnxpb.AttributeProto_FLOAT.Enum(), F: proto.Float32(v)}
}
