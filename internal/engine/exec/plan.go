package exec

import (
	"fmt"
	"slices"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/engine/gops"
)

// schedule returns the nodes that the outputs and gradients need, in the order
// of their making: every node is made after its children, and Gorgonia makes
// the gradients layer by layer from the top, which is the order in which
// values die soonest. Phase 1 holds the ancestors of the outputs.
func schedule(spec Spec) (gorgonia.Nodes, map[*gorgonia.Node]int, error) {
	phases := make(map[*gorgonia.Node]int)
	var order gorgonia.Nodes
	for phase, roots := range []gorgonia.Nodes{spec.Outputs, spec.Gradients} {
		stack := slices.Clone(roots)
		for len(stack) > 0 {
			n := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if n == nil {
				return nil, nil, fmt.Errorf("a root of phase %d is nil", phase+1)
			}
			if phases[n] != 0 {
				continue
			}
			phases[n] = phase + 1
			order = append(order, n)
			stack = append(stack, children(n)...)
		}
	}
	slices.SortFunc(order, func(a, b *gorgonia.Node) int {
		if phases[a] != phases[b] {
			return phases[a] - phases[b]
		}
		return int(a.ID() - b.ID())
	})
	done := make(map[*gorgonia.Node]bool, len(order))
	for _, n := range order {
		for _, c := range children(n) {
			if !done[c] {
				return nil, nil, fmt.Errorf("node %v comes before its input %v", n, c)
			}
		}
		done[n] = true
	}
	return order, phases, nil
}

// children returns the inputs of a node in order.
func children(n *gorgonia.Node) gorgonia.Nodes {
	it := n.Graph().From(n.ID())
	var out gorgonia.Nodes
	for it.Next() {
		out = append(out, it.Node().(*gorgonia.Node))
	}
	return out
}

// memoryPlan places every computed value in one arena of size values.
type memoryPlan struct {
	size   int
	offset map[*gorgonia.Node]int
}

// align keeps values on 64-byte boundaries.
const align = 16

// span is a free range of the arena.
type span struct{ at, size int }

// planMemory walks the order once, gives each value the best-fitting free
// range and takes it back after the last reader. A value that an op may overwrite
// becomes the op's own, if nothing reads it later. Values to keep never die.
func planMemory(order, keep gorgonia.Nodes) memoryPlan {
	kept := make(map[*gorgonia.Node]bool, len(keep))
	for _, n := range keep {
		kept[n] = true
	}
	lastUse := make(map[*gorgonia.Node]int, len(order))
	for i, n := range order {
		for _, c := range children(n) {
			lastUse[c] = i
		}
	}
	plan := memoryPlan{offset: make(map[*gorgonia.Node]int, len(order))}
	var free []span
	for i, n := range order {
		if n.Op() == nil {
			continue
		}
		inPlace := overwritten(n)
		if inPlace != nil && lastUse[inPlace] == i && !kept[inPlace] {
			plan.offset[n] = plan.offset[inPlace]
		} else {
			inPlace = nil
			plan.offset[n] = take(&free, &plan.size, aligned(n.Shape().TotalSize()))
		}
		for _, c := range uniqueNodes(children(n)) {
			if c != inPlace && lastUse[c] == i && c.Op() != nil && !kept[c] {
				release(&free, span{plan.offset[c], aligned(c.Shape().TotalSize())})
			}
		}
	}
	return plan
}

// overwritten returns the input of a node in whose memory it can be computed, nil
// if there is none: a computed value of the same size that the op asks for and
// reads as nothing else.
func overwritten(n *gorgonia.Node) *gorgonia.Node {
	op, ok := n.Op().(gops.Runner)
	if !ok || op.OverwritesInput() < 0 {
		return nil
	}
	in := children(n)
	c := in[op.OverwritesInput()]
	reads := 0
	for _, other := range in {
		if other == c {
			reads++
		}
	}
	if reads > 1 || c.Op() == nil || c.Shape().TotalSize() != n.Shape().TotalSize() {
		return nil
	}
	return c
}

func aligned(n int) int { return (n + align - 1) / align * align }

// take removes size values from the best-fitting free range, or grows the
// arena, and returns where they start.
func take(free *[]span, end *int, size int) int {
	best := -1
	for i, s := range *free {
		if s.size >= size && (best < 0 || s.size < (*free)[best].size) {
			best = i
		}
	}
	if best >= 0 {
		s := &(*free)[best]
		at := s.at
		s.at, s.size = s.at+size, s.size-size
		if s.size == 0 {
			*free = slices.Delete(*free, best, best+1)
		}
		return at
	}
	at := *end
	if last := len(*free) - 1; last >= 0 && (*free)[last].at+(*free)[last].size == *end {
		at = (*free)[last].at // extend the free range at the end of the arena
		*free = (*free)[:last]
	}
	*end = at + size
	return at
}

// release returns a range, kept sorted and joined with its neighbours.
func release(free *[]span, s span) {
	i, _ := slices.BinarySearchFunc(*free, s, func(a, b span) int { return a.at - b.at })
	*free = slices.Insert(*free, i, s)
	if i+1 < len(*free) && (*free)[i].at+(*free)[i].size == (*free)[i+1].at {
		(*free)[i].size += (*free)[i+1].size
		*free = slices.Delete(*free, i+1, i+2)
	}
	if i > 0 && (*free)[i-1].at+(*free)[i-1].size == (*free)[i].at {
		(*free)[i-1].size += (*free)[i].size
		*free = slices.Delete(*free, i, i+1)
	}
}

func uniqueNodes(nodes gorgonia.Nodes) gorgonia.Nodes {
	var out gorgonia.Nodes
	for _, n := range nodes {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
