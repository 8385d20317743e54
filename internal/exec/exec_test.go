package exec

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gorgonia.org/gorgonia"
)

func compile(t *testing.T, outputs, gradients gorgonia.Nodes) *Program {
	t.Helper()
	p, err := Compile(Spec{Outputs: outputs, Gradients: gradients, Memory: heap{}, Add: add})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func run(t *testing.T, phase func() error) {
	t.Helper()
	if err := phase(); err != nil {
		t.Fatal(err)
	}
}

func checkBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func fill(rng *rand.Rand, v []float32) {
	for i := range v {
		v[i] = rng.Float32()*2 - 1
	}
}

// The plan must not change a bit: every program computes what the same ops
// compute when each value has memory of its own.
func TestPlannedProgramsEqualUnplannedOnes(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		d := randomDAG(t, rng)
		outputs := d.some(rng, 1+rng.IntN(3))
		gradients := d.some(rng, rng.IntN(6))
		p := compile(t, outputs, gradients)
		for range 2 { // the second run starts from a used arena
			for _, leaf := range d.leaves {
				fill(rng, p.Value(leaf))
			}
			want := d.evaluate(t, func(n *gorgonia.Node) []float32 {
				if v := p.Value(n); v != nil {
					return v
				}
				return make([]float32, n.Shape().TotalSize()) // pruned
			})
			run(t, p.Forward)
			for _, n := range outputs {
				checkBits(t, "output after Forward", p.Value(n), want[n])
			}
			run(t, p.Backward)
			for _, n := range outputs {
				checkBits(t, "output after Backward", p.Value(n), want[n])
			}
			for _, n := range gradients {
				checkBits(t, "gradient", p.Value(n), want[n])
			}
		}
		if t.Failed() {
			t.Fatalf("seed %d: %d nodes", seed, len(d.nodes))
		}
	}
}

// lifetimes says, slowly, between which steps each computed value is needed.
func lifetimes(order, keep gorgonia.Nodes) map[*gorgonia.Node][2]int {
	out := make(map[*gorgonia.Node][2]int)
	for i, n := range order {
		if n.Op() == nil {
			continue
		}
		last := i
		for j, reader := range order {
			if slices.Contains(children(reader), n) {
				last = max(last, j)
			}
		}
		if slices.Contains(keep, n) {
			last = len(order)
		}
		out[n] = [2]int{i, last}
	}
	return out
}

func TestValuesAliveTogetherShareNoMemory(t *testing.T) {
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 2))
		d := randomDAG(t, rng)
		spec := Spec{Outputs: d.some(rng, 2), Gradients: d.some(rng, 3)}
		order, _, err := schedule(spec)
		if err != nil {
			t.Fatal(err)
		}
		keep := slices.Concat(spec.Outputs, spec.Gradients)
		plan := planMemory(order, keep)
		alive := lifetimes(order, keep)
		for a, la := range alive {
			start, end := plan.offset[a], plan.offset[a]+a.Shape().TotalSize()
			if start%align != 0 || start < 0 || end > plan.size {
				t.Fatalf("seed %d: value at [%d, %d) of an arena of %d", seed, start, end, plan.size)
			}
			for b, lb := range alive {
				apart := end <= plan.offset[b] || plan.offset[b]+b.Shape().TotalSize() <= start
				if a != b && la[0] <= lb[1] && lb[0] <= la[1] && !apart {
					t.Fatalf("seed %d: values of steps %v and %v share memory", seed, la, lb)
				}
			}
		}
	}
}

func TestChainNeedsTwoPlaces(t *testing.T) {
	d := newDAG(32)
	n := d.leaves[0]
	for range 100 {
		n = d.mix(t, 32, n)
	}
	if got := compile(t, gorgonia.Nodes{n}, nil).ArenaSize(); got != 2*32 {
		t.Errorf("a chain of 100 values of 32 takes an arena of %d, want 64", got)
	}
}

