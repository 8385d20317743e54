package infer

import (
	"math"
	"slices"
)

// Outputs holds the raw results of N samples, each row-major with N rows. A
// result that the model does not give is nil.
type Outputs struct {
	N             int
	Logits        []float32 // [N, classes]
	Probabilities []float32 // [N, classes]
	Embedding     []float32 // [N, features], as the network gives it
	// Named are the outputs that Options.Outputs asks for, [N, ...], of a single
	// network.
	Named map[string][]float32
	// Students are the outputs of each student, of several networks and of a file
	// that holds a cohort, in the order of Info.StudentNames. It is nil for a single
	// student, and for a file that gives outputs of the whole alone.
	Students []Outputs
}

// results returns the slice of each role, in the order of roles.
func (o *Outputs) results() [3]*[]float32 {
	return [3]*[]float32{&o.Logits, &o.Probabilities, &o.Embedding}
}

// put stores the values of a place; students is how many there are.
func (o *Outputs) put(p place, students int, values []float32) {
	if p.name != "" {
		if o.Named == nil {
			o.Named = make(map[string][]float32)
		}
		o.Named[p.name] = values
	}
	switch {
	case p.role < 0:
	case p.student < 0:
		*o.results()[p.role] = values
	default:
		if o.Students == nil {
			o.Students = make([]Outputs, students)
			for i := range o.Students {
				o.Students[i].N = o.N
			}
		}
		*o.Students[p.student].results()[p.role] = values
	}
}

// part returns the results of the samples from up to to.
func (o Outputs) part(from, to int) Outputs {
	out := Outputs{N: to - from}
	cut := func(all []float32) []float32 {
		width := len(all) / o.N
		return all[from*width : to*width : to*width]
	}
	results := out.results()
	for i, all := range o.results() {
		if *all != nil {
			*results[i] = cut(*all)
		}
	}
	if o.Named != nil {
		out.Named = make(map[string][]float32, len(o.Named))
		for name, all := range o.Named {
			out.Named[name] = cut(all)
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
	if o.Named == nil && more.Named != nil {
		o.Named = make(map[string][]float32, len(more.Named))
	}
	for name, v := range more.Named {
		o.Named[name] = append(o.Named[name], v...)
	}
	if o.Students == nil && more.Students != nil {
		o.Students = make([]Outputs, len(more.Students))
	}
	for i, s := range more.Students {
		o.Students[i].add(s)
	}
}

// Posterior is the probabilities, or the softmax of the logits where the
// network gives only these; nil where it gives neither.
func (o Outputs) Posterior() []float32 {
	if o.Probabilities != nil || o.Logits == nil {
		return o.Probabilities
	}
	p := make([]float32, 0, len(o.Logits))
	for row := range rows(o.Logits, o.N) {
		most, sum := slices.Max(row), 0.0
		for _, v := range row {
			sum += math.Exp(float64(v - most))
		}
		for _, v := range row {
			p = append(p, float32(math.Exp(float64(v-most))/sum))
		}
	}
	return p
}

// rows yields the n rows of a matrix.
func rows(v []float32, n int) func(yield func([]float32) bool) {
	width := len(v) / n
	return func(yield func([]float32) bool) {
		for i := range n {
			if !yield(v[i*width : (i+1)*width : (i+1)*width]) {
				return
			}
		}
	}
}
