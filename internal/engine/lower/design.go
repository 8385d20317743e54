package lower

import (
	"fmt"

	"gorgonia.org/gorgonia"

	"github.com/deepmutual/dml/internal/engine/exec"
	"github.com/deepmutual/dml/internal/engine/gops"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/models"
)

// design is a network as a graph, before it has memory.
type design struct {
	net     *models.Network
	params  []models.Param
	graph   *graph
	spec    exec.Spec // every parameter is bound, to nothing yet
	trained []string  // names of the parameters of spec.Gradients

	logits, embedding, dLogits gops.Tensor
}

func newDesign(net *models.Network, engine kernel.Engine, opts Options) (*design, error) {
	if opts.Batch < 0 {
		return nil, fmt.Errorf("network %q: a batch of %d samples", net.Name, opts.Batch)
	}
	params, err := net.Params()
	if err != nil {
		return nil, err
	}
	b := gops.NewBuilder(engine)
	g, err := buildGraph(net, b, max(1, opts.Batch), opts.Training)
	if err != nil {
		return nil, err
	}
	d := &design{net: net, params: params, graph: g, logits: g.outputs[g.net.Logits], embedding: g.outputs[g.net.Embedding]}
	d.spec = exec.Spec{
		Outputs: gorgonia.Nodes{d.logits.Node, d.embedding.Node},
		Memory:  engine,
		Add:     adder(engine),
		Bound:   make(map[*gorgonia.Node][]float32, len(g.params)),
	}
	for _, node := range g.params {
		d.spec.Bound[node] = nil
	}
	if opts.Training {
		d.dLogits = b.Input("logits gradient", d.logits.Desc)
		if d.trained, d.spec.Gradients, err = differentiate(g, d.logits, d.dLogits); err != nil {
			return nil, fmt.Errorf("network %q: gradients: %w", net.Name, err)
		}
	}
	return d, nil
}

// weights returns the memory of every parameter: that of a network to share with,
// or new.
func (d *design) weights(engine kernel.Engine, share *Network) (models.Weights, error) {
	weights := make(models.Weights, len(d.params))
	for _, p := range d.params {
		if share != nil {
			data, ok := share.weights[p.Name]
			if !ok || len(data) != p.Size() {
				return nil, fmt.Errorf("network %q shares parameters with one that has no %q of %v", d.net.Name, p.Name, p.Shape)
			}
			weights[p.Name] = data
			continue
		}
		data, err := engine.Alloc(p.Size())
		if err != nil {
			return nil, fmt.Errorf("parameter %q: %w", p.Name, err)
		}
		weights[p.Name] = data
	}
	return weights, nil
}

// memory adds the parameters to what the program of the design takes.
func (d *design) memory(f exec.Footprint) Memory {
	const value = 4 // bytes
	m := Memory{Gradients: value * int64(f.Gradients), Activations: value * int64(f.Arena-f.Gradients+f.Leaves)}
	for _, p := range d.params {
		m.Weights += value * int64(p.Size())
	}
	return m
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

// adder plans sums of equally sized arrays, each size once.
func adder(engine kernel.Engine) exec.PlanAdd {
	planned := make(map[int]exec.Add)
	return func(n int) (exec.Add, error) {
		if add, ok := planned[n]; ok {
			return add, nil
		}
		d := kernel.Desc{N: 1, C: 1, H: 1, W: n}
		k, err := engine.Add(kernel.AddSpec{Desc: d})
		if err != nil {
			return nil, err
		}
		planned[n] = func(dst, a, b []float32) error {
			return k.Forward(kernel.Tensor{Desc: d, Data: dst}, kernel.Tensor{Desc: d, Data: a}, kernel.Tensor{Desc: d, Data: b})
		}
		return planned[n], nil
	}
}
