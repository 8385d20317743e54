package gops

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Runner is an op that computes into memory of its caller's, without
// allocating. Every op made here is one.
type Runner interface {
	gorgonia.Op
	// Run computes dst from the inputs, all physical data of the nodes. dst may
	// be the input that OverwritesInput names, and no other.
	Run(dst []float32, in [][]float32) error
}

// op is the one implementation of gorgonia.Op and gorgonia.SDOp of this
// package; kernels differ in the functions.
type op struct {
	name string
	id   int // unique in its graph: Gorgonia merges nodes of equal hash
	in   []tensor.Shape
	out  tensor.Shape
	run  func(dst []float32, in [][]float32) error
	// inPlace is 1 + the index of an input whose memory may be that of the
	// result; 0 means none.
	inPlace int
	// wrt says which inputs have a gradient; nil means none.
	wrt []bool
	// diff returns the gradients of the inputs, nil where wrt is false.
	diff func(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error)
}

func (o *op) Arity() int { return len(o.in) }

// Type is built afresh at each call, because Gorgonia recycles it.
func (o *op) Type() hm.Type {
	types := make([]hm.Type, 0, len(o.in)+1)
	for _, s := range o.in {
		types = append(types, tensorType(s))
	}
	return hm.NewFnType(append(types, tensorType(o.out))...)
}

func tensorType(s tensor.Shape) hm.Type {
	return gorgonia.TensorType{Dims: s.Dims(), Of: tensor.Float32}
}

func (o *op) InferShape(in ...gorgonia.DimSizer) (tensor.Shape, error) {
	if len(in) != len(o.in) {
		return nil, fmt.Errorf("%s: %d inputs, want %d", o.name, len(in), len(o.in))
	}
	for i, d := range in {
		if s, ok := d.(tensor.Shape); ok && !s.Eq(o.in[i]) {
			return nil, fmt.Errorf("%s: input %d has shape %v, was planned for %v", o.name, i, s, o.in[i])
		}
	}
	return o.out.Clone(), nil
}

// Do serves Gorgonia's own machines; internal/engine/exec calls Run.
func (o *op) Do(values ...gorgonia.Value) (gorgonia.Value, error) {
	if len(values) != len(o.in) {
		return nil, fmt.Errorf("%s: %d inputs, want %d", o.name, len(values), len(o.in))
	}
	in := make([][]float32, len(values))
	for i, v := range values {
		data, ok := v.Data().([]float32)
		if !ok {
			return nil, fmt.Errorf("%s: input %d is %T, want float32", o.name, i, v.Data())
		}
		in[i] = data
	}
	out := tensor.New(tensor.WithShape(o.out...), tensor.Of(tensor.Float32))
	return out, o.Run(out.Data().([]float32), in)
}

func (o *op) Run(dst []float32, in [][]float32) error {
	if err := o.run(dst, in); err != nil {
		return fmt.Errorf("%s: %w", o.name, err)
	}
	return nil
}

func (o *op) DiffWRT(inputs int) []bool {
	if o.wrt == nil {
		return make([]bool, inputs)
	}
	return o.wrt
}

func (o *op) SymDiff(in gorgonia.Nodes, out, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	if o.diff == nil {
		return nil, fmt.Errorf("%s has no gradient", o.name)
	}
	return o.diff(in, out, grad)
}

func (o *op) ReturnsPtr() bool      { return true }
func (o *op) CallsExtern() bool     { return true }
func (o *op) OverwritesInput() int  { return o.inPlace - 1 }
func (o *op) WriteHash(h hash.Hash) { fmt.Fprintf(h, "dml %s #%d", o.name, o.id) }
func (o *op) String() string        { return o.name }

func (o *op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

var (
	_ Runner        = (*op)(nil)
	_ gorgonia.SDOp = (*op)(nil)
)
