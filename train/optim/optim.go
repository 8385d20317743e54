// Package optim holds optimizers and learning-rate schedules: plain values that
// say how weights follow gradients.
//
//	train.Config{
//		Optimizer: optim.SGD{LearningRate: 0.1, Momentum: 0.9, Nesterov: true, WeightDecay: 5e-4},
//		Schedule:  optim.Warmup{Epochs: 5, Schedule: optim.Cosine{}},
//	}
//
// Optimizers work in place on plain arrays and remember nothing themselves;
// schedules are pure functions of the step. So the state of training is arrays
// and a number, and whoever keeps them can go on from any step.
package optim

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// Optimizer changes parameters by their gradients. SGD, Adam and AdamW are
// optimizers; a type of your own is one that keeps its settings in exported
// fields, by which a run that goes on is told from one with other settings.
type Optimizer interface {
	// WithDefaults returns the optimizer with every default written out.
	WithDefaults() Optimizer
	// Validate reports every fault of an optimizer whose defaults are written
	// out, joined, each a *FieldError.
	Validate() error
	// Rate is the learning rate that a Schedule starts from.
	Rate() float64
	// For returns what moves parameters of a part: the same, but for those that
	// weight decay leaves alone.
	For(Part) Optimizer
	// Slots names the arrays of state that the optimizer keeps for a parameter,
	// each as long as the parameter and zero before the first update.
	Slots() []string
	// Update moves the weights w of one parameter against its gradient. State
	// holds an array for each of Slots, in that order and each of the length of
	// w and gradient; rate is the learning rate of the step; step counts the
	// updates of the parameter before this one. It allocates nothing.
	Update(w, gradient []float32, state [][]float32, rate float64, step int)
}

// Part tells apart what weight decay may leave alone.
type Part string

// The parts of a network's parameters.
const (
	Weights   Part = "weights"    // of convolutions and dense layers
	Bias      Part = "bias"       // of convolutions and dense layers
	BatchNorm Part = "batch_norm" // scale and shift
)

// Zero stands for 0 in a field whose 0 means the default. It is the smallest
// positive number, and every optimizer computes with it as with 0.
const Zero = math.SmallestNonzeroFloat64

// FieldError says which field of an optimizer or a schedule is wrong.
type FieldError struct {
	Field string // as configuration files write it: learning_rate
	Err   error
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

func (e *FieldError) Unwrap() error { return e.Err }

// faults gathers errors of fields.
type faults []error

func (f *faults) check(ok bool, field, format string, args ...any) {
	if !ok {
		*f = append(*f, &FieldError{field, fmt.Errorf(format, args...)})
	}
}

func (f *faults) positive(field string, v float64) {
	f.check(v > 0 && finite(v), field, "%g is not a positive number", v)
}

func (f *faults) fraction(field string, v float64) {
	f.check(v >= 0 && v < 1, field, "%g is not in [0, 1)", v)
}

// decay checks the fields that all optimizers share.
func (f *faults) decay(decay float64, exclude []Part) {
	f.check(decay >= 0 && finite(decay), "weight_decay", "%g is not a number of at least 0", decay)
	for _, part := range exclude {
		f.check(part == Bias || part == BatchNorm, "decay_exclude", "%q is unknown; use %s and %s", part, Bias, BatchNorm)
	}
}

func (f faults) join() error { return errors.Join(f...) }

func finite(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }

// decayFor is the weight decay of a part.
func decayFor(part Part, decay float64, exclude []Part) float64 {
	if slices.Contains(exclude, part) {
		return 0
	}
	return decay
}
