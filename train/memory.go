package train

import (
	"fmt"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/lower"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train/optim"
)

// Memory is what one student takes while it trains, in bytes: all that it
// allocates for its networks and its optimizer. Not in it are what depends on
// the cohort (the losses, a few arrays of [batch, classes]), what the kernels
// keep for themselves (scratchpads of the backend's library, winners of
// poolings), the mini-batches that wait, and the program.
type Memory struct {
	Weights     int64 `json:"weights"`     // parameters and running statistics
	Gradients   int64 `json:"gradients"`   // of the trained parameters
	Activations int64 `json:"activations"` // all other values of a step, at its worst moment
	Evaluation  int64 `json:"evaluation"`  // the values of a validation batch
	Optimizer   int64 `json:"optimizer"`   // its state: of SGD the momentum
}

// Total is the sum of all parts.
func (m Memory) Total() int64 {
	return m.Weights + m.Gradients + m.Activations + m.Evaluation + m.Optimizer
}

// PlanMemory returns the memory of a student of a network that learns from
// mini-batches of so many samples; a nil optimizer is the default. Nothing is
// allocated: the plan that training would follow is made and measured. It depends
// on the backend, which chooses the layouts and must be given.
func PlanMemory(net *models.Network, batch int, optimizer optim.Optimizer, backend *Backend) (Memory, error) {
	engine, err := backend.kernels.NewEngine(kernel.EngineOptions{})
	if err != nil {
		return Memory{}, err
	}
	defer engine.Close()
	training, err := lower.Plan(net, engine, lower.Options{Batch: batch, Training: true})
	if err != nil {
		return Memory{}, err
	}
	evaluation, err := lower.Plan(net, engine, lower.Options{Batch: batch})
	if err != nil {
		return Memory{}, err
	}
	m := Memory{Weights: training.Weights, Gradients: training.Gradients, Activations: training.Activations, Evaluation: evaluation.Activations}
	rule := Config{Optimizer: optimizer}.WithDefaults().updateRule(Student{}, 1)
	params, err := net.Params()
	if err != nil {
		return Memory{}, fmt.Errorf("network %q: %w", net.Name, err)
	}
	for _, p := range params {
		if p.Trainable() {
			const value = 4 // bytes
			m.Optimizer += value * int64(p.Size()*len(rule.of(p.Role).Slots()))
		}
	}
	return m, nil
}
