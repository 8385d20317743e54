package inspect

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/deepmutual/dml/internal/onnx/onnxgo"
	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
	"github.com/deepmutual/dml/internal/onnx/onnxpb"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

// Support says whether something can run a model, as far as the file tells.
type Support struct {
	Runs bool `json:"runs"`
	// Outputs are those that it can compute.
	Outputs []string `json:"outputs,omitempty"`
	// Notes say why not, or what else a caller must know.
	Notes []string `json:"notes,omitempty"`
}

func (s *Support) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// domains are those whose operators ONNX Runtime has.
var domains = []string{"", "ai.onnx", "ai.onnx.ml", "com.microsoft"}

// inferSupport applies what package infer asks of a model that defines those
// functions.
func inferSupport(r *Report, functions []*onnxpb.FunctionProto) Support {
	var s Support
	meta, err := onnxmeta.Parse(r.Metadata)
	foreign := errors.Is(err, onnxmeta.ErrNone)
	reason, openSize := interfaceFault(r, foreign)
	if reason != "" {
		s.note("%s", reason)
	}
	if len(r.Faults) > 0 {
		s.note("the file is faulty")
	}
	if r.IRVersion > ortlib.NewestIR {
		s.note("version %d of the file format is newer than %d, which ONNX Runtime %s ends at", r.IRVersion, ortlib.NewestIR, ortlib.Wanted)
	}
	s.noteOperators(r, functions)
	if s.Outputs = served(r.Outputs, foreign); len(s.Outputs) == 0 && foreign {
		s.note("it has no float32 output")
	} else if len(s.Outputs) == 0 {
		s.note("it has none of the float32 outputs %s, %s and %s", onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding)
	}
	if len(s.Notes) == 0 && !foreign {
		if err == nil {
			err = meta.CheckGraph(tensor(r.Inputs[0]), fixed(r.Outputs))
		}
		if err != nil {
			for text := range strings.SplitSeq(err.Error(), "\n") {
				s.note("%s", text)
			}
		}
	}
	s.Runs = len(s.Notes) == 0
	if !s.Runs {
		s.Outputs = nil
		return s
	}
	for _, out := range r.Outputs {
		student, kind, _ := strings.Cut(out.Name, "/")
		if out.Type == "float" && slices.Contains(meta.Students, student) && onnxmeta.IsStudentOutput(student+"/"+kind) {
			s.Outputs = append(s.Outputs, out.Name)
		}
	}
	switch {
	case openSize:
		s.note("without this toolkit's metadata, and of open height and width: only with a preset that gives them")
	case foreign:
		s.note("without this toolkit's metadata: on prepared tensors, or with a preset for images")
	}
	if len(r.External) > 0 {
		s.note("its weights are in other files: open it by its path")
	}
	return s
}

// noteOperators notes what ONNX Runtime lacks.
func (s *Support) noteOperators(r *Report, functions []*onnxpb.FunctionProto) {
	for _, set := range r.Opsets {
		if set.Domain == "" && set.Version > ortlib.NewestOpset {
			s.note("operator set %d is newer than %d, which ONNX Runtime %s ends at", set.Version, ortlib.NewestOpset, ortlib.Wanted)
		}
	}
	for _, op := range r.Operators {
		defined := slices.ContainsFunc(functions, func(f *onnxpb.FunctionProto) bool {
			return f.GetDomain() == op.Domain && f.GetName() == op.Name
		})
		if !defined && !slices.Contains(domains, op.Domain) {
			s.note("operator %s of the domain %q is none of ONNX Runtime's", op.Name, op.Domain)
		}
	}
}

// served lists the outputs that package infer gives: those of the names that it
// knows, and of a foreign model with none of them the first.
func served(outputs []Tensor, foreign bool) []string {
	var known, all []string
	for _, out := range outputs {
		if out.Type != "float" || out.Shape != nil && len(out.Shape) == 0 { // a number, of no sample
			continue
		}
		all = append(all, out.Name)
		if slices.Contains([]string{onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding}, out.Name) {
			known = append(known, out.Name)
		}
	}
	if len(known) == 0 && foreign {
		return all[:min(1, len(all))]
	}
	return known
}

