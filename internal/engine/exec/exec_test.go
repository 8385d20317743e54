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
	p, err := Compile(Spec{Outputs: outputs, Gradients: gradients, Memory: heap{}, Add: planAdd})
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
				if overwritten(a) == b && la[0] == lb[1] || overwritten(b) == a && lb[0] == la[1] {
					continue
				}
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
	if got := compile(t, gorgonia.Nodes{n}, nil).Footprint().Arena; got != 2*32 {
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

func TestBoundLeaves(t *testing.T) {
	d := newDAG(3, 3)
	a := d.mix(t, 3, d.leaves[0], d.leaves[1])
	g := d.mix(t, 3, d.leaves[0], a)
	shared := []float32{1, 2, 3}
	memory := &counter{}
	spec := Spec{Outputs: gorgonia.Nodes{a}, Gradients: gorgonia.Nodes{g}, Memory: memory, Add: planAdd,
		Bound: map[*gorgonia.Node][]float32{d.leaves[0]: shared}}
	p, err := Compile(spec)
	if err != nil {
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
	if want := 2*align + 3; memory.values != want {
		t.Errorf("the program took %d values, want %d: two computed ones and a leaf", memory.values, want)
	}
	spec.Bound[d.leaves[0]] = make([]float32, 4)
	if _, err := Compile(spec); err == nil || !strings.Contains(err.Error(), "holds 3 values and is bound to 4") {
		t.Errorf("binding a wrong size: %v", err)
	}
}

// Measure promises what Compile takes.
func TestMeasureEqualsWhatIsTaken(t *testing.T) {
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 3))
		d := randomDAG(t, rng)
		memory := &counter{}
		spec := Spec{Outputs: d.some(rng, 2), Gradients: d.some(rng, rng.IntN(4)), Memory: memory, Add: planAdd}
		if rng.IntN(2) == 0 {
			n := d.leaves[0]
			spec.Bound = map[*gorgonia.Node][]float32{n: make([]float32, n.Shape().TotalSize())}
		}
		f, err := Measure(spec)
		if err != nil {
			t.Fatal(err)
		}
		if memory.values != 0 {
			t.Fatalf("Measure took %d values", memory.values)
		}
		p, err := Compile(spec)
		if err != nil {
			t.Fatal(err)
		}
		if f.Total() != memory.values || f != p.Footprint() || f.Gradients > f.Arena {
			t.Fatalf("seed %d: measured %+v, compiled to %+v, %d values taken", seed, f, p.Footprint(), memory.values)
		}
	}
}

// A value that an op may overwrite is overwritten where nothing else needs it,
// and there alone.
func TestOverwritingSavesMemory(t *testing.T) {
	chain := func(overwrite bool) *Program {
		d := newDAG(32)
		n := d.mix(t, 32, d.leaves[0])
		for range 20 {
			n = d.mix(t, 32, d.leaves[0], n)
			if overwrite {
				n.Op().(*mix).overwrites = 1
			}
		}
		return compile(t, gorgonia.Nodes{n}, nil)
	}
	if with, without := chain(true).Footprint().Arena, chain(false).Footprint().Arena; with != 32 || without != 64 {
		t.Errorf("a chain of values of 32 takes %d overwriting and %d not, want 32 and 64", with, without)
	}
}

// counter counts the values that it hands out.
type counter struct{ values int }

func (c *counter) Alloc(n int) ([]float32, error) {
	c.values += n
	return make([]float32, n), nil
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
		_, err := Compile(Spec{Outputs: gorgonia.Nodes{n}, Memory: heap{}, Add: planAdd})
		if err == nil || !strings.Contains(err.Error(), "cannot be run") {
			t.Errorf("compiling %v: %v", n, err)
		}
	}
	_, err = Compile(Spec{Outputs: gorgonia.Nodes{d.nodes[0]}, Gradients: gorgonia.Nodes{nil}, Memory: heap{}, Add: planAdd})
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
