// Package optim holds optimizers and learning-rate schedules. Optimizers work
// in place on plain arrays; schedules are pure functions of the step.
package optim

// SGD is stochastic gradient descent with momentum and weight decay, in
// PyTorch's form:
//
//	g = gradient + WeightDecay*w
//	v = Momentum*v + g
//	w = w - rate*(g + Momentum*v)   with Nesterov
//	w = w - rate*v                  without
type SGD struct {
	Momentum    float64
	Nesterov    bool
	WeightDecay float64
}

// Update moves the weights w of one parameter by its gradient; v is its
// momentum, zero before the first update, all of equal length. It allocates
// nothing.
func (o SGD) Update(w, gradient, v []float32, rate float64) {
	lr, mu, decay := float32(rate), float32(o.Momentum), float32(o.WeightDecay)
	gradient, v = gradient[:len(w)], v[:len(w)]
	if o.Nesterov {
		for i, x := range w {
			g := gradient[i] + decay*x
			m := mu*v[i] + g
			v[i] = m
			w[i] = x - lr*(g+mu*m)
		}
		return
	}
	for i, x := range w {
		m := mu*v[i] + gradient[i] + decay*x
		v[i] = m
		w[i] = x - lr*m
	}
}
