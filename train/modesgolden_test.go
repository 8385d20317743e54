package train

import (
	"fmt"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
	"github.com/deepmutual/dml/models"
)

// TestGoldenObjectives compares the loss alone, of drawn logits and targets,
// with PyTorch's.
func TestGoldenObjectives(t *testing.T) {
	const batch, classes = 4, 6
	arrays := readArrays(t, "modes.npz")
	engine, err := ref.New().NewEngine(kernel.EngineOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer engine.Close()
	cases := 0
	for _, targets := range []int{0, 1, 3} {
		for _, temperature := range []float64{1, 3} {
			for _, more := range []struct{ smoothing, weight float64 }{{0, 1}, {0.1, 0.25}} {
				name := fmt.Sprintf("objective/%d targets, T %g, smoothing %g, weight %g", targets, temperature, more.smoothing, more.weight)
				o, err := newObjective(engine, objectiveSpec{batch: batch, classes: classes, targets: targets, temperature: temperature, smoothing: more.smoothing})
				if err != nil {
					t.Fatal(err)
				}
				for i := range o.logits {
					o.logits[i] = float32(3 * goldenValue(uint64(i)))
				}
				for p, target := range o.targets {
					row := make([]float32, classes)
					for at := 0; at < len(target); at += classes {
						for c := range row {
							row[c] = float32(3 * goldenValue(uint64(1000*(p+1)+at+c)))
						}
						soften(target[at:at+classes], row, temperature)
					}
				}
				o.setLabels([]int32{5, 0, 3, 3})
				got := []float32{0, 0, 0}
				if targets > 0 {
					o.weight[0] = float32(more.weight)
				}
				if err := o.run(); err != nil {
					t.Fatal(err)
				}
				if got[0], got[2] = o.crossEntropy[0], o.total[0]; targets > 0 {
					got[1] = o.mimicry[0]
				}
				checkWithin(t, 1e-6, name+": losses", got, arrays[name+"/losses"])
				checkWithin(t, 1e-6, name+": gradient", o.gradient, arrays[name+"/gradient"])
				cases++
			}
		}
	}
	t.Logf("%d losses equal PyTorch's", cases)
}

// goldenTeacherIndex is the number of the teacher's weights.
const goldenTeacherIndex = 9

// goldenCases are the cohorts of modes.py.
var goldenCases = []struct {
	name     string
	students []string
	opts     cohortOptions
}{
	{"dml", []string{"resnet8", "resnet20", "resnet8"}, cohortOptions{mode: ModeDML, mimicry: ramp{value: 1}}},
	{"sequential", []string{"resnet8", "resnet20", "resnet8"}, cohortOptions{mode: ModeDML, order: OrderSequential, mimicry: ramp{value: 1}}},
	{"dml_e", []string{"resnet8", "resnet20", "resnet8"}, cohortOptions{mode: ModeDMLEnsemble, mimicry: ramp{value: 0.5},
		loss: objectiveSpec{temperature: 2, smoothing: 0.1}}},
	{"dml_e_sequential", []string{"resnet8", "resnet8", "resnet8"}, cohortOptions{mode: ModeDMLEnsemble, order: OrderSequential, mimicry: ramp{value: 1}}},
	{"distill", []string{"resnet8", "resnet8"}, cohortOptions{mode: ModeDistill, mimicry: ramp{value: 0.7}, loss: objectiveSpec{temperature: 4}}},
	{"warmup", []string{"resnet8", "resnet8"}, cohortOptions{mode: ModeDML, mimicry: ramp{value: 2, steps: 2}, loss: objectiveSpec{smoothing: 0.2}}},
	{"independent", []string{"resnet8", "resnet8"}, cohortOptions{mode: ModeIndependent, loss: objectiveSpec{smoothing: 0.1}}},
}

// TestGoldenModes follows PyTorch through three steps of every mode, in both
// orders and with every option, most with networks of different depth.
func TestGoldenModes(t *testing.T) {
	arrays := readArrays(t, "modes.npz")
	backends := goldenBackends(t)
	backend := backends[len(backends)-1] // TestGoldenSteps compares them
	for _, tc := range goldenCases {
		t.Run(tc.name, func(t *testing.T) {
			var members []member
			for i, arch := range tc.students {
				net := buildGolden(t, arch)
				members = append(members, member{fmt.Sprint("student", i), net, goldenWeights(t, net, i), goldenRule()})
			}
			opts := tc.opts
			// Winograd's rounding has its own tolerance, in TestGoldenSteps.
			opts.batch, opts.threads, opts.noWinograd = goldenBatch, 2, true
			if opts.mode == ModeDistill {
				net := buildGolden(t, "resnet20")
				teacher, err := NewFrozenTeacher(State{Name: "teacher", Network: net, Weights: goldenWeights(t, net, goldenTeacherIndex)},
					EvaluateOptions{Backend: newBackend(backend), Batch: 5}) // in two parts, the second padded
				if err != nil {
					t.Fatal(err)
				}
				defer teacher.Close()
				opts.teacher = teacher
			}
			c, err := newCohort(backend, members, opts)
			if err != nil {
				t.Fatal(err)
			}
			defer c.close()
			losses := arrays[tc.name+"/losses"]
			steps := len(losses) / 3 / len(members)
			for step := range steps {
				batch := goldenMiniBatch(step)
				batch.Second = [][]float32{batch.Images}
				if err := c.step(batch, step); err != nil {
					t.Fatal(err)
				}
				for i, s := range c.students {
					got := []float32{s.objective.crossEntropy[0], 0, s.objective.total[0]}
					if s.objective.mimicry != nil {
						got[1] = s.objective.mimicry[0]
					}
					at := 3 * (i*steps + step)
					checkGolden(t, fmt.Sprintf("losses of student %d in step %d", i, step), got, losses[at:at+3])
				}
			}
			for i, s := range c.students {
				worst := 0.0
				kept := below(arrays, fmt.Sprintf("%s/student%d/", tc.name, i))
				if len(kept) != 5 {
					t.Errorf("student %d: %d golden tensors, want 5", i, len(kept))
				}
				for name, want := range kept {
					worst = max(worst, checkGolden(t, fmt.Sprintf("student %d: %s", i, name), s.net.Weights()[name], want))
				}
				t.Logf("student %d (%s): worst relative L2 distance to PyTorch after %d steps %.2g", i, tc.students[i], steps, worst)
			}
		})
	}
}

func buildGolden(t *testing.T, arch string) *models.Network {
	t.Helper()
	net, err := models.Build(arch, models.Shape{C: 3, H: 32, W: 32}, goldenClasses)
	if err != nil {
		t.Fatal(err)
	}
	return net
}
