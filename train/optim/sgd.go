package optim

import "cmp"

// SGD is stochastic gradient descent with momentum and weight decay, in the
// form of torch.optim.SGD:
//
//	g = gradient + WeightDecay*w
//	v = Momentum*v + g
//	w = w - rate*(g + Momentum*v)   with Nesterov
//	w = w - rate*v                  without
//
// Nesterov's momentum is that of Sutskever, Martens, Dahl and Hinton: On the
// importance of initialization and momentum in deep learning, ICML 2013.
//
// The paper trains on CIFAR with SGD{LearningRate: 0.1, Momentum: 0.9, Nesterov:
// true}, and a weight decay that it does not name.
type SGD struct {
	LearningRate float64 // default 0.1
	Momentum     float64 // 0 is plain gradient descent
	Nesterov     bool
	WeightDecay  float64
	DecayExclude []Part // what weight decay leaves alone
}

// WithDefaults implements Optimizer.
func (o SGD) WithDefaults() Optimizer {
	o.LearningRate = cmp.Or(o.LearningRate, 0.1)
	return o
}

// Validate implements Optimizer.
func (o SGD) Validate() error {
	var f faults
	f.positive("learning_rate", o.LearningRate)
	f.fraction("momentum", o.Momentum)
	f.check(!o.Nesterov || o.Momentum > 0, "nesterov", "needs a momentum above 0")
	f.decay(o.WeightDecay, o.DecayExclude)
	return f.join()
}

// Rate implements Optimizer.
func (o SGD) Rate() float64 { return o.LearningRate }

// For implements Optimizer.
func (o SGD) For(part Part) Optimizer {
	o.WeightDecay = decayFor(part, o.WeightDecay, o.DecayExclude)
	return o
}

// Slots implements Optimizer: the momentum, unless that is 0.
func (o SGD) Slots() []string {
	if o.Momentum == 0 {
		return nil
	}
	return []string{"momentum"}
}

// Update implements Optimizer.
func (o SGD) Update(w, gradient []float32, state [][]float32, rate float64, _ int) {
	lr, mu, decay := float32(rate), float32(o.Momentum), float32(o.WeightDecay)
	gradient = gradient[:len(w)]
	if o.Momentum == 0 {
		for i, x := range w {
			w[i] = x - lr*(gradient[i]+decay*x)
		}
		return
	}
	v := state[0][:len(w)]
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
