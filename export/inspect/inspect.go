// Package inspect tells what an ONNX file holds, whoever made it, and what can
// run it. It reads the file's protobuf alone and runs nothing, so that files of
// unknown origin can be looked into.
package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/internal/onnx/onnxcheck"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
)

// ErrTooLarge is wrapped by File for a file that no ONNX model can be.
var ErrTooLarge = errors.New("larger than an ONNX file can be")

// maxBytes is protobuf's limit for a message.
const maxBytes = math.MaxInt32

// Report describes an ONNX model. Texts are as in the file, which may hold
// anything.
type Report struct {
	Path      string     `json:"path,omitempty"`
	Bytes     int64      `json:"bytes"`
	IRVersion int64      `json:"ir_version"`
	Producer  string     `json:"producer,omitempty"`
	Opsets    []Opset    `json:"opsets"`
	Inputs    []Tensor   `json:"inputs"` // those without a default value
	Outputs   []Tensor   `json:"outputs"`
	Operators []Operator `json:"operators"` // most frequent first
	// Constants are the tensors in the file, by their types.
	Constants []Constants `json:"constants"`
	// External names the files that hold tensors beside the model.
	External      []string          `json:"external,omitempty"`
	Metadata      map[string]string `json:"metadata"`
	Normalisation Normalisation     `json:"normalisation"`
	// Faults are those that export.Check finds.
	Faults []string `json:"faults,omitempty"`
	// Infer and Gorgonia say whether package infer, on ONNX Runtime, and
	// package infer/gorgonia, on onnx-go, can run the model.
	Infer    Support `json:"infer"`
	Gorgonia Support `json:"infer_gorgonia"`
}

// Opset is a version of a set of operators; ONNX's own domain is "".
type Opset struct {
	Domain  string `json:"domain"`
	Version int64  `json:"version"`
}

// Tensor is an input or output. Extents of its shape are numbers or names; "?"
// is one that the file leaves open. A nil shape is of any rank.
type Tensor struct {
	Name  string   `json:"name"`
	Type  string   `json:"type"` // such as "float"; "" for what is not a tensor
	Shape []string `json:"shape"`
}

// Operator counts the nodes of one operator, nested graphs and the functions that
// the model defines included.
type Operator struct {
	Domain string `json:"domain,omitempty"`
	Name   string `json:"name"`
	Count  int    `json:"count"`
}

// Constants sums up the constant tensors of one type.
type Constants struct {
	Type    string `json:"type"`
	Tensors int    `json:"tensors"`
	Values  int64  `json:"values"`
}

// File inspects the model in a file, as Bytes does.
func File(path string) (*Report, error) {
	info, err := os.Stat(path) // opening a special file could block for ever
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("inspect: %s: %w: it is a folder or special file", path, export.ErrNotONNX)
	}
	if info.Size() > maxBytes {
		return nil, fmt.Errorf("inspect: %s: %w: %d bytes, and protobuf's limit is %d; models with more weights keep them in files of their own",
			path, ErrTooLarge, info.Size(), maxBytes)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("inspect: %w", err)
	}
	report, err := Bytes(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	report.Path = path
	report.lookFor(filepath.Dir(path))
	return report, nil
}

// lookFor notes the files of weights that are not in a folder.
func (r *Report) lookFor(dir string) {
	for _, name := range r.External {
		reason := "is outside the model's folder"
		if filepath.IsLocal(name) {
			info, err := os.Stat(filepath.Join(dir, name))
			if err == nil && info.Mode().IsRegular() {
				continue
			}
			reason = "is not there"
		}
		r.Infer.Runs, r.Infer.Outputs = false, nil
		r.Infer.note("the file of weights %q %s", name, reason)
	}
}

// Bytes inspects the bytes of a model. The error wraps export.ErrNotONNX for
// those of no model.
func Bytes(data []byte) (*Report, error) {
	var m onnxpb.ModelProto
	if err := proto.Unmarshal(data, &m); err != nil {
		return nil, fmt.Errorf("inspect: %w: %w", export.ErrNotONNX, err)
	}
	if m.Graph == nil {
		return nil, fmt.Errorf("inspect: %w: it holds no graph", export.ErrNotONNX)
	}
	r := &Report{
		Bytes: int64(len(data)), IRVersion: m.GetIrVersion(), Metadata: map[string]string{},
		Producer: strings.TrimSpace(m.GetProducerName() + " " + m.GetProducerVersion()),
	}
	for _, o := range m.OpsetImport {
		domain := o.GetDomain()
		if domain == "ai.onnx" {
			domain = ""
		}
		r.Opsets = append(r.Opsets, Opset{domain, o.GetVersion()})
	}
	for _, p := range m.MetadataProps {
		r.Metadata[p.GetKey()] = p.GetValue()
	}
	r.tensors(m.Graph)
	r.census(&m)
	if err := onnxcheck.Model(&m); err != nil {
		r.Faults = strings.Split(err.Error(), "\n")
	}
	r.Normalisation = normalisation(r, m.Graph)
	r.Infer = inferSupport(r, m.Functions)
	r.Gorgonia = gorgoniaSupport(r, m.Graph)
	return r, nil
}

