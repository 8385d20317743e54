// Package onnxcheck looks for structural faults of ONNX models.
package onnxcheck

import (
	"errors"
	"fmt"
	"math"

	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// Model reports every structural fault of a model, which holds a graph, joined:
// those that export.Check tells of.
func Model(m *onnxpb.ModelProto) error {
	c := &checker{sources: map[string]string{}}
	if m.GetIrVersion() < 1 {
		c.fault("ir_version is %d", m.GetIrVersion())
	}
	if len(m.OpsetImport) == 0 {
		c.fault("no operator set is imported")
	}
	keys := map[string]bool{}
	for _, p := range m.MetadataProps {
		if keys[p.GetKey()] {
			c.fault("metadata key %q occurs twice", p.GetKey())
		}
		keys[p.GetKey()] = true
	}
	c.graph(m.Graph)
	return errors.Join(c.faults...)
}

type checker struct {
	sources map[string]string // tensor to where it comes from
	faults  []error
}

func (c *checker) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Errorf("model: "+format, args...))
}

// define records where a tensor comes from.
func (c *checker) define(name, source string) {
	if name == "" {
		c.fault("%s defines a tensor without a name", source)
		return
	}
	if other, dup := c.sources[name]; dup {
		c.fault("tensor %q comes from %s and from %s", name, other, source)
		return
	}
	c.sources[name] = source
}

func (c *checker) graph(g *onnxpb.GraphProto) {
	constants := map[string]bool{}
	for _, t := range g.Initializer {
		c.define(t.GetName(), "an initializer")
		c.tensor(t)
		constants[t.GetName()] = true
	}
	for _, t := range g.SparseInitializer {
		c.define(t.GetValues().GetName(), "a sparse initializer")
		constants[t.GetValues().GetName()] = true
	}
	for _, in := range g.Input {
		if !constants[in.GetName()] { // an input with an initializer has a default
			c.define(in.GetName(), "the input")
		}
	}
	nodes := map[string]bool{}
	for i, n := range g.Node {
		label := fmt.Sprintf("node %q (%s)", n.GetName(), n.GetOpType())
		if n.GetName() == "" {
			label = fmt.Sprintf("node %d (%s)", i, n.GetOpType())
		} else if nodes[n.GetName()] {
			c.fault("two nodes are named %q", n.GetName())
		}
		nodes[n.GetName()] = true
		if n.GetOpType() == "" {
			c.fault("%s has no operator", label)
		}
		for _, in := range n.Input {
			if _, ok := c.sources[in]; in != "" && !ok {
				c.fault("%s reads %q, which nothing before it produces", label, in)
			}
		}
		for _, out := range n.Output {
			if out != "" { // an optional output that is not wanted
				c.define(out, label)
			}
		}
	}
	if len(g.Output) == 0 {
		c.fault("the graph has no output")
	}
	outputs := map[string]bool{}
	for _, out := range g.Output {
		if _, ok := c.sources[out.GetName()]; !ok {
			c.fault("output %q is produced by no node", out.GetName())
		}
		if outputs[out.GetName()] {
			c.fault("output %q is listed twice", out.GetName())
		}
		outputs[out.GetName()] = true
	}
}

// elementBytes returns the size of a type whose raw data is byte-addressed, 0
// for any other.
func elementBytes(t onnxpb.TensorProto_DataType) int64 {
	switch t {
	case onnxpb.TensorProto_BOOL, onnxpb.TensorProto_INT8, onnxpb.TensorProto_UINT8:
		return 1
	case onnxpb.TensorProto_INT16, onnxpb.TensorProto_UINT16, onnxpb.TensorProto_FLOAT16, onnxpb.TensorProto_BFLOAT16:
		return 2
	case onnxpb.TensorProto_INT32, onnxpb.TensorProto_UINT32, onnxpb.TensorProto_FLOAT:
		return 4
	case onnxpb.TensorProto_INT64, onnxpb.TensorProto_UINT64, onnxpb.TensorProto_DOUBLE:
		return 8
	}
	return 0
}

// tensor compares a constant's raw data with its shape. Data in typed fields
// or outside the file is not counted.
func (c *checker) tensor(t *onnxpb.TensorProto) {
	elements := int64(1)
	for _, d := range t.Dims {
		if d < 0 || (d > 0 && elements > math.MaxInt32/d) {
			c.fault("initializer %q has the shape %v", t.GetName(), t.Dims)
			return
		}
		elements *= d
	}
	size := elementBytes(onnxpb.TensorProto_DataType(t.GetDataType()))
	if size == 0 || t.RawData == nil {
		return
	}
	if want := elements * size; int64(len(t.RawData)) != want {
		c.fault("initializer %q of shape %v holds %d bytes, needs %d", t.GetName(), t.Dims, len(t.RawData), want)
	}
}
