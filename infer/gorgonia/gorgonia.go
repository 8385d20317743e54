// Package gorgonia runs ONNX models on Gorgonia, through onnx-go, behind the
// interface of package infer.
//
//	m, err := infer.Open(infer.Options{Engine: gorgonia.Engine{}}, "student.onnx")
//
// It is a second opinion on a model that needs no shared library and no cgo,
// and shares no code with ONNX Runtime: results of the two that agree are
// hardly both wrong. It is slow, reads plain convolutional networks only, and
// computes one call at a time. For a service, use ONNX Runtime.
package gorgonia

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/owulveryck/onnx-go"
	"github.com/owulveryck/onnx-go/backend/x/gorgonnx"
	"google.golang.org/protobuf/proto"
	"gorgonia.org/tensor"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/onnx/onnxgo"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// Engine is onnx-go, for infer.Options. Of the options, those of ONNX Runtime
// (Library, Threads, Provider) have no effect. Operators that cannot be computed
// give an *OperatorError.
type Engine struct{}

var _ infer.Engine = Engine{}

// Load implements infer.Engine.
func (Engine) Load(src infer.Source, opts infer.Options) (infer.Backend, error) {
	data, err := src.Bytes()
	if err != nil {
		return nil, err
	}
	b, err := newBackend(src.Path, data, opts)
	if err != nil {
		return nil, err // not b, which would be a Backend of no value
	}
	return b, nil
}

// backend holds a model reduced to each of its outputs: onnx-go leaves all but
// one zero, without an error.
type backend struct {
	desc    infer.Description
	reduced []reduced

	mu sync.Mutex // onnx-go computes one call at a time
}

// reduced is a model with one output.
type reduced struct {
	model *onnxpb.ModelProto
	put   func(*infer.Outputs, []float32)
}

func newBackend(path string, data []byte, opts infer.Options) (*backend, error) {
	m := new(onnxpb.ModelProto)
	if err := proto.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("%w: %w", infer.ErrNotONNX, err)
	}
	if m.Graph == nil {
		return nil, fmt.Errorf("%w: it holds no graph", infer.ErrNotONNX)
	}
	b := &backend{desc: infer.Description{Path: path, Runtime: "onnx-go on Gorgonia", Metadata: make(map[string]string)}}
	for _, p := range m.MetadataProps {
		b.desc.Metadata[p.GetKey()] = p.GetValue()
	}
	var err error
	if b.desc.Input, err = soleInput(m.Graph); err != nil {
		return nil, err
	}
	var outputs []infer.TensorInfo
	for _, v := range m.Graph.Output {
		if info, elem := describe(v); elem == onnxpb.TensorProto_FLOAT && len(info.Dims) > 0 {
			outputs = append(outputs, info)
		}
	}
	if err := b.desc.Assign(outputs, opts); err != nil {
		return nil, err
	}
	faults, err := b.reduce(m)
	if err != nil {
		return nil, err
	}
	if len(faults) > 0 {
		return nil, &OperatorError{Operators: faults}
	}
	if len(b.reduced) == 0 {
		return nil, fmt.Errorf("%w: it has no float32 output", infer.ErrUnsupported)
	}
	return b, nil
}

// reduce makes a model of each output that is asked for, and lists what onnx-go
// lacks for them.
func (b *backend) reduce(m *onnxpb.ModelProto) (faults []string, err error) {
	type output struct {
		name string
		put  func(*infer.Outputs, []float32)
	}
	outputs := []output{
		{b.desc.Logits.Name, func(o *infer.Outputs, v []float32) { o.Logits = v }},
		{b.desc.Probabilities.Name, func(o *infer.Outputs, v []float32) { o.Probabilities = v }},
		{b.desc.Embedding.Name, func(o *infer.Outputs, v []float32) { o.Embedding = v }},
	}
	for _, named := range b.desc.Named {
		put := func(o *infer.Outputs, v []float32) {
			if o.Named == nil {
				o.Named = make(map[string][]float32)
			}
			o.Named[named.Name] = v
		}
		if i := slices.IndexFunc(outputs, func(o output) bool { return o.name == named.Name }); i >= 0 {
			role := outputs[i].put
			outputs[i].put = func(o *infer.Outputs, v []float32) {
				role(o, v)
				put(o, v)
			}
		} else {
			outputs = append(outputs, output{named.Name, put})
		}
	}
	for _, out := range outputs {
		if out.name == "" {
			continue
		}
		one := onnxgo.Reduce(m.Graph, out.name)
		lacking := onnxgo.Lacking(one)
		for _, fault := range lacking {
			if !slices.Contains(faults, fault) {
				faults = append(faults, fault)
			}
		}
		if len(lacking) == 0 {
			if err := onnxgo.CheckShapes(one); err != nil {
				return nil, fmt.Errorf("%w: %w", infer.ErrUnsupported, err)
			}
		}
		b.reduced = append(b.reduced, reduced{&onnxpb.ModelProto{IrVersion: m.IrVersion, OpsetImport: m.OpsetImport, Graph: one}, out.put})
	}
	return faults, nil
}

