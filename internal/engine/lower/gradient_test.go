package lower_test

import (
	"slices"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
)

// gradients runs a training step with random weights, samples and logits
// gradient and returns a copy of every parameter's gradient.
func gradients(t *testing.T, n *lower.Network) map[string][]float32 {
	t.Helper()
	if err := n.SetWeights(randomWeights(t, n.Description)); err != nil {
		t.Fatal(err)
	}
	rng := newRand()
	fill(rng, n.Input())
	fill(rng, n.LogitsGradient())
	run(t, n.Forward, n.Backward)
	out := make(map[string][]float32)
	for _, p := range n.Params() {
		if g := n.Gradient(p.Name); g != nil {
			out[p.Name] = slices.Clone(g)
		}
	}
	return out
}

// differences estimates the gradient of a parameter by central differences of
// sum(logits gradient * logits).
func differences(t *testing.T, n *lower.Network, param string) []float64 {
	t.Helper()
	objective := func() (sum float64) {
		run(t, n.Forward)
		for i, v := range n.Logits() {
			sum += float64(v) * float64(n.LogitsGradient()[i])
		}
		return sum
	}
	var out []float64
	w := n.Weights()[param]
	for i := range w {
		const h = 1.0 / 2048
		old := w[i]
		w[i] = old + h
		up := objective()
		w[i] = old - h
		out = append(out, (up-objective())/(2*h))
		w[i] = old
	}
	return out
}

// checkGradients compares every gradient with finite differences on ref, and
// other backends with ref.
func checkGradients(t *testing.T, net *models.Network, batch int) {
	t.Helper()
	opts := lower.Options{Batch: batch, Training: true}
	n := compile(t, net, newEngine(t, ref.New()), opts)
	want := gradients(t, n)
	for _, p := range n.Params() {
		if p.Trainable() {
			checkNear(t, "ref: gradient of "+p.Name, want[p.Name], differences(t, n, p.Name), 5e-3)
		}
	}
	t.Run("onednn", func(t *testing.T) {
		got := gradients(t, compile(t, net, newEngine(t, openOneDNN(t)), opts))
		for name := range want {
			checkNear(t, "gradient of "+name, got[name], want[name], 1e-5)
		}
	})
}

func TestGradientsOfEveryKind(t *testing.T) {
	for _, r := range rows() {
		batch := 2
		if r.kind == models.KindBatchNorm && r.vector {
			batch = 5 // of two values the norm is 1 and -1, whatever they are
		}
		t.Run(r.name, func(t *testing.T) { checkGradients(t, r.network(t, true), batch) })
	}
}

func TestGradientsOfAResidualNetwork(t *testing.T) {
	b := models.NewBuilder("residual", models.Shape{C: 2, H: 5, W: 3}, 3)
	conv := func(name, in string, out, stride int) string {
		return b.Conv(name, in, models.Conv{Out: out, Kernel: models.Square(3), Stride: models.Square(stride), Pad: models.PadAll(1)})
	}
	x := b.ReLU("relu1", b.BatchNorm("bn1", conv("conv1", b.Input(), 3, 1), models.BatchNorm{}))
	y := b.ReLU("relu2", b.BatchNorm("bn2", conv("conv2", x, 5, 2), models.BatchNorm{}))
	y = b.BatchNorm("bn3", conv("conv3", y, 5, 1), models.BatchNorm{})
	y = b.ReLU("relu3", b.Add("add", y, b.Subsample("shortcut", x, models.Subsample{Stride: 2, Front: 1, Out: 5})))
	y = b.GlobalAvgPool("pool", y)
	net, err := b.Build(b.Dense("logits", y, models.Dense{Out: 3, Bias: true}), y)
	if err != nil {
		t.Fatal(err)
	}
	checkGradients(t, net, 3)
}

