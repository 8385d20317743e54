package train

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/exec"
	"github.com/deepmutual/dml/internal/gops"
	"github.com/deepmutual/dml/internal/kernel"
)

// objective is the loss of one student: a small Gorgonia graph on [batch,
// classes] matrices, from logits, labels and peers' posteriors to the losses
// and the gradient on the logits.
type objective struct {
	program *exec.Program

	logits, labels []float32   // to be filled; labels are one-hot
	peers          [][]float32 // to be filled, a posterior a peer
	gradient       []float32   // of the loss on the logits

	crossEntropy, mimicry, total []float32 // one value each; mimicry is nil without peers
}

// newObjective builds L = CE + 1/peers * sum KL(peer || student). Without
// peers it is the cross entropy alone.
func newObjective(engine kernel.Engine, batch, classes, peers int) (*objective, error) {
	b := gops.NewBuilder(engine)
	d := kernel.Matrix(batch, classes)
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
	peerInputs := make([]gops.Tensor, peers)
	var mimicry *gorgonia.Node
	if peers > 0 {
		// KL(p || q) = cross entropy(p, q) - entropy(p)
		var weights []float32
		var terms []*gorgonia.Node
		for i := range peers {
			p := b.Input(fmt.Sprintf("posterior of peer %d", i), d)
			peerInputs[i] = p
			cross, err := b.CrossEntropy(p, logq)
			if err != nil {
				return nil, err
			}
			entropy, err := b.Entropy(p)
			if err != nil {
				return nil, err
			}
			terms = append(terms, cross, entropy)
			weights = append(weights, 1/float32(peers), -1/float32(peers))
		}
		if mimicry, err = b.WeightedSum(weights, terms...); err != nil {
			return nil, err
		}
		if total, err = b.WeightedSum([]float32{1, 1}, ce, mimicry); err != nil {
			return nil, err
		}
		outputs = append(outputs, mimicry, total)
	}
	one := b.Param("one", 1)
	gradients, err := gorgonia.Backpropagate(gorgonia.Nodes{total}, gorgonia.Nodes{one}, gorgonia.Nodes{logits.Node})
	if err != nil {
		return nil, fmt.Errorf("loss: %w", err)
	}
	program, err := exec.Compile(exec.Spec{Outputs: outputs, Gradients: gradients, Memory: engine, Add: addInto})
	if err != nil {
		return nil, fmt.Errorf("loss: %w", err)
	}
	program.Value(one)[0] = 1
	o := &objective{
		program: program, logits: program.Value(logits.Node), labels: program.Value(labels.Node),
		gradient: program.Value(gradients[0]), crossEntropy: program.Value(ce), total: program.Value(total),
	}
	for _, p := range peerInputs {
		o.peers = append(o.peers, program.Value(p.Node))
	}
	if mimicry != nil {
		o.mimicry = program.Value(mimicry)
	}
	return o, nil
}

func addInto(dst, a, b []float32) error {
	for i := range dst {
		dst[i] = a[i] + b[i]
	}
	return nil
}

// setLabels writes labels as one-hot rows.
func (o *objective) setLabels(labels []int32) {
	clear(o.labels)
	classes := len(o.labels) / len(labels)
	for i, c := range labels {
		o.labels[i*classes+int(c)] = 1
	}
}

// run computes the losses and the gradient from what was filled in.
func (o *objective) run() error {
	if err := o.program.Forward(); err != nil {
		return err
	}
	return o.program.Backward()
}
