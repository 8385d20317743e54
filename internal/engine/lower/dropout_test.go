package lower_test

import (
	"slices"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
)

// dropped is a network with dropout behind convolutions in the engine's layout,
// on the embedding and on the logits.
func dropped(t *testing.T) *models.Network {
	t.Helper()
	b := models.NewBuilder("dropped", models.Shape{C: 3, H: 6, W: 5}, 4)
	x := b.Conv("conv", b.Input(), models.Conv{Out: 20, Kernel: models.Square(3), Pad: models.PadAll(1)})
	x = b.ReLU("relu", b.Dropout("drop1", b.BatchNorm("bn", x, models.BatchNorm{}), models.Dropout{Rate: 0.2}))
	feature := b.Dropout("drop2", b.Flatten("flat", x), models.Dropout{Rate: 0.5})
	logits := b.Dropout("drop3", b.Dense("dense", feature, models.Dense{Out: 4, Bias: true}), models.Dropout{Rate: 0.3})
	net, err := b.Build(logits, feature)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// The outputs of a network may be dropouts: in training they are what is left,
// for inference and export what comes in.
func TestDropoutAtTheOutputs(t *testing.T) {
	net := dropped(t)
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		checkForward(t, net, engine, lower.Options{Batch: 3, Training: true})
		checkForward(t, net, engine, lower.Options{Batch: 3})
	})
	checkGradients(t, net, 2)
	checkExported(t, net, 2)
}

// Masks follow from seed, layer and step alone.
func TestDropoutSteps(t *testing.T) {
	net := dropped(t)
	var first []float32 // of the first backend
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		compiled := func(seed uint64) *lower.Network {
			n := compile(t, net, engine, lower.Options{Batch: 2, Training: true, Seed: seed})
			gradients(t, n)
			return n
		}
		// at returns where the embedding of a step is not zero.
		at := func(n *lower.Network, step uint64) []float32 {
			n.SetStep(step)
			run(t, n.Forward)
			out := slices.Clone(n.Embedding())
			for i, v := range out {
				if v != 0 {
					out[i] = 1
				}
			}
			return out
		}
		n := compiled(5)
		step1, step2 := at(n, 1), at(n, 2)
		if slices.Equal(step1, step2) {
			t.Error("two steps drop the same values")
		}
		if !slices.Equal(step1, at(n, 1)) {
			t.Error("a step run again drops other values")
		}
		if !slices.Equal(step2, at(compiled(5), 2)) {
			t.Error("another network of the same seed drops other values")
		}
		if slices.Equal(step2, at(compiled(6), 2)) {
			t.Error("two seeds drop the same values")
		}
		// A backward run has the mask of its forward run.
		n.SetStep(9)
		run(t, n.Forward, n.Backward)
		got := slices.Clone(n.Gradient("conv.weight"))
		checkNear(t, "gradient of step 9", got, differences(t, n, "conv.weight"), 5e-3)
		if first == nil {
			first = step1
		} else if !slices.Equal(first, step1) {
			t.Error("backends drop different values")
		}
	})
}

func TestDropoutStepsAllocateNothing(t *testing.T) {
	n := compile(t, dropped(t), newEngine(t, openOneDNN(t)), lower.Options{Batch: 2, Training: true})
	gradients(t, n)
	step := uint64(0)
	if allocs := testing.AllocsPerRun(20, func() {
		n.SetStep(step)
		step++
		run(t, n.Forward, n.Backward)
	}); allocs != 0 {
		t.Errorf("a step allocates %g times", allocs)
	}
}
