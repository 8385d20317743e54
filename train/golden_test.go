package train

import (
	"math"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/sbinet/npyio/npz"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
)

// The golden files hold what testdata/train/dml_step.py computed with PyTorch in
// float64; it describes their arrays and the formula of weights and samples.
const (
	goldenSeed         = 89
	goldenSteps        = 5
	goldenBatch        = 8
	goldenClasses      = 10
	goldenLearningRate = 0.02
	goldenMomentum     = 0.9
	goldenWeightDecay  = 5e-4
	goldenTolerance    = 1e-4 // relative L2 distance
)

// goldenStudent is what the files say of one student.
type goldenStudent struct {
	initial        models.Weights
	logits         []float32               // of step 1
	logitsGradient []float32               // of step 1's total loss
	gradients      models.Weights          // of step 1's total loss
	statistics     models.Weights          // after step 1
	losses         [goldenSteps]goldenLoss // of each step
	weights        models.Weights          // after step 5, statistics included
}

type goldenLoss struct{ crossEntropy, mimicry, total float32 }

// goldenNetwork returns the architecture of both students.
func goldenNetwork(t *testing.T) *models.Network {
	t.Helper()
	net, err := models.Build("resnet8", models.Shape{C: 3, H: 32, W: 32}, goldenClasses)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// readGolden reads both students.
func readGolden(t *testing.T, net *models.Network) [2]goldenStudent {
	t.Helper()
	arrays := readArrays(t, "dml_step1.npz", "dml_step5.npz")
	var out [2]goldenStudent
	for s := range out {
		prefix := "student" + string(rune('0'+s)) + "/"
		g := goldenStudent{
			initial:        goldenWeights(t, net, s),
			logits:         arrays[prefix+"logits"],
			logitsGradient: arrays[prefix+"logits_gradient"],
			gradients:      below(arrays, prefix+"gradient/"),
			statistics:     below(arrays, prefix+"statistic/"),
			weights:        below(arrays, prefix+"weight/"),
		}
		for i := range g.losses {
			row := arrays[prefix+"losses"][3*i:]
			g.losses[i] = goldenLoss{row[0], row[1], row[2]}
		}
		if err := net.CheckWeights(g.weights); err != nil {
			t.Fatal(err)
		}
		out[s] = g
	}
	return out
}

// readArrays reads the float32 arrays of files in testdata by name.
func readArrays(t *testing.T, files ...string) map[string][]float32 {
	t.Helper()
	arrays := make(map[string][]float32)
	for _, file := range files {
		r, err := npz.Open(filepath.Join("..", "testdata", "train", file))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, key := range r.Keys() {
			var v []float32
			if err := r.Read(key, &v); err != nil {
				t.Fatalf("%s: %s: %v", file, key, err)
			}
			arrays[strings.TrimSuffix(key, ".npy")] = v
		}
	}
	return arrays
}

// below returns the arrays whose names start with a prefix, without it.
func below(arrays map[string][]float32, prefix string) models.Weights {
	out := make(models.Weights)
	for name, v := range arrays {
		if rest, ok := strings.CutPrefix(name, prefix); ok {
			out[rest] = v
		}
	}
	return out
}

// goldenValue is value(k) of the script: the top 24 bits of the k-th output
// of splitmix64, in [-1, 1).
func goldenValue(k uint64) float64 {
	z := (k + 1) * 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	z ^= z >> 31
	return float64(z>>40)/(1<<23) - 1
}

// goldenWeights returns a student's initial weights.
func goldenWeights(t *testing.T, net *models.Network, student int) models.Weights {
	t.Helper()
	w, err := net.Init(0)
	if err != nil {
		t.Fatal(err)
	}
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	counter := goldenSeed<<48 + uint64(student+1)<<32
	for _, p := range params {
		scale, shift := 0.125, 0.0
		switch p.Role {
		case models.RoleWeight:
			scale = math.Sqrt(6 / float64(p.Size()/p.Shape[0]))
		case models.RoleGamma:
			scale, shift = 0.25, 1
		case models.RoleRunningMean, models.RoleRunningVar:
			continue // Init's 0 and 1
		}
		for i := range w[p.Name] {
			w[p.Name][i] = float32(shift + scale*goldenValue(counter))
			counter++
		}
	}
	return w
}

// goldenSamples fills images, [goldenBatch, 3, 32, 32], and labels of a step.
func goldenSamples(step int, images []float32, labels []int) {
	counter := goldenSeed<<48 + uint64(1)<<40 + uint64(step*len(images))
	for i := range images {
		images[i] = float32(2 * goldenValue(counter))
		counter++
	}
	for i := range labels {
		labels[i] = (step*goldenBatch + i) % goldenClasses
	}
}

// checkGolden is checkWithin the tolerance of all but long runs.
func checkGolden(t *testing.T, name string, got, want []float32) float64 {
	t.Helper()
	return checkWithin(t, goldenTolerance, name, got, want)
}

// checkWithin compares an array with PyTorch's and returns the relative L2
// distance.
func checkWithin(t *testing.T, tolerance float64, name string, got, want []float32) float64 {
	t.Helper()
	if len(want) == 0 || len(got) != len(want) {
		t.Errorf("%s: %d values, want %d", name, len(got), len(want))
		return math.Inf(1)
	}
	var diff, norm float64
	for i, w := range want {
		d := float64(got[i]) - float64(w)
		diff += d * d
		norm += float64(w) * float64(w)
	}
	rel := math.Sqrt(diff / norm)
	if !(rel <= tolerance) {
		t.Errorf("%s: relative L2 distance to PyTorch is %.2g, want at most %g", name, rel, tolerance)
	}
	return rel
}

// goldenBackends returns the backends of this machine.
func goldenBackends(t *testing.T) []kernel.Backend {
	t.Helper()
	backends := []kernel.Backend{ref.New()}
	native, err := onednn.Open()
	if err != nil {
		t.Logf("oneDNN is not tested: %v", err)
		return backends
	}
	return append(backends, native)
}

// TestGoldenGradients checks one student at a time: logits, statistics, and the
// gradient of every tensor from PyTorch's own gradient of the logits.
func TestGoldenGradients(t *testing.T) {
	net := goldenNetwork(t)
	golden := readGolden(t, net)
	for _, backend := range goldenBackends(t) {
		t.Run(backend.Info().Name, func(t *testing.T) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			engine, err := backend.NewEngine(kernel.EngineOptions{Threads: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer engine.Close()
			student, err := lower.Compile(net, engine, lower.Options{Batch: goldenBatch, Training: true})
			if err != nil {
				t.Fatal(err)
			}
			labels := make([]int, goldenBatch)
			goldenSamples(0, student.Input(), labels)
			for s, want := range golden {
				if err := student.SetWeights(want.initial); err != nil {
					t.Fatal(err)
				}
				if err := student.Forward(); err != nil {
					t.Fatal(err)
				}
				worst := checkGolden(t, "logits", student.Logits(), want.logits)
				student.AdvanceStatistics()
				copy(student.LogitsGradient(), want.logitsGradient)
				if err := student.Backward(); err != nil {
					t.Fatal(err)
				}
				for _, p := range student.Params() {
					if p.Trainable() {
						worst = max(worst, checkGolden(t, "gradient of "+p.Name, student.Gradient(p.Name), want.gradients[p.Name]))
					} else {
						worst = max(worst, checkGolden(t, p.Name, student.Weights()[p.Name], want.statistics[p.Name]))
					}
				}
				t.Logf("student %d: worst relative L2 distance to PyTorch %.2g", s, worst)
			}
		})
	}
}
