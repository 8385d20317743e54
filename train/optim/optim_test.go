package optim

import (
	"math"
	"path/filepath"
	"slices"
	"testing"

	"github.com/sbinet/npyio/npz"
)

// golden reads an array of testdata/optim/golden.npz; testdata/optim/golden.py describes it.
func golden[T float32 | float64](t *testing.T, name string) []T {
	t.Helper()
	r, err := npz.Open(filepath.Join("..", "..", "testdata", "optim", "golden.npz"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var v []T
	if err := r.Read(name+".npy", &v); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return v
}

// slots returns the state of n weights before the first step.
func slots(o Optimizer, n int) [][]float32 {
	var state [][]float32
	for range o.Slots() {
		state = append(state, make([]float32, n))
	}
	return state
}

func TestOptimizersFollowPyTorch(t *testing.T) {
	initial, gradients := golden[float32](t, "initial"), golden[float32](t, "gradients")
	for name, tc := range map[string]struct {
		optimizer Optimizer
		rate      float64
	}{
		"sgd":      {SGD{WeightDecay: 0.01}, 0.05},
		"momentum": {SGD{Momentum: 0.9, WeightDecay: 0.01}, 0.01},
		"nesterov": {SGD{Momentum: 0.9, Nesterov: true, WeightDecay: 0.01}, 0.01},
		"adam":     {Adam{Beta1: 0.5, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.01}, 0.01},
		"adam_eps": {Adam{Beta1: 0.9, Beta2: 0.99, Epsilon: 1e-2}, 0.01},
		"adamw":    {AdamW{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 0.1}, 0.01},
	} {
		t.Run(name, func(t *testing.T) {
			want, n := golden[float64](t, "weights/"+name), len(initial)
			w, state, worst := slices.Clone(initial), slots(tc.optimizer, n), 0.0
			if len(want) != 20*n {
				t.Fatalf("%d golden weights", len(want))
			}
			for step := range 20 {
				tc.optimizer.Update(w, gradients[step*n:(step+1)*n], state, tc.rate, step)
				for i, v := range w {
					worst = max(worst, math.Abs(float64(v)-want[step*n+i]))
				}
			}
			t.Logf("at most %.2g from PyTorch in 20 steps", worst)
			if !(worst <= 1e-6) {
				t.Errorf("%.2g from PyTorch, want at most 1e-6", worst)
			}
		})
	}
}

// everyOptimizer lists them with a rate to reach the bottom of Rosenbrock's
// valley at.
var everyOptimizer = []struct {
	name      string
	optimizer Optimizer
	rate      float64
}{
	{"sgd", SGD{}, 1e-3},
	{"momentum", SGD{Momentum: 0.9}, 2e-4},
	{"nesterov", SGD{Momentum: 0.9, Nesterov: true}, 2e-4},
	{"adam", Adam{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8}, 1e-2},
	{"adamw", AdamW{Beta1: 0.9, Beta2: 0.999, Epsilon: 1e-8, WeightDecay: 1e-6}, 1e-2},
}

func TestOptimizersConverge(t *testing.T) {
	for _, tc := range everyOptimizer {
		for _, surface := range []struct {
			name     string
			steps    int
			gradient func(x, y float32) (float32, float32)
			minimum  [2]float64
		}{
			{"parabola", 20000, func(x, y float32) (float32, float32) { return 2 * (x - 3), 8 * (y + 1) }, [2]float64{3, -1}},
			{"Rosenbrock", 40000, func(x, y float32) (float32, float32) {
				return -2*(1-x) - 400*x*(y-x*x), 200 * (y - x*x)
			}, [2]float64{1, 1}},
		} {
			w, g, state := []float32{-1.2, 1}, make([]float32, 2), slots(tc.optimizer, 2)
			rate := Cosine{Length: surface.steps, EndFactor: 0.01}
			for step := range surface.steps {
				g[0], g[1] = surface.gradient(w[0], w[1])
				tc.optimizer.Update(w, g, state, rate.Rate(tc.rate, step, 1), step)
			}
			for i, want := range surface.minimum {
				if !(math.Abs(float64(w[i])-want) < 1e-2) {
					t.Errorf("%s on the %s ended at %v, want %v", tc.name, surface.name, w, surface.minimum)
				}
			}
		}
	}
}

func TestUpdateAllocatesNothing(t *testing.T) {
	w, g := make([]float32, 64), make([]float32, 64)
	for _, tc := range everyOptimizer {
		state := slots(tc.optimizer, 64)
		if n := testing.AllocsPerRun(10, func() { tc.optimizer.Update(w, g, state, 0.1, 3) }); n != 0 {
			t.Errorf("%s: %v allocations", tc.name, n)
		}
	}
}

func TestSchedulesFollowPyTorch(t *testing.T) {
	for name, s := range map[string]Schedule{
		"step":        Step{Every: 30, Factor: 0.1},
		"multistep":   MultiStep{Milestones: []int{10, 40, 41, 90}, Factor: 0.2},
		"cosine":      Cosine{Length: 100, EndFactor: 0.01},
		"constant":    Constant{},
		"warmup_step": Warmup{8, Step{Every: 5, Factor: 0.5}},
	} {
		want := golden[float64](t, "rates/"+name)
		if len(want) != 100 {
			t.Fatalf("%s: %d golden rates", name, len(want))
		}
		for step, rate := range want {
			if got := s.Rate(0.1, step, 1); !(math.Abs(got-rate) <= 1e-12) {
				t.Errorf("%s: step %d: rate %g, want %g", name, step, got, rate)
			}
		}
	}
}

// TestSchedulesBeyondPyTorch checks where a schedule has no twin.
func TestSchedulesBeyondPyTorch(t *testing.T) {
	if got := (Cosine{Length: 10, EndFactor: 0.1}).Rate(0.1, 1000, 1); math.Abs(got-0.01) > 1e-15 {
		t.Errorf("after its end a cosine gives %g", got)
	}
	if got := (Warmup{0, Constant{}}).Rate(0.1, 0, 1); got != 0.1 {
		t.Errorf("without warm-up the rate begins at %g", got)
	}
	nested := Warmup{4, Cosine{Length: 100}}
	if got, want := nested.Rate(1, 1, 1), 0.5*(Cosine{Length: 100}).Rate(1, 1, 1); got != want {
		t.Errorf("half-way through warm-up the rate is %g, want %g", got, want)
	}
}

func BenchmarkUpdate(b *testing.B) {
	const n = 1 << 20
	w, g := make([]float32, n), make([]float32, n)
	for i := range g {
		g[i] = float32(i%7) - 3
	}
	for _, tc := range everyOptimizer {
		b.Run(tc.name, func(b *testing.B) {
			state := slots(tc.optimizer, n)
			b.SetBytes(4 * n)
			for i := 0; b.Loop(); i++ {
				tc.optimizer.Update(w, g, state, tc.rate, i)
			}
		})
	}
}
