package warmstart

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"slices"

	"github.com/deepmutual/dml/internal/onnx/onnxweights"
	"github.com/deepmutual/dml/models"
)

// graph says how the layers with weights of a file or a network follow each
// other, regardless of names and of all that lies between them.
type graph []vertex

// vertex is a layer, or a join of several values. Layers that share their weights
// are vertices of one layer.
type vertex struct {
	layer  int    // index of the layer, or -1
	join   string // kind of the join; "" of a layer
	inputs []int  // earlier vertices, or -1 for the input
}

const (
	joinConcat   = "concat" // whose inputs have an order
	joinAdd      = "add"
	joinMultiply = "multiply"
)

// add appends a vertex and returns its index.
func (g *graph) add(v vertex) int {
	*g = append(*g, v)
	return len(*g) - 1
}

// graphOf returns the graph of a network whose layers with weights are these.
// Batch norms that follow a layer are taken as a part of it, since a file may have
// folded them.
func graphOf(net *models.Network, layers []layer) graph {
	index := make(map[string]int, len(layers))
	for i, l := range layers {
		index[l.name] = i
	}
	var g graph
	at := map[string]int{models.InputName: -1}
	for i := range net.Layers {
		l := &net.Layers[i]
		var inputs []int
		for _, in := range l.Inputs {
			inputs = append(inputs, at[in])
		}
		own, weighted := index[l.Owner()]
		switch {
		case weighted && layers[own].follows < 0:
			at[l.Name] = g.add(vertex{layer: own, inputs: inputs})
		case l.Kind == models.KindConcat:
			at[l.Name] = g.add(vertex{layer: -1, join: joinConcat, inputs: inputs})
		case l.Kind == models.KindAdd:
			at[l.Name] = g.add(vertex{layer: -1, join: joinAdd, inputs: inputs})
		case l.Kind == models.KindMultiply:
			at[l.Name] = g.add(vertex{layer: -1, join: joinMultiply, inputs: inputs})
		default:
			at[l.Name] = inputs[0]
		}
	}
	return g
}

// graphOfONNX returns the graph of a file's steps; layer gives a layer's index.
func graphOfONNX(m *onnxweights.Model, layer []int, layers []layer) graph {
	joins := map[string]string{"Concat": joinConcat, "Add": joinAdd, "Mul": joinMultiply}
	var g graph
	at := make([]int, len(m.Steps))
	for i, s := range m.Steps {
		var inputs []int
		for _, in := range s.Inputs {
			if in != onnxweights.Input {
				in = at[in]
			}
			inputs = append(inputs, in)
		}
		switch {
		case s.Layer < 0:
			at[i] = g.add(vertex{layer: -1, join: cmp.Or(joins[s.Op], s.Op), inputs: inputs})
		case layers[layer[s.Layer]].follows >= 0:
			at[i] = inputs[0]
		default:
			at[i] = g.add(vertex{layer: layer[s.Layer], inputs: inputs})
		}
	}
	return g
}

// flattened returns the graph with every sum of sums as one, in whatever order
// they are added.
func (g graph) flattened() graph {
	readers := make([]int, len(g))
	for _, v := range g {
		for _, in := range v.inputs {
			if in >= 0 {
				readers[in]++
			}
		}
	}
	out := slices.Clone(g)
	for i, v := range out {
		if v.join != joinAdd {
			continue
		}
		var inputs []int
		for _, in := range v.inputs {
			if in >= 0 && out[in].join == joinAdd && readers[in] == 1 {
				inputs = append(inputs, out[in].inputs...)
				out[in] = vertex{layer: -1} // nothing reads it, and it reads nothing
				continue
			}
			inputs = append(inputs, in)
		}
		out[i].inputs = inputs
	}
	return out
}

// without returns the graph in which a layer reads nothing.
func (g graph) without(layer int) graph {
	out := slices.Clone(g)
	for i, v := range out {
		if v.layer == layer {
			out[i] = vertex{layer: -1}
		}
	}
	return out
}

// keys returns, for each layer, what its place in the graph looks like: all that
// lies before it, and behind it the layers and joins as far as reach, or all if
// reach is negative. Layers are told apart by their colours.
func (g graph) keys(colours []uint64, reach int) []uint64 {
	before := make([]uint64, len(g))
	for i, v := range g {
		in := make([]uint64, 0, len(v.inputs))
		for _, at := range v.inputs {
			if at < 0 {
				in = append(in, 1)
			} else {
				in = append(in, before[at])
			}
		}
		if v.join != joinConcat {
			slices.Sort(in)
		}
		before[i] = digest(v.name(colours), in...)
	}
	behind := g.behind(colours, reach)
	places := make([][]uint64, len(colours))
	for i, v := range g {
		if v.layer >= 0 {
			places[v.layer] = append(places[v.layer], digest("place", before[i], behind[i]))
		}
	}
	out := make([]uint64, len(colours))
	for i, p := range places {
		slices.Sort(p)
		out[i] = digest("layer", append(p, colours[i])...)
	}
	return out
}

func (g graph) behind(colours []uint64, reach int) []uint64 {
	type use struct{ reader, position int }
	uses := make([][]use, len(g))
	for i, v := range g {
		for p, in := range v.inputs {
			if in >= 0 {
				uses[in] = append(uses[in], use{i, p})
			}
		}
	}
	look := func(at int, further []uint64) uint64 {
		var seen []uint64
		for _, u := range uses[at] {
			v := g[u.reader]
			position := 0
			if v.join == joinConcat {
				position = u.position
			}
			seen = append(seen, digest(v.name(colours), uint64(position), further[u.reader]))
		}
		slices.Sort(seen)
		return digest("behind", seen...)
	}
	out := make([]uint64, len(g))
	if reach < 0 { // readers come after what they read
		for i := range slices.Backward(g) {
			out[i] = look(i, out)
		}
		return out
	}
	for range reach {
		next := make([]uint64, len(g))
		for i := range g {
			next[i] = look(i, out)
		}
		out = next
	}
	return out
}

// name is what a vertex is, but for its place.
func (v vertex) name(colours []uint64) string {
	if v.layer < 0 {
		return v.join
	}
	return fmt.Sprint("layer ", colours[v.layer])
}

func digest(name string, values ...uint64) uint64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	for _, v := range values {
		h.Write(binary.LittleEndian.AppendUint64(nil, v))
	}
	return h.Sum64()
}
