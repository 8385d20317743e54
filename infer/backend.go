package infer

import (
	"context"
	"fmt"
	"slices"

	"github.com/deepmutual/dml/internal/onnx/onnxmeta"
)

// Backend computes one network. Open uses ONNX Runtime; [New] makes a Model of
// any other, which then prepares images, checks metadata and embeds as ever.
// Package infer/gorgonia is one.
type Backend interface {
	Describe() Description
	// Run computes n samples, which fill writes into the input: n times the
	// sample that Describe tells. Several calls may run at a time. The result is
	// the caller's own.
	Run(ctx context.Context, n int, fill func(Input) error) (Outputs, error)
	// Close frees the network. No call is under way then.
	Close() error
}

// inPlace is a Backend that can read samples where they are.
type inPlace interface {
	runOn(ctx context.Context, n int, in Input) (Outputs, error)
}

// Description is what a Backend knows of its network.
type Description struct {
	Path  string // file, or ""
	Input TensorInfo
	// The outputs that Run gives; without a name where there is none.
	Logits, Probabilities, Embedding TensorInfo
	// Students are those of a file that holds a cohort, in its order. Run gives
	// Outputs.Students where an output of theirs has a name.
	Students []StudentInfo
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

// Input is memory for the samples of a call, in one of its fields: which one,
// TensorInfo.Uint8 tells.
type Input struct {
	Float32 []float32
	Uint8   []uint8
}

// Sample returns the number of values of one sample, or 0 where it is not
// fixed, or is beyond what any network needs, or there is no such tensor or no
// batch.
func (t TensorInfo) Sample() int { return onnxmeta.Tensor(t).Sample() }

// Assign gives a network's float32 outputs their roles by name. Where none has
// such a name, the first is the preset's Output, or the logits.
func (d *Description) Assign(outputs []TensorInfo, preset *Preset) {
	found := false
	for _, role := range d.roles() {
		if i := slices.IndexFunc(outputs, func(t TensorInfo) bool { return t.Name == role.name }); i >= 0 {
			*role.info, found = outputs[i], true
		}
	}
	if found || len(outputs) == 0 {
		return
	}
	want := onnxmeta.Logits
	if preset != nil && preset.Output != "" {
		want = preset.Output
	}
	for _, role := range d.roles() {
		if role.name == want {
			*role.info = outputs[0]
		}
	}
}

// role is one of the outputs that mean something.
type role struct {
	name string
	info *TensorInfo
}

func (d *Description) roles() []role {
	return []role{{onnxmeta.Logits, &d.Logits}, {onnxmeta.Probabilities, &d.Probabilities}, {onnxmeta.Embedding, &d.Embedding}}
}

// results returns the slice of each role, in the order of roles.
func (o *Outputs) results() [3]*[]float32 {
	return [3]*[]float32{&o.Logits, &o.Probabilities, &o.Embedding}
}

// named finds the outputs that the file gives of its students, by name.
func (d *Description) named(students []string, outputs []TensorInfo) {
	find := func(student, kind string) TensorInfo {
		name := onnxmeta.StudentOutput(student, kind)
		if i := slices.IndexFunc(outputs, func(t TensorInfo) bool { return t.Name == name }); i >= 0 {
			return outputs[i]
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
	student int // -1: those of the whole
	role    int // index of Outputs.results
}

// wanted lists the outputs of the network that mean something, and their places.
func (d *Description) wanted() (outputs []TensorInfo, places []place) {
	add := func(t TensorInfo, p place) {
		if t.Name != "" {
			outputs, places = append(outputs, t), append(places, p)
		}
	}
	for i, role := range d.roles() {
		add(*role.info, place{-1, i})
	}
	for i, s := range d.Students {
		add(s.Logits, place{i, 0})
		add(s.Probabilities, place{i, 1})
	}
	return outputs, places
}

// at returns the slice of a place; students is how many there are.
func (o *Outputs) at(p place, students int) *[]float32 {
	if p.student < 0 {
		return o.results()[p.role]
	}
	if o.Students == nil {
		o.Students = make([]Outputs, students)
		for i := range o.Students {
			o.Students[i].N = o.N
		}
	}
	return o.Students[p.student].results()[p.role]
}

// newInput returns memory for n samples of the given size.
func newInput(t TensorInfo, n, sample int) Input {
	if t.Uint8 {
		return Input{Uint8: make([]uint8, n*sample)}
	}
	return Input{Float32: make([]float32, n*sample)}
}

// part returns the samples from up to to, each of the given size.
func (in Input) part(from, to, sample int) Input {
	if in.Uint8 != nil {
		return Input{Uint8: in.Uint8[from*sample : to*sample]}
	}
	return Input{Float32: in.Float32[from*sample : to*sample]}
}

// copyFrom fills in with other, which has as many values or fewer.
func (in Input) copyFrom(other Input) {
	copy(in.Float32, other.Float32)
	copy(in.Uint8, other.Uint8)
}

// first returns the results of the first n samples.
func (o Outputs) first(n int) Outputs { return o.part(0, n) }

// part returns the results of the samples from up to to.
func (o Outputs) part(from, to int) Outputs {
	out := Outputs{N: to - from}
	results := out.results()
	for i, all := range o.results() {
		if *all != nil {
			width := len(*all) / o.N
			*results[i] = (*all)[from*width : to*width : to*width]
		}
	}
	if o.Students != nil {
		out.Students = make([]Outputs, len(o.Students))
		for i, s := range o.Students {
			out.Students[i] = s.part(from, to)
		}
	}
	return out
}

// add puts the results of more samples behind o's.
func (o *Outputs) add(more Outputs) {
	o.N += more.N
	into := o.results()
	for i, v := range more.results() {
		*into[i] = append(*into[i], *v...)
	}
	if o.Students == nil && more.Students != nil {
		o.Students = make([]Outputs, len(more.Students))
	}
	for i, s := range more.Students {
		o.Students[i].add(s)
	}
}

// chunked runs n samples on a backend whose batch is fixed: in batches of that
// size, the last filled up with zeros whose results are dropped.
func chunked(ctx context.Context, b Backend, batch, n int, fill func(Input) error) (Outputs, error) {
	info := b.Describe().Input
	sample := info.Sample()
	whole := newInput(info, (n+batch-1)/batch*batch, sample)
	if err := fill(whole.part(0, n, sample)); err != nil {
		return Outputs{}, err
	}
	var out Outputs
	for at := 0; at < n; at += batch {
		part, err := b.Run(ctx, batch, func(dst Input) error {
			dst.copyFrom(whole.part(at, at+batch, sample))
			return nil
		})
		if err != nil {
			return Outputs{}, err
		}
		if part.N != batch {
			return Outputs{}, fmt.Errorf("%w: results of %d samples for a batch of %d", ErrUnsupported, part.N, batch)
		}
		out.add(part.first(min(batch, n-at)))
	}
	return out, nil
}
