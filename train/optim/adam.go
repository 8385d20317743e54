package optim

import "math"

// Adam is adaptive moment estimation (Kingma, Ba: Adam, a method for stochastic
// optimization, ICLR 2015, algorithm 1), in the form of torch.optim.Adam. With
// t the number of the update, from 1:
//
//	g = gradient + WeightDecay*w
//	m = Beta1*m + (1-Beta1)*g
//	v = Beta2*v + (1-Beta2)*g*g
//	w = w - rate * m/(1-Beta1^t) / (sqrt(v/(1-Beta2^t)) + Epsilon)
type Adam struct {
	Beta1, Beta2 float64
	Epsilon      float64
	WeightDecay  float64
}

// Slots implements Optimizer: the first and the second moment.
func (Adam) Slots() []string { return []string{"m", "v"} }

// Update implements Optimizer.
func (o Adam) Update(w, gradient []float32, state [][]float32, rate float64, step int) {
	o.update(w, gradient, state, rate, step, float32(o.WeightDecay), 0)
}

// AdamW is Adam with weight decay apart from the gradient (Loshchilov, Hutter:
// Decoupled weight decay regularization, ICLR 2019, algorithm 2), in the form
// of torch.optim.AdamW: before Adam's update without decay,
//
//	w = w - rate*WeightDecay*w
type AdamW Adam

// Slots implements Optimizer: the first and the second moment.
func (AdamW) Slots() []string { return Adam{}.Slots() }

// Update implements Optimizer.
func (o AdamW) Update(w, gradient []float32, state [][]float32, rate float64, step int) {
	Adam(o).update(w, gradient, state, rate, step, 0, float32(rate*o.WeightDecay))
}

// update is both: decay of the weights is added to the gradient, shrink of them
// is taken off directly.
func (o Adam) update(w, gradient []float32, state [][]float32, rate float64, step int, decay, shrink float32) {
	t := float64(step + 1)
	b1, b2 := float32(o.Beta1), float32(o.Beta2)
	c1, c2 := float32(1-o.Beta1), float32(1-o.Beta2)
	size := float32(rate / (1 - math.Pow(o.Beta1, t)))
	scale := float32(1 / math.Sqrt(1-math.Pow(o.Beta2, t)))
	eps := float32(o.Epsilon)
	gradient = gradient[:len(w)]
	m, v := state[0][:len(w)], state[1][:len(w)]
	for i, x := range w {
		g := gradient[i] + decay*x
		a := b1*m[i] + c1*g
		b := b2*v[i] + c2*g*g
		m[i], v[i] = a, b
		w[i] = x - (shrink*x + size*a/(float32(math.Sqrt(float64(b)))*scale+eps))
	}
}
