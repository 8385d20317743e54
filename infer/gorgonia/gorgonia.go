// Package gorgonia runs ONNX models on Gorgonia, through onnx-go, behind the
// interface of package infer.
//
// It is a second opinion on a model that needs no shared library and no cgo,
// and shares no code with ONNX Runtime: results of the two that agree are
// hardly both wrong. It is slow, reads plain convolutional networks only, and
// computes one call at a time. To serve, use package infer.
package gorgonia

import (
	"context"
	"fmt"
	"os"
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

// Open loads a model from a file. Of the options, those of ONNX Runtime
// (Library, Threads, Provider) have no effect. The error wraps that of reading
// the file, infer.ErrNotONNX, or infer.ErrUnsupported; operators that cannot be
// computed give an *OperatorError.
func Open(path string, opts infer.Options) (*infer.Model, error) {
	info, err := os.Stat(path) // opening a special file could block for ever
	if err != nil {
		return nil, fmt.Errorf("infer/gorgonia: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("infer/gorgonia: %s: %w: it is a folder or special file", path, infer.ErrNotONNX)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("infer/gorgonia: %w", err)
	}
	return open(path, data, opts)
}

// OpenBytes loads a model from the bytes of an ONNX file, as Open does.
func OpenBytes(model []byte, opts infer.Options) (*infer.Model, error) {
	return open("", model, opts)
}

func open(path string, data []byte, opts infer.Options) (*infer.Model, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	b, err := newBackend(path, data, opts.Preset)
	if err != nil {
		if path != "" {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return nil, fmt.Errorf("infer/gorgonia: %w", err)
	}
	return infer.New(b, opts)
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

func newBackend(path string, data []byte, preset *infer.Preset) (*backend, error) {
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
	b.desc.Assign(outputs, preset)
	var faults []string
	for _, out := range []struct {
		name string
		put  func(*infer.Outputs, []float32)
	}{
		{b.desc.Logits.Name, func(o *infer.Outputs, v []float32) { o.Logits = v }},
		{b.desc.Probabilities.Name, func(o *infer.Outputs, v []float32) { o.Probabilities = v }},
		{b.desc.Embedding.Name, func(o *infer.Outputs, v []float32) { o.Embedding = v }},
	} {
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
	if len(faults) > 0 {
		return nil, &OperatorError{Operators: faults}
	}
	if len(b.reduced) == 0 {
		return nil, fmt.Errorf("%w: it has no float32 output", infer.ErrUnsupported)
	}
	return b, nil
}

// soleInput returns the one input of a graph that is no weight.
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
	if elem != onnxpb.TensorProto_FLOAT || info.Sample() == 0 {
		return infer.TensorInfo{}, fmt.Errorf("%w: its input %q is %v %v; a float32 tensor is needed, of which only the batch may be dynamic",
			infer.ErrUnsupported, info.Name, elem, info.Dims)
	}
	return info, nil
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
