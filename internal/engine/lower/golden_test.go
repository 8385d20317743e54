package lower_test

import (
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sbinet/npyio/npz"
	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/engine/exec"
	"github.com/deepmutual/dml/internal/engine/gops"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
)

// What testdata/lower/architectures.py computed with PyTorch in float64; it describes
// the arrays, and the formula of weights and samples.
const (
	goldenBatch   = 4
	goldenClasses = 10
	goldenKept    = 256 // values of a thinned array
)

var goldenNetworks = []struct {
	name          string
	height, width int
	seed          uint64
	tolerance     float64 // relative L2 distance; PyTorch in float32 is up to 5e-5 off
	front         string  // the last layer of the network's front that is compared; "" for all
}{
	{"wrn-10-1", 12, 16, 49, 1e-5, ""},
	{"mobilenet0.25", 32, 24, 59, 2e-4, ""},
	{"mobilenet0.25-tf", 65, 70, 14, 1e-4, ""},
	{"inception0.25", 64, 96, 63, 1e-4, ""},
	{"osnet0.25", 96, 64, 45, 1e-3, ""}, // a batch norm of 4 vectors: PyTorch in float32 is 3e-4 off
	{"mobilenetv2", 64, 96, 43, 1e-4, "conv4.1.add"},
	{"resnet18", 64, 80, 34, 1e-4, "layer2.1.relu"},
	{"resnet50", 64, 80, 15, 1e-4, "layer2.0.relu"},
}

func TestGoldenArchitectures(t *testing.T) {
	for _, g := range goldenNetworks {
		t.Run(g.name, func(t *testing.T) {
			net, err := models.Build(g.name, models.Shape{C: 3, H: g.height, W: g.width}, goldenClasses)
			if err != nil {
				t.Fatal(err)
			}
			if g.front != "" {
				net = frontOf(t, net, g.front)
			}
			golden := readArrays(t, g.name+".npz")
			eachBackend(t, func(t *testing.T, engine kernel.Engine) { checkGolden(t, net, g.seed, golden, engine, g.tolerance) })
		})
	}
}

// frontOf returns a network's layers up to the last, with an average and a
// classifier of their own.
func frontOf(t *testing.T, net *models.Network, last string) *models.Network {
	t.Helper()
	at := slices.IndexFunc(net.Layers, func(l models.Layer) bool { return l.Name == last })
	classifier, _ := net.Layer(net.Logits)
	pool := models.Layer{Name: "front", Kind: models.KindGlobalAvgPool, Inputs: []string{last}}
	out := *net
	out.Layers = append(slices.Clone(net.Layers[:at+1]), pool, *classifier)
	out.Layers[at+2].Inputs = []string{pool.Name}
	out.Embedding = pool.Name
	if err := out.Validate(); err != nil {
		t.Fatal(err)
	}
	return &out
}

// checkGolden compares logits, loss, statistics and gradients.
func checkGolden(t *testing.T, net *models.Network, seed uint64, golden map[string][]float32, engine kernel.Engine, tolerance float64) {
	t.Helper()
	n := compile(t, net, engine, lower.Options{Batch: goldenBatch, Training: true})
	if err := n.SetWeights(goldenWeights(t, net, seed)); err != nil {
		t.Fatal(err)
	}
	for i := range n.Input() {
		n.Input()[i] = float32(2 * goldenValue(seed<<48+1<<40+uint64(i)))
	}
	run(t, n.Forward)
	worst, checked := 0.0, 0
	check := func(what string, got []float32) {
		t.Helper()
		want := golden[what]
		if len(want) == 0 {
			t.Fatalf("the file lacks %s", what)
		}
		checked++
		if size(want) < 1e-12 {
			// A batch norm takes the effect of what it reads back: the gradient is
			// 0 but for rounding, of double precision in the file.
			if size(got) > 1e-6 {
				t.Errorf("%s: values of size %.2g, want 0", what, size(got))
			}
			return
		}
		checkNear(t, what, got, want, tolerance)
		worst = max(worst, distance(got, want))
	}
	check("logits", n.Logits())
	loss, gradient := crossEntropy(t, engine, n.Logits())
	check("loss", loss)
	check("logits_gradient", gradient)
	copy(n.LogitsGradient(), gradient)
	run(t, n.Backward)
	n.AdvanceStatistics()
	var norms []float32
	for _, p := range sortedParams(n.Params()) {
		if !p.Trainable() {
			check("statistic/"+p.Name, thinned(n.Weights()[p.Name]))
			continue
		}
		check("gradient/"+p.Name, thinned(n.Gradient(p.Name)))
		norms = append(norms, float32(size(n.Gradient(p.Name))))
	}
	check("norms", norms)
	if checked != len(golden) {
		t.Errorf("compared %d arrays, the file has %d", checked, len(golden))
	}
	t.Logf("worst relative L2 distance to PyTorch of %d arrays: %.2g", checked, worst)
}

