package optim

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
type SGD struct {
	Momentum    float64 // 0 is plain gradient descent
	Nesterov    bool
	WeightDecay float64
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
