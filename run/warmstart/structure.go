package warmstart

import (
	"fmt"
	"slices"

	"github.com/deepmutual/dml/models"
)

// maxVertices bounds the graphs that are compared: far above those of networks, and
// what a hostile file can take time with.
const maxVertices = 1 << 14

// byStructure pairs layers of one shape that have one place: whose way from the
// input, and on to what reads them, leads through layers of the same shapes. It is
// what a file without names leaves. Where all is alike, layers that still cannot
// be told apart are interchangeable, and pairing two of them decides about their
// neighbours. Where file and network differ, in their last layers mostly, only
// what is alone in its place is paired. It reports whether there is anything.
func (m *matching) byStructure() bool {
	m.pairs = m.unpaired()
	m.report.Matching = "structure"
	if len(m.src.graph) == 0 || len(m.src.graph) > maxVertices {
		return false
	}
	classifier, graph := m.theirClassifier(), m.graph
	if classifier < 0 && m.classifier >= 0 {
		graph = graph.without(m.classifier)
	}
	ours := newSide(m.layers, graph, m.classifier)
	theirs := newSide(m.src.layers, m.src.graph, classifier)
	for _, reach := range []int{-1, 16, 8, 4, 2, 1, 0} {
		for m.pairAlone(ours, theirs, reach) || reach < 0 && m.pairOneOfMany(ours, theirs) {
		}
	}
	for i, l := range m.layers {
		if l.follows >= 0 && m.pairs[l.follows] >= 0 {
			m.pairs[i] = normOf(m.src.layers, m.pairs[l.follows])
		}
	}
	return m.found(m.pairs) > 0
}

// side is the graph of a file or a network with the colours of its layers.
type side struct {
	graph   graph
	colours []uint64
	paired  []bool
}

// newSide colours layers by their shapes; the classifier, whose width may differ,
// has a colour of its own.
func newSide(layers []layer, g graph, classifier int) *side {
	s := &side{graph: g.flattened(), colours: make([]uint64, len(layers)), paired: make([]bool, len(layers))}
	for i, l := range layers {
		role, what := models.RoleWeight, "weights"
		if l.kind == models.KindBatchNorm {
			role, what = models.RoleGamma, "norm"
		}
		t := l.tensors[role]
		if t == nil || l.follows >= 0 {
			s.paired[i] = true // with its layer, or not at all
			continue
		}
		shape := t.shape
		if i == classifier {
			shape = shape[1:]
			what = "classifier"
		}
		s.colours[i] = digest(fmt.Sprint(what, withoutOnes(shape)))
	}
	return s
}

// places lists the layers that have no pair yet by their keys.
func (s *side) places(reach int) map[uint64][]int {
	out := make(map[uint64][]int)
	for i, key := range s.graph.keys(s.colours, reach) {
		if !s.paired[i] {
			out[key] = append(out[key], i)
		}
	}
	return out
}

// pairAlone pairs layers that are alone in their place on both sides, and reports
// whether there were any.
func (m *matching) pairAlone(ours, theirs *side, reach int) bool {
	others, any := theirs.places(reach), false
	for key, at := range ours.places(reach) {
		if other := others[key]; len(at) == 1 && len(other) == 1 {
			m.pair(ours, theirs, at[0], other[0])
			any = true
		}
	}
	return any
}

// pairOneOfMany pairs the first layer of the first place that equally many have on
// both sides.
func (m *matching) pairOneOfMany(ours, theirs *side) bool {
	others := theirs.places(-1)
	first, with := -1, -1
	for key, at := range ours.places(-1) {
		if other := others[key]; len(at) == len(other) && (first < 0 || at[0] < first) {
			first, with = at[0], other[0]
		}
	}
	if first < 0 {
		return false
	}
	m.pair(ours, theirs, first, with)
	return true
}

// pair makes two layers unlike all others.
func (m *matching) pair(ours, theirs *side, own, their int) {
	m.pairs[own] = their
	colour := digest("pair", uint64(own))
	ours.colours[own], theirs.colours[their] = colour, colour
	ours.paired[own], theirs.paired[their] = true, true
}

// theirClassifier returns the index of the layer of the file that can be the
// classifier: the last dense layer or 1x1 convolution, if it reads as many values
// as the network's. It is -1 if there is none.
func (m *matching) theirClassifier() int {
	if m.classifier < 0 {
		return -1
	}
	ours := m.layers[m.classifier].tensors[models.RoleWeight]
	for i, l := range slices.Backward(m.src.layers) {
		t := l.tensors[models.RoleWeight]
		if l.kind == models.KindBatchNorm || t == nil {
			continue
		}
		if ours != nil && len(t.shape) > 1 && len(ours.shape) > 1 && sameShape(t.shape[1:], ours.shape[1:]) {
			return i
		}
		return -1
	}
	return -1
}