// rectified builds a network with two rectifiers. With a second reader of what
// they rectify they cannot be fused into the layers before them.
func rectified(t *testing.T, readers bool) *models.Network {
	t.Helper()
	b := models.NewBuilder("rectified", models.Shape{C: 3, H: 6, W: 5}, 4)
	x := b.Conv("conv", b.Input(), models.Conv{Out: 6, Kernel: models.Square(3)})
	bn := b.BatchNorm("bn", x, models.BatchNorm{})
	r := b.Activation("bounded", bn, models.Activation{Max: 0.8})
	sum := b.Add("add", r, x)
	y := b.GlobalAvgPool("pool", b.ReLU("relu", sum))
	logits := b.Dense("logits", y, models.Dense{Out: 4})
	embedding := y
	if readers {
		embedding = b.GlobalAvgPool("read", b.Add("readers", bn, sum))
	}
	net, err := b.Build(logits, embedding)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

func TestFusedAndUnfusedRectifiersAreEqual(t *testing.T) {
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		for _, training := range []bool{true, false} {
			fused := compile(t, rectified(t, false), engine, lower.Options{Batch: 2, Training: training})
			unfused := compile(t, rectified(t, true), engine, lower.Options{Batch: 2, Training: training})
			if !training {
				for _, n := range []*lower.Network{fused, unfused} {
					if err := n.SetWeights(randomWeights(t, n.Description)); err != nil {
						t.Fatal(err)
					}
					fill(newRand(), n.Input())
					run(t, n.Forward)
				}
				checkNear(t, "inference logits", fused.Logits(), unfused.Logits(), 1e-6)
				continue
			}
			got, want := gradients(t, fused), gradients(t, unfused)
			checkNear(t, "logits", fused.Logits(), unfused.Logits(), 1e-6)
			for name := range want {
				checkNear(t, "gradient of "+name, got[name], want[name], 1e-5)
			}
			if fused.Memory().Activations >= unfused.Memory().Activations {
				t.Errorf("%d bytes fused and %d unfused: nothing was fused", fused.Memory().Activations, unfused.Memory().Activations)
			}
		}
	})
}

// What a rectifier reads keeps its own value for its other readers, and for the
// outputs of the network.
func TestRectifiersBesideOtherReaders(t *testing.T) {
	b := models.NewBuilder("readers", models.Shape{C: 3, H: 5, W: 4}, 2)
	bn := b.BatchNorm("bn", b.Conv("conv", b.Input(), models.Conv{Out: 4, Kernel: models.Square(2)}), models.BatchNorm{})
	sum := b.Add("sum", b.ReLU("relu1", bn), bn)
	x := b.Add("both", b.ReLU("relu2", sum), sum)
	feature := b.Dense("feature", b.GlobalAvgPool("pool", x), models.Dense{Out: 6})
	net, err := b.Build(b.Dense("logits", b.ReLU("relu3", feature), models.Dense{Out: 2}), feature)
	if err != nil {
		t.Fatal(err)
	}
	checkGradients(t, net, 2)
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		checkForward(t, net, engine, lower.Options{Batch: 2, Training: true})
		checkForward(t, net, engine, lower.Options{Batch: 2})
	})
	// An addition or norm that is an output itself is not rectified either.
	b = models.NewBuilder("output", models.Shape{C: 3, H: 2, W: 2}, 3)
	pool := b.GlobalAvgPool("pool", b.Input())
	sum = b.Add("sum", b.Dense("dense", pool, models.Dense{Out: 3}), pool)
	if net, err = b.Build(b.ReLU("relu", sum), sum); err != nil {
		t.Fatal(err)
	}
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		checkForward(t, net, engine, lower.Options{Batch: 2, Training: true})
	})
}

// Layers that only the embedding needs, or nothing, have no gradient.
func TestBranchesBesideTheLogits(t *testing.T) {
	b := models.NewBuilder("branches", models.Shape{C: 2, H: 4, W: 4}, 2)
	shared := b.GlobalAvgPool("pool", b.Conv("shared", b.Input(), models.Conv{Out: 3, Kernel: models.Square(3)}))
	b.BatchNorm("unused", b.Input(), models.BatchNorm{})
	embedding := b.Dense("feature", shared, models.Dense{Out: 5, Bias: true})
	net, err := b.Build(b.Dense("logits", shared, models.Dense{Out: 2}), embedding)
	if err != nil {
		t.Fatal(err)
	}
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		n := compile(t, net, engine, lower.Options{Batch: 2, Training: true})
		got := gradients(t, n)
		n.AdvanceStatistics()
		for name, want := range map[string]bool{"shared.weight": true, "logits.weight": true, "feature.weight": false, "feature.bias": false, "unused.weight": false} {
			if (got[name] != nil) != want {
				t.Errorf("%s has a gradient: %v, want %v", name, got[name] != nil, want)
			}
		}
		values := interpret(t, net, n.Weights(), 2, n.Input(), true)
		checkNear(t, "embedding", n.Embedding(), values["feature"].v, 1e-5)
		if v := n.Weights()["unused.running_var"]; v[0] != randomWeights(t, net)["unused.running_var"][0] {
			t.Error("statistics of a layer that never ran moved")
		}
	})
}

func TestStepsAllocateNothing(t *testing.T) {
	net := build(t, "resnet8", models.Shape{C: 3, H: 8, W: 8})
	n := compile(t, net, newEngine(t, openOneDNN(t)), lower.Options{Batch: 2, Training: true})
	gradients(t, n)
	if allocs := testing.AllocsPerRun(20, func() {
		run(t, n.Forward, n.Backward)
		n.AdvanceStatistics()
	}); allocs != 0 {
		t.Errorf("a step allocates %g times", allocs)
	}
}
