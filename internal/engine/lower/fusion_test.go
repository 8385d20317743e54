package lower_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
)

// fusionNetworks are what inference must not fuse wrongly, with the names of the
// ops that should be left. A value is read elsewhere, an addition has two
// convolutions to join, or the memory that a sum would overwrite is needed.
func fusionNetworks(t *testing.T) map[string]struct {
	net *models.Network
	ops []string
} {
	t.Helper()
	same := models.Conv{Out: 5, Kernel: models.Square(3), Pad: models.PadAll(1)}
	biased := same
	biased.Bias = true
	out := make(map[string]struct {
		net *models.Network
		ops []string
	})
	add := func(name string, ops []string, layers func(b *models.Builder, x string) string) {
		b := models.NewBuilder(name, models.Shape{C: 5, H: 6, W: 7}, 3)
		y := b.GlobalAvgPool("pool", layers(b, b.Input()))
		net, err := b.Build(b.Dense("logits", y, models.Dense{Out: 3, Bias: true}), y)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = struct {
			net *models.Network
			ops []string
		}{net, ops}
	}
	folded := []string{"fold weights", "fold bias", "conv"}
	add("everything", folded, func(b *models.Builder, x string) string {
		x = b.Conv("before", x, same)
		y := b.BatchNorm("norm", b.Conv("conv", b.ReLU("relu", x), biased), models.BatchNorm{Epsilon: 0.01})
		return b.Activation("act", b.Add("add", y, x), models.Activation{Max: 0.5})
	})
	add("the other way round", folded, func(b *models.Builder, x string) string {
		y := b.Conv("conv", b.BatchNorm("norm", b.Conv("before", x, same), models.BatchNorm{}), same)
		return b.ReLU("act", b.Add("add", b.Conv("shortcut", x, same), y))
	})
	add("the shortcut after the convolution", []string{"conv", "pool"}, func(b *models.Builder, x string) string {
		y := b.Conv("conv", x, same)
		pool := b.AvgPool("shortcut", x, models.Pool{Kernel: models.Square(3), Pad: models.PadAll(1)})
		return b.ReLU("act", b.Add("add", y, pool))
	})
	add("the input as the shortcut", []string{"conv"}, func(b *models.Builder, x string) string {
		return b.ReLU("act", b.Add("add", x, b.Conv("conv", x, biased)))
	})
	add("its own input as the shortcut", []string{"conv"}, func(b *models.Builder, x string) string {
		x = b.Conv("before", x, same)
		return b.Add("add", x, b.Conv("conv", x, biased))
	})
	add("a shortcut that is read later", []string{"conv", "add"}, func(b *models.Builder, x string) string {
		x = b.Conv("before", x, same)
		y := b.Add("add", x, b.Conv("conv", b.ReLU("relu", x), biased))
		return b.Add("again", b.ReLU("act", y), x)
	})
	add("twice the same convolution", []string{"conv", "add"}, func(b *models.Builder, x string) string {
		y := b.Conv("conv", x, same)
		return b.Add("add", y, y)
	})
	add("a convolution that is read twice", []string{"conv", "batch norm inference", "add"}, func(b *models.Builder, x string) string {
		y := b.Conv("conv", x, same)
		return b.Add("add", b.BatchNorm("norm", y, models.BatchNorm{}), y)
	})
	add("a batch norm that is read twice", slices.Concat(folded, []string{"activation", "add"}), func(b *models.Builder, x string) string {
		y := b.BatchNorm("norm", b.Conv("conv", x, same), models.BatchNorm{})
		return b.Add("add", b.ReLU("act", y), y)
	})
	add("grouped", folded, func(b *models.Builder, x string) string {
		c := same
		c.Groups = 5
		return b.ReLU("act", b.BatchNorm("norm", b.Conv("conv", x, c), models.BatchNorm{}))
	})
	return out
}

func TestFusions(t *testing.T) {
	for name, tc := range fusionNetworks(t) {
		t.Run(name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, engine kernel.Engine) {
				checkForward(t, tc.net, engine, lower.Options{Batch: 2})
				n := compile(t, tc.net, engine, lower.Options{Batch: 2})
				got := opsOf(t, n)
				for _, op := range []string{"dense", "global average pool", "reorder"} {
					delete(got, op)
				}
				ops := slices.Sorted(maps.Keys(got))
				// A rectifier of a leaf or of a value that is read twice stays.
				want := slices.Clone(tc.ops)
				if l, ok := tc.net.Layer("relu"); ok && l.Kind == models.KindActivation {
					want = append(want, "activation")
				}
				slices.Sort(want)
				if !slices.Equal(ops, want) {
					t.Errorf("inference runs %v, want %v", ops, want)
				}
			})
		})
	}
}

// opsOf counts the ops of a forward run.
func opsOf(t *testing.T, n *lower.Network) map[string]int {
	t.Helper()
	ops := make(map[string]int)
	n.Trace(func(op string, _ time.Duration) { ops[op]++ })
	run(t, n.Forward)
	n.Trace(nil)
	return ops
}

// A residual network is nothing but convolutions, shortcuts and the classifier.
func TestResNetFusesWhole(t *testing.T) {
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		got := opsOf(t, compile(t, build(t, "resnet8", models.Shape{C: 3, H: 8, W: 8}), engine, lower.Options{}))
		delete(got, "reorder")
		want := map[string]int{"fold weights": 7, "fold bias": 7, "conv": 7, "subsample": 2, "global average pool": 1, "dense": 1}
		if !maps.Equal(got, want) {
			t.Errorf("inference runs %v, want %v", got, want)
		}
	})
}

// Evaluation has the same bits every time, also beside a training that changes
// the weights and puts them back.
func TestEvaluationRepeats(t *testing.T) {
	net := build(t, "resnet8", models.Shape{C: 3, H: 9, W: 9})
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		w := randomWeights(t, net)
		train := compile(t, net, engine, lower.Options{Batch: 4, Training: true})
		eval := compile(t, net, engine, lower.Options{Batch: 2, Share: train})
		fill(newRand(), eval.Input())
		logits := func() []float32 {
			run(t, eval.Forward)
			return slices.Clone(eval.Logits())
		}
		if err := train.SetWeights(w); err != nil {
			t.Fatal(err)
		}
		first := logits()
		if !slices.Equal(first, logits()) {
			t.Error("a second forward run has other bits")
		}
		fill(newRand(), train.Input())
		run(t, train.Forward, train.Backward)
		train.AdvanceStatistics()
		if slices.Equal(first, logits()) {
			t.Error("other statistics, the same logits")
		}
		if err := train.SetWeights(w); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(first, logits()) {
			t.Error("the first weights again, other bits")
		}
		allocs := testing.AllocsPerRun(5, func() { run(t, eval.Forward) })
		if allocs > 0 && engine.Layout(16, 8, 8) != kernel.NCHW { // ref allocates
			t.Errorf("an evaluation allocates %g times", allocs)
		}
	})
}
