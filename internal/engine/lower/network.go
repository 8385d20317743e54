package lower

import (
	"fmt"
	"time"

	"github.com/deepmutual/dml/internal/engine/exec"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/models"
)

// Options configures the compilation of a network.
type Options struct {
	// Batch is the number of samples of a run; 0 means 1.
	Batch int
	// Training normalises with batch statistics and compiles the backward
	// pass; otherwise the running statistics are used.
	Training bool
	// Seed decides, with the step and the names of the layers, what dropout
	// drops in training.
	Seed uint64
	// Share makes the new network use the parameters and statistics of
	// another of the same description.
	Share *Network
}

// Network is a compiled network. It belongs to its engine, is used by one
// goroutine at a time, and is gone when the engine is closed.
type Network struct {
	Description *models.Network
	batch       int
	program     *exec.Program
	params      []models.Param
	weights     models.Weights // the live memory
	grads       map[string][]float32
	norms       []norm
	masks       []mask
	seed        uint64
	memory      Memory

	input, logits, embedding, logitsGradient []float32
}

// Compile lowers a description with the kernels of an engine. Parameters start
// at zero; SetWeights fills them.
func Compile(net *models.Network, engine kernel.Engine, opts Options) (*Network, error) {
	d, err := newDesign(net, engine, opts)
	if err != nil {
		return nil, err
	}
	n := &Network{Description: net, batch: d.graph.batch, params: d.params, norms: d.graph.norms, masks: d.graph.masks,
		seed: opts.Seed, grads: make(map[string][]float32)}
	if n.weights, err = d.weights(engine, opts.Share); err != nil {
		return nil, err
	}
	for name, node := range d.graph.params {
		d.spec.Bound[node] = n.weights[name]
	}
	if n.program, err = exec.Compile(d.spec); err != nil {
		return nil, fmt.Errorf("network %q: %w", net.Name, err)
	}
	for i, name := range d.trained {
		n.grads[name] = n.program.Value(d.spec.Gradients[i])
	}
	n.input = n.program.Value(d.graph.outputs[models.InputName].Node)
	n.logits, n.embedding = n.program.Value(d.logits.Node), n.program.Value(d.embedding.Node)
	if opts.Training {
		n.logitsGradient = n.program.Value(d.dLogits.Node)
	}
	n.memory = d.memory(n.program.Footprint())
	if opts.Share != nil {
		n.memory.Weights = 0
	}
	n.SetStep(0)
	return n, nil
}

// Batch returns the number of samples of a run.
func (n *Network) Batch() int { return n.batch }

// Input returns the memory of the input, [batch, C, H, W], to be filled before
// Forward.
func (n *Network) Input() []float32 { return n.input }

// Logits returns the class scores of the last Forward, [batch, classes].
func (n *Network) Logits() []float32 { return n.logits }

// Embedding returns the features of the last Forward, [batch, D].
func (n *Network) Embedding() []float32 { return n.embedding }

// LogitsGradient returns the memory of the loss gradient on the logits, to be
// filled before Backward; nil for inference.
func (n *Network) LogitsGradient() []float32 { return n.logitsGradient }

// Params describes the parameters, in the order of the layers.
func (n *Network) Params() []models.Param { return n.params }

// Weights returns the live memory of parameters and statistics by name.
func (n *Network) Weights() models.Weights { return n.weights }

// SetWeights copies values into the parameters and statistics.
func (n *Network) SetWeights(w models.Weights) error {
	if err := n.Description.CheckWeights(w); err != nil {
		return err
	}
	for name, v := range w {
		copy(n.weights[name], v)
	}
	return nil
}

// Gradient returns the gradient of a parameter, valid from Backward to the next
// Forward; nil if the logits do not depend on the parameter.
func (n *Network) Gradient(param string) []float32 { return n.grads[param] }

// Memory returns what the network takes.
func (n *Network) Memory() Memory { return n.memory }

// SetStep says which step of the training the next Forward belongs to, which
// changes the masks of dropout: a Forward of the same step drops the same
// values. Before the first call it is step 0.
func (n *Network) SetStep(step uint64) {
	for _, m := range n.masks {
		m.SetKey(kernel.MaskKey(n.seed, m.layer, step))
	}
}

// Forward computes logits and embedding from the input.
func (n *Network) Forward() error { return n.program.Forward() }

// Backward computes the gradients from LogitsGradient, once after each Forward.
func (n *Network) Backward() error { return n.program.Backward() }

// Trace makes the network report how long each op took; nil ends that.
func (n *Network) Trace(report func(op string, took time.Duration)) { n.program.Trace(report) }

// AdvanceStatistics moves the running statistics of every batch normalisation
// by those of the last Forward: once a training step, however often the
// step ran Forward.
func (n *Network) AdvanceStatistics() {
	for _, b := range n.norms {
		b.stats.Advance(n.weights[b.layer+".running_mean"], n.weights[b.layer+".running_var"])
	}
}
