package infer

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
)

// Description is what a Backend knows of its network.
type Description struct {
	Path  string // file, or ""
	Input TensorInfo
	// Outputs are all float32 outputs of the file.
	Outputs []TensorInfo
	// Of these the ones that Run gives; without a name where there is none.
	Logits, Probabilities, Embedding TensorInfo
	// Students are those of a file that holds a cohort, in its order. Run gives
	// Outputs.Students where an output of theirs has a name.
	Students []StudentInfo
	// Named are the outputs that Options.Outputs asks for, which Run gives in
	// Outputs.Named, too.
	Named    []TensorInfo
	Metadata map[string]string // of the ONNX file: at least the entries of this toolkit
	Runtime  string            // what computes, and its version
}

// StudentInfo describes what a file that holds a cohort gives of one student.
type StudentInfo struct {
	Name                  string
	Logits, Probabilities TensorInfo // without a name where there is none
}

// TensorInfo describes an input or output.
type TensorInfo struct {
	Name  string
	Dims  []int64 // -1 means dynamic; the first is the batch
	Uint8 bool    // of 8-bit numbers; else float32
}

// Sample returns the number of values of one sample, or 0 where it is not
// fixed, or is beyond what any network needs, or there is no such tensor or no
// batch.
func (t TensorInfo) Sample() int { return onnxmeta.Tensor(t).Sample() }

// CheckInput reports an input that no call could have memory for. Engines call it
// before they load a network.
func (t TensorInfo) CheckInput() error {
	if t.Sample() == 0 {
		return fmt.Errorf("%w: its input %q has the shape %v; only the batch may be dynamic, and the height and width where a preset of its layout gives them; a sample has at most %d values",
			ErrUnsupported, t.Name, t.Dims, onnxmeta.MaxSample)
	}
	if err := onnxmeta.Tensor(t).CheckBatch(); err != nil {
		return fmt.Errorf("%w: its input %w", ErrUnsupported, err)
	}
	return nil
}

// Assign takes over a network's float32 outputs and gives them their roles by
// name. Where none has such a name, the first is the preset's Output, or the
// logits. Of outputs that opts.Outputs does not ask for none has a role. The error
// wraps ErrNoOutput where one is lacking that is asked for.
func (d *Description) Assign(outputs []TensorInfo, opts Options) error {
	d.Outputs = outputs
	found := false
	for _, role := range d.roles() {
		if i := slices.IndexFunc(outputs, func(t TensorInfo) bool { return t.Name == role.name }); i >= 0 {
			*role.info, found = outputs[i], true
		}
	}
	if !found && len(outputs) > 0 {
		want := onnxmeta.Logits
		if opts.Preset != nil && opts.Preset.Output != "" {
			want = opts.Preset.Output
		}
		for _, role := range d.roles() {
			if role.name == want {
				*role.info = outputs[0]
			}
		}
	}
	return d.restrict(opts.Outputs)
}

// restrict leaves only the outputs of these names, where there are names.
func (d *Description) restrict(names []string) error {
	if names == nil {
		return nil
	}
	for _, name := range names {
		i := slices.IndexFunc(d.Outputs, func(t TensorInfo) bool { return t.Name == name })
		if i < 0 {
			return fmt.Errorf("%w %q; it has %s", ErrNoOutput, name, strings.Join(d.names(), ", "))
		}
		if slices.ContainsFunc(d.Named, func(t TensorInfo) bool { return t.Name == name }) {
			return fmt.Errorf("%w: the output %q is asked for twice", ErrWrongInput, name)
		}
		d.Named = append(d.Named, d.Outputs[i])
	}
	for _, role := range d.roles() {
		if !slices.Contains(names, role.info.Name) {
			*role.info = TensorInfo{}
		}
	}
	return nil
}

// names are those of all outputs.
func (d *Description) names() []string {
	out := make([]string, len(d.Outputs))
	for i, t := range d.Outputs {
		out[i] = t.Name
	}
	return out
}

// role is one of the outputs that mean something.
type role struct {
	name string
	info *TensorInfo
}

func (d *Description) roles() []role {
	return []role{{onnxmeta.Logits, &d.Logits}, {onnxmeta.Probabilities, &d.Probabilities}, {onnxmeta.Embedding, &d.Embedding}}
}

// findStudents finds the outputs that the file gives of its students, by name. None
// of these is of the whole, too.
func (d *Description) findStudents(students []string) {
	find := func(student, kind string) TensorInfo {
		name := onnxmeta.StudentOutput(student, kind)
		among := d.Outputs
		if d.Named != nil {
			among = d.Named
		}
		if i := slices.IndexFunc(among, func(t TensorInfo) bool { return t.Name == name }); i >= 0 {
			for _, role := range d.roles() {
				if role.info.Name == name {
					*role.info = TensorInfo{}
				}
			}
			return among[i]
		}
		return TensorInfo{}
	}
	for _, name := range students {
		d.Students = append(d.Students, StudentInfo{
			Name: name, Logits: find(name, onnxmeta.Logits), Probabilities: find(name, onnxmeta.Probabilities),
		})
	}
}

// place is where among Outputs a result goes.
type place struct {
	student int    // -1: those of the whole
	role    int    // index of Outputs.results; -1: none
	name    string // key of Outputs.Named; "": none
}

// wanted lists the outputs of the network that Run gives, and their places.
func (d *Description) wanted() (outputs []TensorInfo, places []place) {
	add := func(t TensorInfo, p place) {
		if t.Name != "" {
			outputs, places = append(outputs, t), append(places, p)
		}
	}
	for i, role := range d.roles() {
		add(*role.info, place{-1, i, ""})
	}
	for i, s := range d.Students {
		add(s.Logits, place{i, 0, ""})
		add(s.Probabilities, place{i, 1, ""})
	}
	for _, t := range d.Named {
		if i := slices.IndexFunc(outputs, func(have TensorInfo) bool { return have.Name == t.Name }); i >= 0 {
			places[i].name = t.Name
		} else {
			add(t, place{-1, -1, t.Name})
		}
	}
	return outputs, places
}

// check reports every contradiction between a graph and its metadata.
func (d *Description) check(meta onnxmeta.Metadata) error {
	outputs := d.Outputs
	if outputs == nil { // of a Backend that only says what it gives
		outputs, _ = d.wanted()
	}
	tensors := make([]onnxmeta.Tensor, len(outputs))
	found := false
	for i, t := range outputs {
		tensors[i] = onnxmeta.Tensor(t)
		found = found || slices.Contains([]string{onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding}, t.Name)
	}
	err := meta.CheckGraph(onnxmeta.Tensor(d.Input), tensors)
	if !found && d.Named == nil {
		err = errors.Join(err, fmt.Errorf("it has none of the outputs %q, %q and %q", onnxmeta.Logits, onnxmeta.Probabilities, onnxmeta.Embedding))
	}
	return err
}

// classCount is the number of classes, 0 where it is not fixed or there are
// none.
func (d *Description) classCount() int { return max(d.Probabilities.Sample(), d.Logits.Sample()) }
