package lower_test

import (
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
)

// eachBackend runs a test on every backend of this machine.
func eachBackend(t *testing.T, f func(t *testing.T, engine kernel.Engine)) {
	t.Helper()
	t.Run("ref", func(t *testing.T) { f(t, newEngine(t, ref.New())) })
	t.Run("onednn", func(t *testing.T) { f(t, newEngine(t, openOneDNN(t))) })
}

// openOneDNN skips the test where the library is not installed.
func openOneDNN(t *testing.T) kernel.Backend {
	t.Helper()
	backend, err := onednn.Open()
	if err != nil {
		t.Skipf("not tested with oneDNN: %v", err)
	}
	return backend
}

func newEngine(t *testing.T, backend kernel.Backend) kernel.Engine {
	t.Helper()
	runtime.LockOSThread()
	engine, err := backend.NewEngine(kernel.EngineOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		engine.Close()
		runtime.UnlockOSThread()
	})
	return engine
}

func compile(t *testing.T, net *models.Network, engine kernel.Engine, opts lower.Options) *lower.Network {
	t.Helper()
	n, err := lower.Compile(net, engine, opts)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func build(t *testing.T, name string, input models.Shape) *models.Network {
	t.Helper()
	net, err := models.Build(name, input, 10)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

func run(t *testing.T, phases ...func() error) {
	t.Helper()
	for _, phase := range phases {
		if err := phase(); err != nil {
			t.Fatal(err)
		}
	}
}

func newRand() *rand.Rand { return rand.New(rand.NewPCG(11, 12)) }

func fill(rng *rand.Rand, v []float32) {
	for i := range v {
		v[i] = rng.Float32()*2 - 1
	}
}

// randomWeights draws every parameter and statistic, so that none is 0 or 1.
func randomWeights(t *testing.T, net *models.Network) models.Weights {
	t.Helper()
	w, err := net.Init(1)
	if err != nil {
		t.Fatal(err)
	}
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	rng := newRand()
	for _, p := range params {
		v := w[p.Name]
		switch p.Role {
		case models.RoleBias, models.RoleBeta, models.RoleRunningMean:
			for i := range v {
				v[i] = rng.Float32() - 0.5
			}
		case models.RoleGamma, models.RoleRunningVar:
			for i := range v {
				v[i] = 0.5 + rng.Float32()
			}
		}
	}
	return w
}

// softmax returns the softmax of every row of logits.
func softmax(t *testing.T, engine kernel.Engine, logits []float32, rows int) []float32 {
	t.Helper()
	spec := kernel.SoftmaxSpec{Rows: rows, Cols: len(logits) / rows}
	k, err := engine.Softmax(spec)
	if err != nil {
		t.Fatal(err)
	}
	src := kernel.Tensor{Desc: kernel.Matrix(spec.Rows, spec.Cols), Data: logits}
	dst := kernel.NewTensor(src.Desc)
	if err := k.Forward(dst, src); err != nil {
		t.Fatal(err)
	}
	return dst.Data
}

// distance is the L2 norm of the difference relative to that of want.
func distance[T float32 | float64](got []float32, want []T) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var diff, norm float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		diff += d * d
		norm += float64(w) * float64(w)
	}
	if diff == 0 {
		return 0
	}
	return math.Sqrt(diff / norm)
}

func checkNear[T float32 | float64](t *testing.T, what string, got []float32, want []T, tolerance float64) {
	t.Helper()
	if d := distance(got, want); !(d <= tolerance) {
		t.Errorf("%s: relative L2 distance %.2g, want at most %g", what, d, tolerance)
	}
}