// soleInput returns the one input of a graph that is not a weight.
func soleInput(g *onnxpb.GraphProto) (infer.TensorInfo, error) {
	weights := make(map[string]bool)
	for _, w := range g.Initializer {
		weights[w.GetName()] = true
	}
	var inputs []*onnxpb.ValueInfoProto
	for _, v := range g.Input {
		if !weights[v.GetName()] {
			inputs = append(inputs, v)
		}
	}
	if len(inputs) != 1 {
		return infer.TensorInfo{}, fmt.Errorf("%w: it has %d inputs, one is needed", infer.ErrUnsupported, len(inputs))
	}
	info, elem := describe(inputs[0])
	if elem != onnxpb.TensorProto_FLOAT {
		return infer.TensorInfo{}, fmt.Errorf("%w: its input %q is %v, a float32 tensor is needed", infer.ErrUnsupported, info.Name, elem)
	}
	return info, info.CheckInput()
}

func describe(v *onnxpb.ValueInfoProto) (infer.TensorInfo, onnxpb.TensorProto_DataType) {
	info := infer.TensorInfo{Name: v.GetName()}
	t := v.GetType().GetTensorType()
	for _, d := range t.GetShape().GetDim() {
		size := int64(-1)
		if _, fixed := d.GetValue().(*onnxpb.TensorShapeProto_Dimension_DimValue); fixed {
			size = d.GetDimValue()
		}
		info.Dims = append(info.Dims, size)
	}
	return info, onnxpb.TensorProto_DataType(t.GetElemType())
}

// Describe describes the model.
func (b *backend) Describe() infer.Description { return b.desc }

// Close has nothing to free.
func (b *backend) Close() error { return nil }

// Run computes each output in turn. A context is heeded between them only.
func (b *backend) Run(ctx context.Context, n int, fill func(infer.Input) error) (infer.Outputs, error) {
	// One sample is computed beside a second of zeros: a batch of one lets
	// onnx-go's operators write over what others still read, and the results of
	// networks with unfused batch norm are wrong, without an error.
	sample, batch := b.desc.Input.Sample(), max(n, 2)
	in := make([]float32, batch*sample)
	if err := fill(infer.Input{Float32: in[:n*sample]}); err != nil {
		return infer.Outputs{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	out := infer.Outputs{N: n}
	for _, r := range b.reduced {
		if ctx.Err() != nil {
			return infer.Outputs{}, fmt.Errorf("%w: %w", infer.ErrCancelled, context.Cause(ctx))
		}
		v, err := r.run(b.desc.Input, batch, in)
		if err != nil {
			return infer.Outputs{}, fmt.Errorf("%w: onnx-go: %w", infer.ErrUnsupported, err)
		}
		r.put(&out, v[:len(v)/batch*n])
	}
	return out, nil
}

// run computes the output for n samples. The graph is made anew for each call:
// onnx-go needs the batch before it reads a model, and a second run of a graph
// may meet weights that the first has written over.
func (r reduced) run(info infer.TensorInfo, n int, in []float32) (_ []float32, err error) {
	defer func() {
		if fault := recover(); fault != nil { // onnx-go's and Gorgonia's way with shapes they do not expect
			err = fmt.Errorf("%v", fault)
		}
	}()
	for _, v := range append(r.model.Graph.Input, r.model.Graph.Output...) {
		v.Type.GetTensorType().Shape.Dim[0].Value = &onnxpb.TensorShapeProto_Dimension_DimValue{DimValue: int64(n)}
	}
	data, err := proto.Marshal(r.model)
	if err != nil {
		return nil, err
	}
	graph := gorgonnx.NewGraph()
	m := onnx.NewModel(graph)
	if err := m.UnmarshalBinary(data); err != nil {
		return nil, err
	}
	shape := tensor.Shape{n}
	for _, d := range info.Dims[1:] {
		shape = append(shape, int(d))
	}
	if err := m.SetInput(0, tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(in)))); err != nil {
		return nil, err
	}
	if err := graph.Run(); err != nil {
		return nil, err
	}
	out, err := m.GetOutputTensors()
	if err != nil {
		return nil, err
	}
	if len(out) != 1 {
		return nil, fmt.Errorf("it gives %d outputs for one", len(out))
	}
	v, ok := out[0].Data().([]float32)
	if !ok || len(v)%n != 0 {
		return nil, fmt.Errorf("it gives %v of shape %v for %d samples", out[0].Dtype(), out[0].Shape(), n)
	}
	return v, nil
}

var _ infer.Backend = (*backend)(nil)
