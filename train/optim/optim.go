// Package optim holds optimizers and learning-rate schedules. Optimizers work
// in place on plain arrays and remember nothing themselves; schedules are pure
// functions of the step. So the state of training is arrays and a number, and
// whoever keeps them can go on from any step.
package optim

// Optimizer changes a parameter by its gradient.
type Optimizer interface {
	// Slots names the arrays of state that the optimizer keeps for a parameter,
	// each as long as the parameter and zero before the first update.
	Slots() []string
	// Update moves the weights w of one parameter against its gradient. State
	// holds an array for each of Slots, in that order and each of the length of
	// w and gradient; rate is the learning rate; step counts the updates of the
	// parameter before this one. It allocates nothing.
	Update(w, gradient []float32, state [][]float32, rate float64, step int)
}
