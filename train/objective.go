package train

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/engine/exec"
	"github.com/deepmutual/dml/internal/engine/gops"
	"github.com/deepmutual/dml/internal/engine/kernel"
)

// objectiveSpec says what loss an objective computes.
type objectiveSpec struct {
	batch, classes int
	targets        int     // posteriors to mimic
	temperature    float64 // of the mimicry loss; 0 means 1
	smoothing      float64 // of the labels
}

// objective is the loss of one student: a small Gorgonia graph on [batch,
// classes] matrices, from logits, labels and the posteriors to mimic to the
// losses and the gradient on the logits.
type objective struct {
	program   *exec.Program
	smoothing float64

	logits, labels []float32   // to be filled; labels are distributions
	targets        [][]float32 // to be filled, a posterior each, at the temperature
	weight         []float32   // of the mimicry loss, one value, to be filled; nil without targets
	gradient       []float32   // of the loss on the logits

	crossEntropy, mimicry, total []float32 // one value each; mimicry is nil without targets
}

// newObjective builds
//
//	total = CE + weight * mimicry,  mimicry = T^2 / targets * sum KL(target || softmax(logits / T))
//
// Without targets it is the cross entropy alone.
func newObjective(engine kernel.Engine, spec objectiveSpec) (*objective, error) {
	b := gops.NewBuilder(engine)
	d := kernel.Matrix(spec.batch, spec.classes)
	logits, labels := b.Input("logits", d), b.Input("labels", d)
	logits.NeedsGrad = true
	logq, err := b.LogSoftmax(logits)
	if err != nil {
		return nil, err
	}
	ce, err := b.CrossEntropy(labels, logq)
	if err != nil {
		return nil, err
	}
	total, outputs := ce, gorgonia.Nodes{ce}
	targets := make([]gops.Tensor, spec.targets)
	for i := range targets {
		targets[i] = b.Input(fmt.Sprintf("target %d", i), d)
	}
	var mimicry, weight *gorgonia.Node
	if spec.targets > 0 {
		if mimicry, err = mimicryLoss(b, logits, logq, targets, spec.temperature); err != nil {
			return nil, err
		}
		weight = b.Param("weight", 1)
		weighted, err := b.Times(weight, mimicry)
		if err != nil {
			return nil, err
		}
		if total, err = b.WeightedSum([]float32{1, 1}, ce, weighted); err != nil {
			return nil, err
		}
		outputs = append(outputs, mimicry, total)
	}
	one := b.Param("one", 1)
	gradients, err := gorgonia.Backpropagate(gorgonia.Nodes{total}, gorgonia.Nodes{one}, gorgonia.Nodes{logits.Node})
	if err != nil {
		return nil, fmt.Errorf("loss: %w", err)
	}
	program, err := exec.Compile(exec.Spec{Outputs: outputs, Gradients: gradients, Memory: engine, Add: planAddInto})
	if err != nil {
		return nil, fmt.Errorf("loss: %w", err)
	}
	program.Value(one)[0] = 1
	o := &objective{
		program: program, smoothing: spec.smoothing,
		logits: program.Value(logits.Node), labels: program.Value(labels.Node),
		gradient: program.Value(gradients[0]), crossEntropy: program.Value(ce), total: program.Value(total),
	}
	for _, t := range targets {
		o.targets = append(o.targets, program.Value(t.Node))
	}
	if mimicry != nil {
		o.mimicry, o.weight = program.Value(mimicry), program.Value(weight)
	}
	return o, nil
}

// mimicryLoss appends the mean of KL(target || student), both at a temperature
// T, times T squared, which keeps the gradient's scale (Hinton, Vinyals, Dean:
// Distilling the knowledge in a neural network, 2015). logq is the log-softmax
// of the logits at temperature 1.
func mimicryLoss(b *gops.Builder, logits, logq gops.Tensor, targets []gops.Tensor, temperature float64) (*gorgonia.Node, error) {
	share := 1 / float32(len(targets))
	if hot(temperature) {
		scaled, err := b.Scale(logits, float32(1/temperature))
		if err != nil {
			return nil, err
		}
		if logq, err = b.LogSoftmax(scaled); err != nil {
			return nil, err
		}
		share = float32(temperature * temperature / float64(len(targets)))
	}
	// KL(p || q) = cross entropy(p, q) - entropy(p)
	var weights []float32
	var terms []*gorgonia.Node
	for _, p := range targets {
		cross, err := b.CrossEntropy(p, logq)
		if err != nil {
			return nil, err
		}
		entropy, err := b.Entropy(p)
		if err != nil {
			return nil, err
		}
		terms = append(terms, cross, entropy)
		weights = append(weights, share, -share)
	}
	return b.WeightedSum(weights, terms...)
}

// hot reports whether a temperature changes anything.
func hot(temperature float64) bool { return temperature != 0 && temperature != 1 }

func planAddInto(int) (exec.Add, error) { return addInto, nil }

func addInto(dst, a, b []float32) error {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
	return nil
}

// setLabels writes labels as rows of 1-smoothing at the class, plus
// smoothing/classes everywhere (Szegedy et al.: Rethinking the Inception
// architecture, CVPR 2016, section 7).
func (o *objective) setLabels(labels []int32) {
	classes := len(o.labels) / len(labels)
	everywhere := o.smoothing / float64(classes)
	for i := range o.labels {
		o.labels[i] = float32(everywhere)
	}
	for i, c := range labels {
		o.labels[i*classes+int(c)] = float32(1 - o.smoothing + everywhere)
	}
}

// run computes the losses and the gradient from what was filled in.
func (o *objective) run() error {
	if err := o.program.Forward(); err != nil {
		return err
	}
	return o.program.Backward()
}
