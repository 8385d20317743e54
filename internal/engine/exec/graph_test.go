package exec

import (
	"fmt"
	"hash"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/chewxy/hm"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// mix is an op that mixes its inputs into every value of its output. It spoils
// its output before it reads, so that an output in the memory of an input
// shows.
type mix struct {
	id   int
	in   []tensor.Shape
	out  tensor.Shape
	fail error
	runs *[]int // ids in the order of execution, if wanted
	// overwrites is the index of an input that may be the output; 0 means none,
	// so it is never the first.
	overwrites int
}

func (m *mix) Arity() int { return len(m.in) }

func (m *mix) Type() hm.Type {
	var types []hm.Type
	for _, s := range append(m.in, m.out) {
		types = append(types, gorgonia.TensorType{Dims: s.Dims(), Of: tensor.Float32})
	}
	return hm.NewFnType(types...)
}

func (m *mix) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return m.out.Clone(), nil }
func (m *mix) Do(...gorgonia.Value) (gorgonia.Value, error)          { panic("not run by Gorgonia") }
func (m *mix) ReturnsPtr() bool                                      { return true }
func (m *mix) CallsExtern() bool                                     { return false }

func (m *mix) OverwritesInput() int {
	if m.overwrites == 0 {
		return -1
	}
	return m.overwrites
}

func (m *mix) WriteHash(h hash.Hash) { fmt.Fprintf(h, "mix %d", m.id) }
func (m *mix) String() string        { return fmt.Sprintf("mix %d", m.id) }

func (m *mix) Hashcode() uint32 {
	h := fnv.New32a()
	m.WriteHash(h)
	return h.Sum32()
}

func (m *mix) Run(dst []float32, in [][]float32) error {
	if m.runs != nil {
		*m.runs = append(*m.runs, m.id)
	}
	if m.overwrites > 0 {
		in = slices.Clone(in)
		in[m.overwrites] = slices.Clone(in[m.overwrites])
	}
	for i := range dst {
		dst[i] = float32(math.NaN())
	}
	for i := range dst {
		sum := float32(m.id)
		for k, x := range in {
			sum = sum*0.5 + float32(k+1)*x[(i*7+k)%len(x)]
		}
		dst[i] = sum
	}
	return m.fail
}

// dag is a graph of mixes and stock additions over a few leaves.
type dag struct {
	graph  *gorgonia.ExprGraph
	leaves gorgonia.Nodes
	nodes  gorgonia.Nodes // computed, children first
	runs   []int
}

func newDAG(leaves ...int) *dag {
	d := &dag{graph: gorgonia.NewGraph()}
	for i, size := range leaves {
		d.leaves = append(d.leaves, gorgonia.NewVector(d.graph, tensor.Float32,
			gorgonia.WithShape(size), gorgonia.WithName(fmt.Sprintf("leaf %d", i))))
	}
	return d
}

func (d *dag) mix(t *testing.T, size int, in ...*gorgonia.Node) *gorgonia.Node {
	t.Helper()
	o := &mix{id: len(d.nodes), out: tensor.Shape{size}, runs: &d.runs}
	for _, n := range in {
		o.in = append(o.in, n.Shape().Clone())
	}
	return d.keep(t)(gorgonia.ApplyOp(o, in...))
}

func (d *dag) keep(t *testing.T) func(*gorgonia.Node, error) *gorgonia.Node {
	return func(n *gorgonia.Node, err error) *gorgonia.Node {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		d.nodes = append(d.nodes, n)
		return n
	}
}

// randomDAG draws a graph in which values live for short and long times, have
// several readers, are read twice by one, and meet in additions.
func randomDAG(t *testing.T, rng *rand.Rand) *dag {
	t.Helper()
	d := newDAG(5, 16, 33)
	sizes := []int{1, 7, 16, 17, 40}
	pick := func() *gorgonia.Node {
		if len(d.nodes) == 0 || rng.IntN(6) == 0 {
			return d.leaves[rng.IntN(len(d.leaves))]
		}
		recent := min(len(d.nodes), 1+rng.IntN(12))
		return d.nodes[len(d.nodes)-recent+rng.IntN(recent)]
	}
	for range 10 + rng.IntN(50) {
		a := pick()
		if b := pick(); rng.IntN(4) == 0 && a != b && b.Shape().Eq(a.Shape()) {
			d.keep(t)(gorgonia.Add(a, b))
			continue
		}
		in := gorgonia.Nodes{a}
		for range rng.IntN(3) {
			in = append(in, pick())
		}
		n := d.mix(t, sizes[rng.IntN(len(sizes))], in...)
		n.Op().(*mix).overwrites = rng.IntN(len(in))
	}
	return d
}

// some returns n random computed nodes.
func (d *dag) some(rng *rand.Rand, n int) gorgonia.Nodes {
	var out gorgonia.Nodes
	for range n {
		out = append(out, d.nodes[rng.IntN(len(d.nodes))])
	}
	return out
}

// evaluate computes every node into memory of its own.
func (d *dag) evaluate(t *testing.T, leaf func(*gorgonia.Node) []float32) map[*gorgonia.Node][]float32 {
	t.Helper()
	values := make(map[*gorgonia.Node][]float32)
	for _, n := range d.leaves {
		values[n] = leaf(n)
	}
	for _, n := range d.nodes {
		dst := make([]float32, n.Shape().TotalSize())
		run, err := runner(n, planAdd)
		if err != nil {
			t.Fatal(err)
		}
		var in [][]float32
		for _, c := range children(n) {
			in = append(in, values[c])
		}
		if err := run(dst, in); err != nil {
			t.Fatal(err)
		}
		values[n] = dst
	}
	return values
}

func planAdd(int) (Add, error) { return add, nil }

func add(dst, a, b []float32) error {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
	return nil
}

// heap is memory without a plan.
type heap struct{}

func (heap) Alloc(n int) ([]float32, error) { return make([]float32, n), nil }