func TestPhasesRunWhatTheyNeedInOrder(t *testing.T) {
	d := newDAG(4)
	x := d.leaves[0]
	a := d.mix(t, 4, x)      // 0
	unused := d.mix(t, 4, a) // 1
	b := d.mix(t, 4, a, a)   // 2
	gb := d.mix(t, 4, b, a)  // 3
	ga := d.mix(t, 4, gb)    // 4
	p := compile(t, gorgonia.Nodes{b}, gorgonia.Nodes{ga, gb})
	if p.Value(unused) != nil {
		t.Error("a value that nothing needs has memory")
	}
	run(t, p.Forward)
	if want := []int{0, 2}; !slices.Equal(d.runs, want) {
		t.Errorf("Forward ran %v, want %v", d.runs, want)
	}
	d.runs = nil
	run(t, p.Backward)
	if want := []int{3, 4}; !slices.Equal(d.runs, want) {
		t.Errorf("Backward ran %v, want %v", d.runs, want)
	}
}

func TestRunsAllocateNothing(t *testing.T) {
	d := newDAG(40)
	a := d.mix(t, 40, d.leaves[0])
	b := d.mix(t, 17, a)
	c := d.mix(t, 40, b, a)
	sum := d.keep(t)(gorgonia.Add(a, c))
	p := compile(t, gorgonia.Nodes{b}, gorgonia.Nodes{sum})
	d.runs = make([]int, 0, 1000)
	allocs := testing.AllocsPerRun(50, func() {
		d.runs = d.runs[:0]
		run(t, p.Forward)
		run(t, p.Backward)
	})
	if allocs != 0 {
		t.Errorf("a step allocates %g times", allocs)
	}
}

func TestBind(t *testing.T) {
	d := newDAG(3, 3)
	a := d.mix(t, 3, d.leaves[0], d.leaves[1])
	g := d.mix(t, 3, d.leaves[0], a)
	p := compile(t, gorgonia.Nodes{a}, gorgonia.Nodes{g})
	shared := []float32{1, 2, 3}
	if err := p.Bind(d.leaves[0], shared); err != nil {
		t.Fatal(err)
	}
	for _, first := range []float32{1, 5} {
		shared[0] = first
		want := d.evaluate(t, p.Value)
		run(t, p.Forward)
		run(t, p.Backward)
		checkBits(t, "output", p.Value(a), want[a])
		checkBits(t, "gradient", p.Value(g), want[g])
	}
	if &p.Value(d.leaves[0])[0] != &shared[0] {
		t.Error("Value of a bound leaf is not the bound memory")
	}
	other := newDAG(3)
	for _, tc := range []struct {
		name string
		node *gorgonia.Node
		data []float32
		want string
	}{
		{"a wrong size", d.leaves[0], make([]float32, 4), "holds 3 values, not 4"},
		{"a computed node", a, make([]float32, 3), "no leaf"},
		{"a node of another graph", other.leaves[0], make([]float32, 3), "no leaf"},
	} {
		if err := p.Bind(tc.node, tc.data); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("binding %s: %v, want an error with %q", tc.name, err, tc.want)
		}
	}
}

func TestErrors(t *testing.T) {
	d := newDAG(3)
	stranger, err := gorgonia.Sigmoid(d.leaves[0])
	if err != nil {
		t.Fatal(err)
	}
	difference, err := gorgonia.Sub(d.leaves[0], d.mix(t, 3, d.leaves[0]))
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []*gorgonia.Node{stranger, difference} {
		_, err := Compile(Spec{Outputs: gorgonia.Nodes{n}, Memory: heap{}, Add: add})
		if err == nil || !strings.Contains(err.Error(), "cannot be run") {
			t.Errorf("compiling %v: %v", n, err)
		}
	}
	_, err = Compile(Spec{Outputs: gorgonia.Nodes{d.nodes[0]}, Gradients: gorgonia.Nodes{nil}, Memory: heap{}, Add: add})
	if err == nil || !strings.Contains(err.Error(), "phase 2 is nil") {
		t.Errorf("a nil gradient: %v", err)
	}

	full := errors.New("kernel failed")
	n := d.mix(t, 3, d.leaves[0])
	after := d.mix(t, 3, n)
	n.Op().(*mix).fail = full
	p := compile(t, gorgonia.Nodes{after}, nil)
	d.runs = nil
	if err := p.Forward(); !errors.Is(err, full) || len(d.runs) != 1 {
		t.Errorf("a failing kernel: %v after %d ops, want its error after 1", err, len(d.runs))
	}
}