// size is the L2 norm.
func size(v []float32) float64 {
	var sum float64
	for _, x := range v {
		sum += float64(x) * float64(x)
	}
	return math.Sqrt(sum)
}

// crossEntropy returns the mean cross entropy of logits whose labels are 0, 1,
// 2, ..., and its gradient, from the loss that students are trained with.
func crossEntropy(t *testing.T, engine kernel.Engine, logits []float32) (loss, gradient []float32) {
	t.Helper()
	b := gops.NewBuilder(engine)
	matrix := kernel.Matrix(goldenBatch, goldenClasses)
	x, target := b.Input("logits", matrix), b.Input("labels", matrix)
	x.NeedsGrad = true
	logq, err := b.LogSoftmax(x)
	if err != nil {
		t.Fatal(err)
	}
	total, err := b.CrossEntropy(target, logq)
	if err != nil {
		t.Fatal(err)
	}
	one := b.Param("one", 1)
	grads, err := gorgonia.Backpropagate(gorgonia.Nodes{total}, gorgonia.Nodes{one}, gorgonia.Nodes{x.Node})
	if err != nil {
		t.Fatal(err)
	}
	p, err := exec.Compile(exec.Spec{Outputs: gorgonia.Nodes{total}, Gradients: grads, Memory: engine})
	if err != nil {
		t.Fatal(err)
	}
	p.Value(one)[0] = 1
	copy(p.Value(x.Node), logits)
	for i := range goldenBatch {
		p.Value(target.Node)[i*goldenClasses+i] = 1
	}
	run(t, p.Forward, p.Backward)
	return p.Value(total), p.Value(grads[0])
}

// goldenWeights draws the trained tensors; statistics start as Init's.
func goldenWeights(t *testing.T, net *models.Network, seed uint64) models.Weights {
	t.Helper()
	w, err := net.Init(0)
	if err != nil {
		t.Fatal(err)
	}
	params, err := net.Params()
	if err != nil {
		t.Fatal(err)
	}
	counter := seed << 48
	for _, p := range sortedParams(params) {
		scale, shift := 0.125, 0.0
		switch p.Role {
		case models.RoleWeight:
			scale = math.Sqrt(6 / float64(p.Size()/p.Shape[0]))
		case models.RoleGamma:
			scale, shift = 0.25, 1
		case models.RoleRunningMean, models.RoleRunningVar:
			continue
		}
		for i := range w[p.Name] {
			w[p.Name][i] = float32(shift + scale*goldenValue(counter))
			counter++
		}
	}
	return w
}

// goldenValue is value(k) of the script: the top 24 bits of the k-th output of
// splitmix64, in [-1, 1).
func goldenValue(k uint64) float64 {
	z := (k + 1) * 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	z ^= z >> 31
	return float64(z>>40)/(1<<23) - 1
}

func sortedParams(params []models.Param) []models.Param {
	params = slices.Clone(params)
	slices.SortFunc(params, func(a, b models.Param) int { return strings.Compare(a.Name, b.Name) })
	return params
}

// thinned returns what the files keep of a tensor.
func thinned(v []float32) []float32 {
	var out []float32
	for i := 0; i < len(v); i += (len(v)+goldenKept-1)/goldenKept | 1 {
		out = append(out, v[i])
	}
	return out
}

// readArrays reads the float32 arrays of a file in testdata by name.
func readArrays(t *testing.T, file string) map[string][]float32 {
	t.Helper()
	r, err := npz.Open(filepath.Join("..", "..", "..", "testdata", "lower", file))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	arrays := make(map[string][]float32)
	for _, key := range r.Keys() {
		var v []float32
		if err := r.Read(key, &v); err != nil {
			t.Fatalf("%s: %s: %v", file, key, err)
		}
		arrays[strings.TrimSuffix(key, ".npy")] = v
	}
	return arrays
}
