package lower_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
)

// checkForward compares logits and embedding with the interpreter.
func checkForward(t *testing.T, net *models.Network, engine kernel.Engine, opts lower.Options) {
	t.Helper()
	n := compile(t, net, engine, opts)
	w := randomWeights(t, net)
	if err := n.SetWeights(w); err != nil {
		t.Fatal(err)
	}
	fill(newRand(), n.Input())
	run(t, n.Forward)
	want := interpret(t, net, w, opts.Batch, n.Input(), opts.Training)
	checkNear(t, "logits", n.Logits(), want[net.Logits].v, 1e-5)
	checkNear(t, "embedding", n.Embedding(), want[net.Embedding].v, 1e-5)
}

func TestForwardEqualsTheInterpreter(t *testing.T) {
	for _, r := range rows() {
		t.Run(r.name, func(t *testing.T) {
			eachBackend(t, func(t *testing.T, engine kernel.Engine) {
				for _, opts := range []lower.Options{{Batch: 1}, {Batch: 3}} {
					checkForward(t, r.network(t, false), engine, opts)
				}
				checkForward(t, r.network(t, true), engine, lower.Options{Batch: 2, Training: true})
			})
		})
	}
}

func TestArchitecturesEqualTheInterpreter(t *testing.T) {
	for _, tc := range []struct {
		name  string
		input models.Shape
		batch int
	}{
		{"convnet", models.Shape{C: 1, H: 28, W: 28}, 1},
		{"convnet", models.Shape{C: 3, H: 17, W: 9}, 5},
		{"resnet8", models.Shape{C: 3, H: 15, W: 13}, 3},
		{"resnet20", models.Shape{C: 1, H: 8, W: 11}, 1},
		{"wrn-10-1", models.Shape{C: 3, H: 8, W: 11}, 2},
	} {
		t.Run(tc.name+" "+tc.input.String(), func(t *testing.T) {
			net := build(t, tc.name, tc.input)
			eachBackend(t, func(t *testing.T, engine kernel.Engine) {
				for _, training := range []bool{false, true} {
					checkForward(t, net, engine, lower.Options{Batch: tc.batch, Training: training})
				}
			})
		})
	}
}

// The statistics follow PyTorch's definition: the mean and the unbiased
// variance of the batch, weighted by the momentum.
func TestAdvanceStatistics(t *testing.T) {
	b := models.NewBuilder("norms", models.Shape{C: 3, H: 4, W: 5}, 2)
	x := b.BatchNorm("first", b.Input(), models.BatchNorm{Momentum: 0.3})
	x = b.ReLU("relu", x)
	x = b.BatchNorm("second", x, models.BatchNorm{})
	x = b.GlobalAvgPool("pool", x)
	net, err := b.Build(b.Dense("logits", x, models.Dense{Out: 2}), x)
	if err != nil {
		t.Fatal(err)
	}
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		n := compile(t, net, engine, lower.Options{Batch: 2, Training: true})
		before := randomWeights(t, net)
		if err := n.SetWeights(before); err != nil {
			t.Fatal(err)
		}
		fill(newRand(), n.Input())
		run(t, n.Forward, n.Forward, n.Backward) // however often the step runs Forward
		for name, v := range n.Weights() {
			if !slices.Equal(v, before[name]) {
				t.Errorf("%s changed before AdvanceStatistics", name)
			}
		}
		n.AdvanceStatistics()
		values := interpret(t, net, before, 2, n.Input(), true)
		for _, norm := range []struct {
			name, input string
			momentum    float64
		}{{"first", models.InputName, 0.3}, {"second", "relu", 0.1}} {
			in := values[norm.input]
			count := float64(in.n * in.h * in.w)
			var mean, variance []float64
			for c := range in.c {
				m, v := in.channel(c)
				mean = append(mean, (1-norm.momentum)*float64(before[norm.name+".running_mean"][c])+norm.momentum*m)
				variance = append(variance, (1-norm.momentum)*float64(before[norm.name+".running_var"][c])+norm.momentum*v*count/(count-1))
			}
			checkNear(t, norm.name+".running_mean", n.Weights()[norm.name+".running_mean"], mean, 1e-6)
			checkNear(t, norm.name+".running_var", n.Weights()[norm.name+".running_var"], variance, 1e-6)
		}
	})
}

// An evaluation network that shares a training network's parameters sees every
// update and advanced statistic at once.
func TestShare(t *testing.T) {
	net := build(t, "resnet8", models.Shape{C: 3, H: 9, W: 9})
	eachBackend(t, func(t *testing.T, engine kernel.Engine) {
		train := compile(t, net, engine, lower.Options{Batch: 4, Training: true})
		eval := compile(t, net, engine, lower.Options{Batch: 2, Share: train})
		fill(newRand(), train.Input())
		fill(newRand(), eval.Input())
		if err := train.SetWeights(randomWeights(t, net)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			run(t, train.Forward)
			train.AdvanceStatistics()
			for _, p := range train.Params() {
				if &train.Weights()[p.Name][0] != &eval.Weights()[p.Name][0] {
					t.Fatalf("%s is not shared", p.Name)
				}
				if p.Trainable() {
					train.Weights()[p.Name][0] += 0.125
				}
			}
			run(t, eval.Forward)
			want := interpret(t, net, train.Weights(), 2, eval.Input(), false)
			checkNear(t, "logits", eval.Logits(), want[net.Logits].v, 1e-5)
		}
		// And the other way round.
		second := compile(t, net, engine, lower.Options{Batch: 4, Training: true, Share: eval})
		copy(second.Input(), train.Input())
		run(t, train.Forward, second.Forward)
		if !slices.Equal(train.Logits(), second.Logits()) {
			t.Error("two training networks with the same parameters differ")
		}
	})
}

func TestCompileErrors(t *testing.T) {
	engine := newEngine(t, ref.New())
	net := build(t, "convnet", models.Shape{C: 1, H: 28, W: 28})
	other := compile(t, build(t, "resnet8", models.Shape{C: 1, H: 28, W: 28}), engine, lower.Options{})
	tiny := build(t, "convnet", models.Shape{C: 1, H: 2, W: 2})

	b := models.NewBuilder("fixed", models.Shape{C: 2, H: 1, W: 1}, 2)
	pool := b.GlobalAvgPool("pool", b.Input())
	fixed, err := b.Build(pool, pool)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		net  *models.Network
		opts lower.Options
		want string
	}{
		{"a negative batch", net, lower.Options{Batch: -1}, "batch"},
		{"an invalid description", &models.Network{Name: "bad"}, lower.Options{}, `"bad"`},
		{"parameters of another network", net, lower.Options{Share: other}, `no "conv2.weight"`},
		{"a single value a channel", tiny, lower.Options{Batch: 1, Training: true}, `layer "bn1" (batch_norm)`},
		{"nothing to train", fixed, lower.Options{Training: true}, "no parameter leads to the logits"},
	} {
		_, err := lower.Compile(tc.net, engine, tc.opts)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want an error with %q", tc.name, err, tc.want)
		}
	}
	n := compile(t, net, engine, lower.Options{})
	if n.Batch() != 1 || n.LogitsGradient() != nil || n.Gradient("conv1.weight") != nil {
		t.Errorf("an inference network has batch %d, a logits gradient of %d values", n.Batch(), len(n.LogitsGradient()))
	}
	if err := n.SetWeights(models.Weights{}); err == nil {
		t.Error("SetWeights accepts nothing")
	}
}