func (r *Report) tensors(g *onnxpb.GraphProto) {
	constants := map[string]bool{}
	for _, t := range g.Initializer {
		constants[t.GetName()] = true
	}
	for _, t := range g.SparseInitializer {
		constants[t.GetValues().GetName()] = true
	}
	for _, in := range g.Input {
		if !constants[in.GetName()] {
			r.Inputs = append(r.Inputs, describe(in))
		}
	}
	for _, out := range g.Output {
		r.Outputs = append(r.Outputs, describe(out))
	}
}

func describe(v *onnxpb.ValueInfoProto) Tensor {
	t := Tensor{Name: v.GetName()}
	tensor := v.GetType().GetTensorType()
	if tensor == nil {
		return t
	}
	t.Type = typeName(tensor.GetElemType())
	if tensor.Shape == nil {
		return t
	}
	t.Shape = []string{}
	for _, d := range tensor.Shape.Dim {
		switch v := d.GetValue().(type) {
		case *onnxpb.TensorShapeProto_Dimension_DimValue:
			t.Shape = append(t.Shape, strconv.FormatInt(v.DimValue, 10))
		case *onnxpb.TensorShapeProto_Dimension_DimParam:
			t.Shape = append(t.Shape, v.DimParam)
		default:
			t.Shape = append(t.Shape, "?")
		}
	}
	return t
}

// typeName is the ONNX name of a tensor's type in lower case, as in "float".
func typeName(t int32) string { return strings.ToLower(onnxpb.TensorProto_DataType(t).String()) }

// census counts the operators and constants of a model's graph, of those nested in
// it, and of the functions that the model defines.
func (r *Report) census(m *onnxpb.ModelProto) {
	operators, constants, external := map[Operator]int{}, map[string]*Constants{}, map[string]bool{}
	add := func(t *onnxpb.TensorProto) {
		name := typeName(t.GetDataType())
		if constants[name] == nil {
			constants[name] = &Constants{Type: name}
		}
		constants[name].Tensors++
		constants[name].Values += elements(t.Dims)
		if t.GetDataLocation() == onnxpb.TensorProto_EXTERNAL || len(t.ExternalData) > 0 {
			location := ""
			for _, e := range t.ExternalData {
				if e.GetKey() == "location" {
					location = e.GetValue()
				}
			}
			external[location] = true
		}
	}
	stack := []*onnxpb.GraphProto{m.Graph}
	for _, f := range m.Functions {
		stack = append(stack, &onnxpb.GraphProto{Node: f.Node})
	}
	for len(stack) > 0 {
		top := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		for _, t := range top.GetInitializer() {
			add(t)
		}
		for _, t := range top.GetSparseInitializer() {
			if values := t.GetValues(); values != nil {
				add(values)
			}
		}
		for _, n := range top.GetNode() {
			operators[Operator{Domain: n.GetDomain(), Name: n.GetOpType()}]++
			for _, a := range n.GetAttribute() {
				if a.T != nil {
					add(a.T)
				}
				for _, t := range a.Tensors {
					add(t)
				}
				if a.G != nil {
					stack = append(stack, a.G)
				}
				stack = append(stack, a.Graphs...)
			}
		}
	}
	for op, n := range operators {
		op.Count = n
		r.Operators = append(r.Operators, op)
	}
	slices.SortFunc(r.Operators, func(a, b Operator) int {
		return cmp.Or(b.Count-a.Count, strings.Compare(a.Name, b.Name), strings.Compare(a.Domain, b.Domain))
	})
	for _, c := range constants {
		r.Constants = append(r.Constants, *c)
	}
	slices.SortFunc(r.Constants, func(a, b Constants) int { return strings.Compare(a.Type, b.Type) })
	for location := range external {
		r.External = append(r.External, location)
	}
	slices.Sort(r.External)
}

// elements is the number of values of a shape; of an impossible one, 0.
func elements(dims []int64) int64 {
	n := int64(1)
	for _, d := range dims {
		if d < 0 || d > 0 && n > math.MaxInt32/d {
			return 0
		}
		n *= d
	}
	return n
}
