// Package exec runs a Gorgonia graph in two phases, without allocating.
//
// Gorgonia's own machines run a graph from start to end and allocate every
// value anew. Mutual learning needs to stop in between, when every student has
// its logits and none its gradients yet, and training needs memory that is
// laid out once. A [Program] is compiled from a graph: phase one computes the
// outputs, phase two the gradients. A static plan gives every value its place
// in one arena; places are reused as soon as the last reader has run.
package exec

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/engine/gops"
)

// Memory hands out zeroed, aligned float32 arrays; a kernel.Engine is one.
type Memory interface {
	Alloc(n int) ([]float32, error)
}

// Add computes dst = a + b. It runs the additions that Gorgonia inserts where
// gradients meet.
type Add func(dst, a, b []float32) error

// PlanAdd returns the addition of arrays of n values.
type PlanAdd func(n int) (Add, error)

// Spec says what to compile.
type Spec struct {
	// Outputs are computed by Forward.
	Outputs gorgonia.Nodes
	// Gradients are computed by Backward from the outputs' ancestors; they
	// may be empty.
	Gradients gorgonia.Nodes
	// Bound gives leaves (inputs and parameters) memory of the caller's, so
	// that programs can share parameters. It may be nil.
	Bound  map[*gorgonia.Node][]float32
	Memory Memory
	// Add plans the additions of gradients; it may be nil without gradients.
	Add PlanAdd
}

// Footprint is the memory of a program in float32 values.
type Footprint struct {
	// Arena is what the computed values need at the worst moment of a step,
	// outputs and gradients included.
	Arena int
	// Gradients is the part of the arena that holds the gradients.
	Gradients int
	// Leaves is the memory of the leaves that are not bound.
	Leaves int
}

// Total is all that Compile takes from Spec.Memory.
func (f Footprint) Total() int { return f.Arena + f.Leaves }

// Measure returns the footprint that the program of a spec would have, without
// taking any memory.
func Measure(spec Spec) (Footprint, error) {
	order, _, err := schedule(spec)
	if err != nil {
		return Footprint{}, err
	}
	return footprint(spec, order, planMemory(order, spec.kept())), nil
}

// kept are the values that live to the end of a step.
func (spec Spec) kept() gorgonia.Nodes { return slices.Concat(spec.Outputs, spec.Gradients) }

func footprint(spec Spec, order gorgonia.Nodes, plan memoryPlan) Footprint {
	f := Footprint{Arena: plan.size}
	for _, n := range uniqueNodes(spec.Gradients) {
		if n.Op() != nil {
			f.Gradients += aligned(n.Shape().TotalSize())
		}
	}
	for _, n := range order {
		if _, bound := spec.Bound[n]; n.Op() == nil && !bound {
			f.Leaves += n.Shape().TotalSize()
		}
	}
	return f
}

// Program is a compiled graph. It is used by one goroutine at a time.
type Program struct {
	forward, backward []step
	values            map[*gorgonia.Node][]float32
	footprint         Footprint
	trace             func(op string, took time.Duration)
}

// step is one op with its operands in place.
type step struct {
	name string
	run  func(dst []float32, in [][]float32) error
	dst  []float32
	in   [][]float32
}

// Compile plans the memory and order of a graph. Leaves that are not bound get
// memory of their own; see Value.
func Compile(spec Spec) (*Program, error) {
	order, phases, err := schedule(spec)
	if err != nil {
		return nil, err
	}
	plan := planMemory(order, spec.kept())
	p := &Program{values: make(map[*gorgonia.Node][]float32, len(order)), footprint: footprint(spec, order, plan)}
	arena, err := spec.Memory.Alloc(plan.size)
	if err != nil {
		return nil, fmt.Errorf("intermediate values of a step: %w", err)
	}
	for _, n := range order {
		size := n.Shape().TotalSize()
		if n.Op() == nil {
			if p.values[n], err = leaf(spec, n, size); err != nil {
				return nil, err
			}
			continue
		}
		at := plan.offset[n]
		p.values[n] = arena[at : at+size : at+size]
	}
	for _, n := range order {
		if n.Op() == nil {
			continue
		}
		run, err := runner(n, spec.Add)
		if err != nil {
			return nil, err
		}
		s := step{name: n.Op().String(), run: run, dst: p.values[n]}
		for _, c := range children(n) {
			s.in = append(s.in, p.values[c])
		}
		if phases[n] == 1 {
			p.forward = append(p.forward, s)
		} else {
			p.backward = append(p.backward, s)
		}
	}
	return p, nil
}

// leaf returns the memory of a leaf.
func leaf(spec Spec, n *gorgonia.Node, size int) ([]float32, error) {
	data, bound := spec.Bound[n]
	if !bound {
		var err error
		if data, err = spec.Memory.Alloc(size); err != nil {
			return nil, fmt.Errorf("input %v: %w", n, err)
		}
		return data, nil
	}
	if len(data) != size {
		return nil, fmt.Errorf("input %v holds %d values and is bound to %d", n, size, len(data))
	}
	return data, nil
}

// runner returns the function that computes a node.
func runner(n *gorgonia.Node, plan PlanAdd) (func([]float32, [][]float32) error, error) {
	switch o := n.Op().(type) {
	case gops.Runner:
		return o.Run, nil
	case gorgonia.BinaryOp:
		if strings.HasPrefix(o.String(), "+ ") {
			add, err := plan(n.Shape().TotalSize())
			if err != nil {
				return nil, fmt.Errorf("sum %v of gradients: %w", n, err)
			}
			return func(dst []float32, in [][]float32) error { return add(dst, in[0], in[1]) }, nil
		}
	}
	return nil, fmt.Errorf("op %v of node %v cannot be run: it is neither a kernel nor a sum of gradients", n.Op(), n)
}

// Value returns the memory of a node: of a leaf to fill it, of an output or a
// gradient to read it from its phase to the next Forward. It is nil for nodes
// that were pruned.
func (p *Program) Value(n *gorgonia.Node) []float32 { return p.values[n] }

// Footprint returns the memory of the program.
func (p *Program) Footprint() Footprint { return p.footprint }

// Trace makes the program report how long each op took, to find where the time
// goes; nil ends that.
func (p *Program) Trace(report func(op string, took time.Duration)) { p.trace = report }

// Forward computes the outputs.
func (p *Program) Forward() error { return p.run(p.forward) }

// Backward computes the gradients of the last Forward. It reuses the memory of
// intermediate values, so each Backward needs a Forward of its own.
func (p *Program) Backward() error { return p.run(p.backward) }

func (p *Program) run(steps []step) error {
	for i := range steps {
		s := &steps[i]
		if p.trace == nil {
			if err := s.run(s.dst, s.in); err != nil {
				return err
			}
			continue
		}
		begin := time.Now()
		if err := s.run(s.dst, s.in); err != nil {
			return err
		}
		p.trace(s.name, time.Since(begin))
	}
	return nil
}
