package train

import (
	"fmt"
	"math"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
	"github.com/deepmutual/dml/models"
)

const (
	linearBatch   = 3
	linearClasses = 5
)

// linearNetwork is one dense layer on six pixels.
func linearNetwork(t *testing.T) *models.Network {
	t.Helper()
	b := models.NewBuilder("linear", models.Shape{C: 1, H: 2, W: 3}, linearClasses)
	x := b.Flatten("flatten", b.Input())
	net, err := b.Build(b.Dense("linear", x, models.Dense{Out: linearClasses}), x)
	if err != nil {
		t.Fatal(err)
	}
	return net
}

// linearCohort is three students of different weights.
func linearCohort(t *testing.T, opts cohortOptions) *cohort {
	t.Helper()
	net := linearNetwork(t)
	var members []member
	for i := range 3 {
		w, err := net.Init(uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		for name := range w {
			for j := range w[name] {
				w[name][j] *= 4
			}
		}
		members = append(members, member{name: fmt.Sprint("student", i), net: net, weights: w, rule: goldenRule()})
	}
	opts.batch, opts.threads = linearBatch, 1
	c, err := newCohort(ref.New(), members, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// linearMiniBatch has two views, and a second preparation of each.
func linearMiniBatch() *dataset.Batch {
	b := &dataset.Batch{Labels: []int32{4, 0, 2}, N: linearBatch}
	for v := range 3 {
		var view, second []float32
		for i := range linearBatch * 6 {
			view = append(view, float32(2*goldenValue(uint64(1000*v+i))))
		}
		for i := range linearBatch * 2 {
			second = append(second, float32(goldenValue(uint64(5000+1000*v+i))))
		}
		b.Views, b.Second = append(b.Views, view), append(b.Second, second)
	}
	b.Images = b.Views[0]
	return b
}

// fixedTeacher has logits that are a simple function of its two inputs a sample.
type fixedTeacher struct{ classes, calls int }

func (t *fixedTeacher) Info() TeacherInfo {
	return TeacherInfo{Name: "fixed", Classes: t.classes, Fingerprint: "fixed"}
}

func (t *fixedTeacher) Logits(dst, images []float32) error {
	t.calls++
	for i := range dst {
		n, c := i/t.classes, i%t.classes
		dst[i] = 4 * images[2*n+c%2] * float32(c-2)
	}
	return nil
}

// slowSoftmax is the definition.
func slowSoftmax(logits []float64, temperature float64) []float64 {
	p := make([]float64, len(logits))
	var sum float64
	for i, x := range logits {
		p[i] = math.Exp(x / temperature)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}

// slowLoss is the loss of student k on one sample, straight from the equations
// in the documentation of the package.
func slowLoss(mode Mode, k int, logits [][]float64, teacher []float64, label int, mimicry Mimicry, smoothing float64) float64 {
	temperature := mimicry.Temperature
	var loss float64
	for c, p := range slowSoftmax(logits[k], 1) {
		y := smoothing / linearClasses
		if c == label {
			y += 1 - smoothing
		}
		loss -= y * math.Log(p)
	}
	student := slowSoftmax(logits[k], temperature)
	divergence := func(p []float64) float64 {
		var kl float64
		for c := range p {
			kl += p[c] * math.Log(p[c]/student[c])
		}
		return kl
	}
	mean := make([]float64, linearClasses)
	peers := float64(len(logits) - 1)
	var sum float64
	for l := range logits {
		if l == k {
			continue
		}
		p := slowSoftmax(logits[l], temperature)
		sum += divergence(p) / peers
		for c := range p {
			mean[c] += p[c] / peers
		}
	}
	scale := *mimicry.Weight * temperature * temperature
	switch mode {
	case ModeDML:
		loss += scale * sum
	case ModeDMLEnsemble:
		loss += scale * divergence(mean)
	case ModeDistill:
		loss += scale * divergence(slowSoftmax(teacher, temperature))
	}
	return loss
}

func widened(row []float32) []float64 {
	out := make([]float64, len(row))
	for i, v := range row {
		out[i] = float64(v)
	}
	return out
}

// TestLossOfEveryMode compares the losses of three students, and their
// gradients, with the equations in float64 and with finite differences.
func TestLossOfEveryMode(t *testing.T) {
	for _, mode := range Modes() {
		for _, temperature := range []float64{1, 2.5} {
			for _, smoothing := range []float64{0, 0.1} {
				for _, weight := range []float64{1, 0.3, 0} {
					t.Run(fmt.Sprintf("%s T=%g smoothing=%g weight=%g", mode, temperature, smoothing, weight), func(t *testing.T) {
						checkLoss(t, mode, Mimicry{Weight: &weight, Temperature: temperature}, smoothing)
					})
				}
			}
		}
	}
}

func checkLoss(t *testing.T, mode Mode, mimicry Mimicry, smoothing float64) {
	t.Helper()
	opts := cohortOptions{mode: mode, mimicry: mimicry.ramp(1), loss: objectiveSpec{temperature: mimicry.Temperature, smoothing: smoothing}}
	teacher := &fixedTeacher{classes: linearClasses}
	taught := make([]float32, linearBatch*linearClasses)
	batch := linearMiniBatch()
	batch.Second = batch.Second[:1]
	if mode == ModeDistill {
		opts.teacher = teacher
	}
	c := linearCohort(t, opts)
	if err := c.step(batch, 0); err != nil {
		t.Fatal(err)
	}
	if mode == ModeDistill && teacher.calls != 1 {
		t.Errorf("the teacher was asked %d times for one mini-batch", teacher.calls)
	}
	if err := teacher.Logits(taught, batch.Second[0]); err != nil {
		t.Fatal(err)
	}
	rows := func(n int) ([][]float64, []float64) {
		at, end := n*linearClasses, (n+1)*linearClasses
		var logits [][]float64
		for _, s := range c.students {
			logits = append(logits, widened(s.objective.logits[at:end]))
		}
		return logits, widened(taught[at:end])
	}
	for k, s := range c.students {
		var want float64
		for n, label := range batch.Labels {
			logits, taught := rows(n)
			want += slowLoss(mode, k, logits, taught, int(label), mimicry, smoothing) / linearBatch
			for i := range linearClasses {
				const h = 1e-5
				at := &logits[k][i]
				*at += h
				up := slowLoss(mode, k, logits, taught, int(label), mimicry, smoothing)
				*at -= 2 * h
				down := slowLoss(mode, k, logits, taught, int(label), mimicry, smoothing)
				*at += h
				slope := (up - down) / (2 * h) / linearBatch
				if got := float64(s.objective.gradient[n*linearClasses+i]); math.Abs(got-slope) > 2e-6 {
					t.Errorf("student %d: gradient of logit %d of sample %d is %g, finite difference %g", k, i, n, got, slope)
				}
			}
		}
		o := s.objective
		if math.Abs(float64(o.total[0])-want) > 1e-5*(1+want) {
			t.Errorf("student %d: loss %g, want %g", k, o.total[0], want)
		}
		if o.mimicry == nil {
			continue
		}
		if sum := float64(o.crossEntropy[0]) + *mimicry.Weight*float64(o.mimicry[0]); math.Abs(sum-float64(o.total[0])) > 1e-5 {
			t.Errorf("student %d: cross entropy %g and mimicry %g do not make up %g", k, o.crossEntropy[0], o.mimicry[0], o.total[0])
		}
	}
}
