package optim

import "math"

// StepDecay multiplies the learning rate by Factor every Every steps.
type StepDecay struct {
	Base, Factor float64
	Every        int // steps; 0 keeps the rate constant
}

// Rate returns the learning rate of a step, counted from 0.
func (s StepDecay) Rate(step int) float64 {
	if s.Every <= 0 {
		return s.Base
	}
	return s.Base * math.Pow(s.Factor, float64(step/s.Every))
}
