package lower

import (
	"fmt"

	"github.com/deepmutual/dml/internal/engine/exec"
	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/models"
)

// Memory is what a compiled network takes of its engine's Alloc, in bytes. Not in
// it is what the kernels themselves keep: scratchpads and reordered operands
// of the backend's library, the winners of poolings, per-channel sums.
type Memory struct {
	Weights     int64 // parameters and running statistics; 0 where they are shared
	Gradients   int64 // of the trained parameters
	Activations int64 // all other values of a run, at its worst moment, and the inputs
}

// Total is the sum of all parts.
func (m Memory) Total() int64 { return m.Weights + m.Gradients + m.Activations }

// Plan returns the memory of the network that Compile would make, without taking
// any and without planning a kernel. Of the engine Layout alone is used. A
// network that is to share its parameters takes the same but for the weights.
func Plan(net *models.Network, engine kernel.Engine, opts Options) (Memory, error) {
	d, err := newDesign(net, sketch{engine}, opts)
	if err != nil {
		return Memory{}, err
	}
	f, err := exec.Measure(d.spec)
	if err != nil {
		return Memory{}, fmt.Errorf("network %q: %w", net.Name, err)
	}
	return d.memory(f), nil
}

// sketch is an engine to draw graphs with that never run: it validates specs and
// makes no kernel.
type sketch struct{ layouts kernel.Engine }

func (s sketch) Layout(c, h, w int) kernel.Layout { return s.layouts.Layout(c, h, w) }

func (sketch) Alloc(int) ([]float32, error) {
	return nil, fmt.Errorf("a sketched network has no memory: %w", kernel.ErrMemory)
}

func (sketch) Close() error { return nil }

func (sketch) Conv(s kernel.ConvSpec) (kernel.Conv, error)                { return nil, s.Validate() }
func (sketch) BatchNorm(s kernel.BatchNormSpec) (kernel.BatchNorm, error) { return nil, s.Validate() }
func (sketch) Pool(s kernel.PoolSpec) (kernel.Pool, error)                { return nil, s.Validate() }
func (sketch) Dense(s kernel.DenseSpec) (kernel.Dense, error)             { return nil, s.Validate() }
func (sketch) Add(s kernel.AddSpec) (kernel.Add, error)                   { return nil, s.Validate() }
func (sketch) Activation(s kernel.ActivationSpec) (kernel.Activation, error) {
	return nil, s.Validate()
}
func (sketch) Sigmoid(s kernel.SigmoidSpec) (kernel.Sigmoid, error)       { return nil, s.Validate() }
func (sketch) Multiply(s kernel.MultiplySpec) (kernel.Multiply, error)    { return nil, s.Validate() }
func (sketch) Subsample(s kernel.SubsampleSpec) (kernel.Subsample, error) { return nil, s.Validate() }
func (sketch) Concat(s kernel.ConcatSpec) (kernel.Concat, error)          { return nil, s.Validate() }
func (sketch) Dropout(s kernel.DropoutSpec) (kernel.Dropout, error)       { return nil, s.Validate() }
func (sketch) Softmax(s kernel.SoftmaxSpec) (kernel.Softmax, error)       { return nil, s.Validate() }

func (sketch) GlobalAvgPool(src kernel.Desc) (kernel.GlobalAvgPool, error) {
	return nil, kernel.ValidateGlobalAvgPool(src)
}

func (sketch) Reorder(dst, src kernel.Desc) (kernel.Reorder, error) {
	return nil, kernel.ValidateReorder(dst, src)
}
