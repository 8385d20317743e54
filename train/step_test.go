package train

import (
	"fmt"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train/optim"
)

// goldenRule is the optimizer of the golden files, at a constant rate.
func goldenRule() updateRule {
	sgd := optim.SGD{LearningRate: goldenLearningRate, Momentum: goldenMomentum, Nesterov: true, WeightDecay: goldenWeightDecay}
	return updateRule{sgd, optim.Constant{}, 1}
}

// goldenCohort makes the golden pair.
func goldenCohort(t *testing.T, backend kernel.Backend, mode Mode, threads int, noWinograd bool) (*cohort, [2]goldenStudent) {
	t.Helper()
	net := goldenNetwork(t)
	golden := readGolden(t, net)
	c, err := newCohort(backend, []member{{"a", net, golden[0].initial, goldenRule()}, {"b", net, golden[1].initial, goldenRule()}}, cohortOptions{
		mode: mode, batch: goldenBatch, mimicry: ramp{value: 1}, threads: threads, noWinograd: noWinograd,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return c, golden
}

func goldenMiniBatch(step int) *dataset.Batch {
	labels := make([]int, goldenBatch)
	b := &dataset.Batch{Images: make([]float32, goldenBatch*3*32*32), Labels: make([]int32, goldenBatch), N: goldenBatch}
	goldenSamples(step, b.Images, labels)
	b.Views = [][]float32{b.Images}
	for i, l := range labels {
		b.Labels[i] = int32(l)
	}
	return b
}

// TestGoldenSteps follows PyTorch through five steps of mutual learning: the
// losses and loss gradients that the cohort computes, and where they lead.
func TestGoldenSteps(t *testing.T) {
	for _, backend := range goldenBackends(t) {
		for _, threads := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/threads=%d", backend.Info().Name, threads), func(t *testing.T) {
				followGolden(t, backend, threads, true, goldenTolerance)
			})
			if backend.Info().Name == "ref" {
				continue // it has no other algorithm
			}
			// Winograd's rounding moves an input or two of the millions that the
			// rectifiers see to the other side of 0, which turns their gradients off.
			t.Run(fmt.Sprintf("%s/winograd/threads=%d", backend.Info().Name, threads), func(t *testing.T) {
				followGolden(t, backend, threads, false, 10*goldenTolerance)
			})
		}
	}
}

func followGolden(t *testing.T, backend kernel.Backend, threads int, noWinograd bool, tolerance float64) {
	c, golden := goldenCohort(t, backend, ModeDML, threads, noWinograd)
	if want := threads == 2; c.lineup.sideBySide != want {
		t.Errorf("%d threads: side by side is %v", threads, c.lineup.sideBySide)
	}
	for step := range goldenSteps {
		if err := c.step(goldenMiniBatch(step), step); err != nil {
			t.Fatal(err)
		}
		for i, s := range c.students {
			want := golden[i].losses[step]
			got := goldenLoss{s.objective.crossEntropy[0], s.objective.mimicry[0], s.objective.total[0]}
			checkWithin(t, tolerance, "losses", []float32{got.crossEntropy, got.mimicry, got.total},
				[]float32{want.crossEntropy, want.mimicry, want.total})
			if step == 0 {
				checkWithin(t, tolerance, "gradient of the logits", s.objective.gradient, golden[i].logitsGradient)
			}
		}
	}
	for i, s := range c.students {
		worst := 0.0
		for _, p := range s.net.Params() {
			worst = max(worst, checkWithin(t, tolerance, p.Name, s.net.Weights()[p.Name], golden[i].weights[p.Name]))
		}
		t.Logf("student %s, %d threads: worst relative L2 distance after %d steps %.2g", s.name, threads, goldenSteps, worst)
	}
}

