package optim

import (
	"cmp"
	"math"
)

// Adam is adaptive moment estimation (Kingma, Ba: Adam, a method for stochastic
// optimization, ICLR 2015, algorithm 1), in the form of torch.optim.Adam. With
// t the number of the update, from 1:
//
//	g = gradient + WeightDecay*w
//	m = Beta1*m + (1-Beta1)*g
//	v = Beta2*v + (1-Beta2)*g*g
//	w = w - rate * m/(1-Beta1^t) / (sqrt(v/(1-Beta2^t)) + Epsilon)
//
// The defaults are the paper's for Market-1501. Where 0 means a default, say
// Zero for 0.
type Adam struct {
	LearningRate float64 // default 2e-4
	Beta1        float64 // decay of the first moment; default 0.5
	Beta2        float64 // of the second; default 0.999
	Epsilon      float64 // default 1e-8
	WeightDecay  float64
	DecayExclude []Part // what weight decay leaves alone
}

// WithDefaults implements Optimizer.
func (o Adam) WithDefaults() Optimizer { return o.withDefaults(2e-4, 0.5) }

func (o Adam) withDefaults(rate, beta1 float64) Adam {
	o.LearningRate = cmp.Or(o.LearningRate, rate)
	o.Beta1 = cmp.Or(o.Beta1, beta1)
	o.Beta2 = cmp.Or(o.Beta2, 0.999)
	o.Epsilon = cmp.Or(o.Epsilon, 1e-8)
	return o
}

// Validate implements Optimizer.
func (o Adam) Validate() error {
	var f faults
	f.positive("learning_rate", o.LearningRate)
	f.fraction("beta1", o.Beta1)
	f.fraction("beta2", o.Beta2)
	f.positive("epsilon", o.Epsilon)
	f.decay(o.WeightDecay, o.DecayExclude)
	return f.join()
}

// Rate implements Optimizer.
func (o Adam) Rate() float64 { return o.LearningRate }

// For implements Optimizer.
func (o Adam) For(part Part) Optimizer {
	o.WeightDecay = decayFor(part, o.WeightDecay, o.DecayExclude)
	return o
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
//
// The defaults are Adam's but for LearningRate, 1e-3, and Beta1, 0.9, which are
// PyTorch's, as a WeightDecay of 0.01 is.
type AdamW Adam

// WithDefaults implements Optimizer.
func (o AdamW) WithDefaults() Optimizer { return AdamW(Adam(o).withDefaults(1e-3, 0.9)) }

// Validate implements Optimizer.
func (o AdamW) Validate() error { return Adam(o).Validate() }

// Rate implements Optimizer.
func (o AdamW) Rate() float64 { return o.LearningRate }

// For implements Optimizer.
func (o AdamW) For(part Part) Optimizer { return AdamW(Adam(o).For(part).(Adam)) }

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