// tensor describes t as package infer sees it.
func tensor(t Tensor) onnxmeta.Tensor {
	out := onnxmeta.Tensor{Name: t.Name, Uint8: t.Type == "uint8"}
	for _, extent := range t.Shape {
		n, err := strconv.ParseInt(extent, 10, 64)
		if err != nil {
			n = -1
		}
		out.Dims = append(out.Dims, n)
	}
	return out
}

// fixed returns the float32 outputs whose size the file gives. That of others
// ONNX Runtime infers.
func fixed(outputs []Tensor) []onnxmeta.Tensor {
	var out []onnxmeta.Tensor
	for _, t := range outputs {
		if sized := tensor(t); t.Type == "float" && sized.Sample() > 0 {
			out = append(out, sized)
		}
	}
	return out
}

// interfaceFault says what of the inputs package infer cannot feed, and whether a
// preset must give the height and width.
func interfaceFault(r *Report, foreign bool) (reason string, openSize bool) {
	if len(r.Inputs) != 1 {
		return fmt.Sprintf("it has %d inputs, one is needed", len(r.Inputs)), false
	}
	in := r.Inputs[0]
	if in.Type != "float" && in.Type != "uint8" {
		return fmt.Sprintf("its input is of type %q, float or uint8 is needed", in.Type), false
	}
	if len(in.Shape) == 0 {
		return "its input has no shape", false
	}
	sized := tensor(in)
	if err := sized.CheckBatch(); err != nil {
		return "its input " + err.Error(), false
	}
	if sized.Sample() > 0 {
		return "", false
	}
	for _, sides := range [][]int{{2, 3}, {1, 2}} { // of NCHW and NHWC
		given := slices.Clone(sized.Dims)
		for _, i := range sides {
			if len(given) == 4 && given[i] < 0 {
				given[i] = 1
			}
		}
		if foreign && (onnxmeta.Tensor{Name: in.Name, Dims: given}).Sample() > 0 {
			return "", true
		}
	}
	return fmt.Sprintf("its input has the shape [%s]; only the batch may be open, and a sample has at most %d values",
		strings.Join(in.Shape, ", "), onnxmeta.MaxSample), false
}

// gorgoniaSupport applies what package infer/gorgonia asks of a model, which is
// more than package infer does.
func gorgoniaSupport(r *Report, g *onnxpb.GraphProto) Support {
	var s Support
	if !r.Infer.Runs {
		s.Notes = slices.Clone(r.Infer.Notes)
		return s
	}
	if r.Inputs[0].Type != "float" {
		s.note("its input is of type %s, float is needed", r.Inputs[0].Type)
		return s
	}
	if tensor(r.Inputs[0]).Sample() == 0 {
		s.note("its input has the shape [%s]; only the batch may be open", strings.Join(r.Inputs[0].Shape, ", "))
		return s
	}
	if len(r.External) > 0 {
		s.note("its weights are in other files")
		return s
	}
	for _, c := range r.Constants {
		if c.Type == "float16" || c.Type == "bfloat16" {
			s.note("%d constants are of type %s, which onnx-go lacks", c.Tensors, c.Type)
			return s
		}
	}
	var operators []string
	lacking := map[string][]string{} // by operator, the outputs that need it
	for _, output := range r.Infer.Outputs {
		one := onnxgo.Reduce(g, output)
		missing := onnxgo.Lacking(one)
		for _, op := range missing {
			if lacking[op] == nil {
				operators = append(operators, op)
			}
			lacking[op] = append(lacking[op], output)
		}
		if len(missing) > 0 {
			continue
		}
		if err := onnxgo.CheckShapes(one); err != nil {
			s.note("%v", err)
		}
	}
	slices.Sort(operators)
	for _, op := range operators {
		if len(lacking[op]) == len(r.Infer.Outputs) {
			s.note("onnx-go does not compute %s", op)
		} else {
			s.note("onnx-go does not compute %s, which %s needs; a file without that output would do", op, strings.Join(lacking[op], ", "))
		}
	}
	if s.Runs = len(s.Notes) == 0; s.Runs {
		s.Outputs = slices.Clone(r.Infer.Outputs)
	}
	return s
}
