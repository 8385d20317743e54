package lower

import (
	"fmt"
	"time"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/exec"
	"github.com/deepmutual/dml/internal/gops"
	"github.com/deepmutual/dml/internal/kernel"
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

	input, logits, embedding, logitsGradient []float32
}

// Compile lowers a description with the kernels of an engine. Parameters start
// at zero; SetWeights fills them.
func Compile(net *models.Network, engine kernel.Engine, opts Options) (*Network, error) {
	if opts.Batch < 0 {
		return nil, fmt.Errorf("network %q: a batch of %d samples", net.Name, opts.Batch)
	}
	if opts.Batch == 0 {
		opts.Batch = 1
	}
	params, err := net.Params()
	if err != nil {
		return nil, err
	}
	b := gops.NewBuilder(engine)
	g, err := buildGraph(net, b, opts.Batch, opts.Training)
	if err != nil {
		return nil, err
	}
	logits, embedding := g.outputs[g.net.Logits], g.outputs[g.net.Embedding]
	spec := exec.Spec{
		Outputs: gorgonia.Nodes{logits.Node, embedding.Node},
		Memory:  engine,
		Add:     adder(engine),
	}
	n := &Network{Description: net, batch: opts.Batch, params: params, norms: g.norms, masks: g.masks, seed: opts.Seed,
		weights: make(models.Weights, len(params)), grads: make(map[string][]float32)}
	var dLogits gops.Tensor
	var trained []string
	if opts.Training {
		dLogits = b.Input("logits gradient", logits.Desc)
		if trained, spec.Gradients, err = differentiate(g, logits, dLogits); err != nil {
			return nil, fmt.Errorf("network %q: gradients: %w", net.Name, err)
		}
	}
	if n.program, err = exec.Compile(spec); err != nil {
		return nil, fmt.Errorf("network %q: %w", net.Name, err)
	}
	if err := n.bindParams(g, engine, opts.Share); err != nil {
		return nil, err
	}
	for i, name := range trained {
		n.grads[name] = n.program.Value(spec.Gradients[i])
	}
	n.input = n.program.Value(g.outputs[models.InputName].Node)
	n.logits, n.embedding = n.program.Value(logits.Node), n.program.Value(embedding.Node)
	if opts.Training {
		n.logitsGradient = n.program.Value(dLogits.Node)
	}
	n.SetStep(0)
	return n, nil
}

// differentiate asks Gorgonia for the gradients of every trained parameter
// that the logits depend on.
func differentiate(g *graph, logits, dLogits gops.Tensor) ([]string, gorgonia.Nodes, error) {
	reach := make(map[*gorgonia.Node]bool)
	stack := gorgonia.Nodes{logits.Node}
	for len(stack) > 0 {
		n := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if reach[n] {
			continue
		}
		reach[n] = true
		for it := n.Graph().From(n.ID()); it.Next(); {
			stack = append(stack, it.Node().(*gorgonia.Node))
		}
	}
	var names []string
	var wrt gorgonia.Nodes
	params, err := g.net.Params()
	if err != nil {
		return nil, nil, err
	}
	for _, p := range params {
		if node := g.params[p.Name]; node != nil && reach[node] {
			names, wrt = append(names, p.Name), append(wrt, node)
		}
	}
	if len(wrt) == 0 {
		return nil, nil, fmt.Errorf("no parameter leads to the logits")
	}
	grads, err := gorgonia.Backpropagate(gorgonia.Nodes{logits.Node}, gorgonia.Nodes{dLogits.Node}, wrt)
	return names, grads, err
}

// bindParams finds the memory of every parameter: that of the network to share
// with, else the program's, else (running statistics in training) new.
func (n *Network) bindParams(g *graph, engine kernel.Engine, share *Network) error {
	for _, p := range n.params {
		node := g.params[p.Name]
		var own []float32
		if node != nil {
			own = n.program.Value(node)
		}
		switch {
		case share != nil:
			data, ok := share.weights[p.Name]
			if !ok || len(data) != p.Size() {
				return fmt.Errorf("network %q shares parameters with one that has no %q of %v", n.Description.Name, p.Name, p.Shape)
			}
			n.weights[p.Name] = data
			if own != nil {
				if err := n.program.Bind(node, data); err != nil {
					return err
				}
			}
		case own != nil:
			n.weights[p.Name] = own
		default:
			data, err := engine.Alloc(p.Size())
			if err != nil {
				return fmt.Errorf("parameter %q: %w", p.Name, err)
			}
			n.weights[p.Name] = data
		}
	}
	return nil
}

// adder returns the sum of equally sized arrays, planned once a size.
func adder(engine kernel.Engine) exec.Add {
	planned := make(map[int]kernel.Add)
	return func(dst, a, b []float32) error {
		d := kernel.Desc{N: 1, C: 1, H: 1, W: len(dst)}
		k, ok := planned[len(dst)]
		if !ok {
			var err error
			if k, err = engine.Add(kernel.AddSpec{Desc: d}); err != nil {
				return err
			}
			planned[len(dst)] = k
		}
		return k.Forward(kernel.Tensor{Desc: d, Data: dst}, kernel.Tensor{Desc: d, Data: a}, kernel.Tensor{Desc: d, Data: b})
	}
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

// ArenaSize returns how many float32 values the intermediate results of a run
// need.
func (n *Network) ArenaSize() int { return n.program.ArenaSize() }

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