// TestIndependentIgnoresPeers: without the mimicry loss a student learns the
// same whoever learns beside it.
func TestIndependentIgnoresPeers(t *testing.T) {
	c, golden := goldenCohort(t, ref.New(), ModeIndependent, 1, false)
	alone, err := newCohort(ref.New(), []member{{"a", goldenNetwork(t), golden[0].initial, goldenRule()}}, cohortOptions{
		mode: ModeIndependent, batch: goldenBatch, mimicry: ramp{value: 1}, threads: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer alone.close()
	for step := range 2 {
		for _, cohort := range []*cohort{c, alone} {
			if err := cohort.step(goldenMiniBatch(step), step); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, w := range c.students[0].net.Weights() {
		for i, v := range w {
			if v != alone.students[0].net.Weights()[name][i] {
				t.Fatalf("%s[%d] is %g beside a peer and %g alone", name, i, v, alone.students[0].net.Weights()[name][i])
			}
		}
	}
}

// TestDropoutOfACohort: the masks of a step follow from the seed and the
// number of the step, and no two students have the same.
func TestDropoutOfACohort(t *testing.T) {
	net, err := withDropout("", models.Shape{C: 3, H: 32, W: 32}, goldenClasses)
	if err != nil {
		t.Fatal(err)
	}
	initial, err := net.Init(1)
	if err != nil {
		t.Fatal(err)
	}
	// losses returns those of the first step of two equal students.
	losses := func(seed uint64, number int) [2]float32 {
		c, err := newCohort(ref.New(), []member{{"a", net, initial, goldenRule()}, {"b", net, initial, goldenRule()}}, cohortOptions{
			mode: ModeDML, batch: goldenBatch, mimicry: ramp{value: 1}, threads: 1, seed: seed,
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.close()
		if err := c.step(goldenMiniBatch(0), number); err != nil {
			t.Fatal(err)
		}
		return [2]float32{c.students[0].objective.total[0], c.students[1].objective.total[0]}
	}
	base := losses(1, 3)
	if base[0] == base[1] {
		t.Error("both students drop the same values")
	}
	if again := losses(1, 3); again != base {
		t.Errorf("losses %v, again %v", base, again)
	}
	for what, other := range map[string][2]float32{"seed": losses(2, 3), "step": losses(1, 4)} {
		if other[0] == base[0] || other[1] == base[1] {
			t.Errorf("another %s drops the same values", what)
		}
	}
}

func TestStepAllocatesLittle(t *testing.T) {
	for _, backend := range goldenBackends(t) {
		if backend.Info().Name == "ref" {
			continue // the reference kernels allocate as they like
		}
		for name, opts := range map[string]cohortOptions{
			"dml":         {mode: ModeDML, mimicry: ramp{value: 1}},
			"sequential":  {mode: ModeDML, order: OrderSequential, mimicry: ramp{value: 1}},
			"dml_e":       {mode: ModeDMLEnsemble, mimicry: ramp{value: 1, steps: 5}, loss: objectiveSpec{temperature: 2, smoothing: 0.1}},
			"distill":     {mode: ModeDistill, mimicry: ramp{value: 1}, teacher: &fixedTeacher{classes: goldenClasses}},
			"independent": {mode: ModeIndependent},
		} {
			opts.threads = 2
			c := goldenPair(t, backend, opts)
			batch := goldenMiniBatch(0)
			batch.Second = [][]float32{batch.Images}
			if n := testing.AllocsPerRun(8, func() {
				if err := c.step(batch, 0); err != nil {
					t.Fatal(err)
				}
			}); n > 4 {
				t.Errorf("%s: %v allocations a step", name, n)
			}
		}
	}
}

func TestPlanLineup(t *testing.T) {
	for _, tc := range []struct {
		costs   []int64
		threads int
		want    lineup
	}{
		{[]int64{10}, 4, lineup{threads: 4}},
		{[]int64{10, 11}, 2, lineup{sideBySide: true, threads: 1}},
		{[]int64{10, 11}, 5, lineup{sideBySide: true, threads: 2}},
		{[]int64{10, 11}, 1, lineup{threads: 1}},
		{[]int64{10, 100}, 2, lineup{threads: 2}},
		{[]int64{10, 10, 10}, 2, lineup{threads: 2}},
	} {
		if got := planLineup(tc.costs, tc.threads); got != tc.want {
			t.Errorf("%v on %d threads: %+v, want %+v", tc.costs, tc.threads, got, tc.want)
		}
	}
}
