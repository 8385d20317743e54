package optim

import "math"

// Schedule gives the learning rate of a step, counted from 0. It is a pure
// function: a run that goes on from step n needs nothing but n.
type Schedule interface {
	Rate(step int) float64
}

// Constant is the same learning rate at every step.
type Constant float64

// Rate implements Schedule.
func (c Constant) Rate(int) float64 { return float64(c) }

// StepDecay multiplies the learning rate by Factor every Every (at least 1)
// steps, as torch.optim.lr_scheduler.StepLR does.
type StepDecay struct {
	Base, Factor float64
	Every        int
}

// Rate implements Schedule.
func (s StepDecay) Rate(step int) float64 {
	return s.Base * math.Pow(s.Factor, float64(step/s.Every))
}

// MultiStep multiplies the learning rate by Factor at each of Milestones, given
// in steps, as torch.optim.lr_scheduler.MultiStepLR does.
type MultiStep struct {
	Base, Factor float64
	Milestones   []int
}

// Rate implements Schedule.
func (s MultiStep) Rate(step int) float64 {
	passed := 0
	for _, m := range s.Milestones {
		if m <= step {
			passed++
		}
	}
	return s.Base * math.Pow(s.Factor, float64(passed))
}

// Cosine takes the learning rate from Base to End along half a cosine over Steps
// (at least 1) steps, and leaves it there (Loshchilov, Hutter: SGDR, ICLR 2017,
// equation 5, without restarts; torch.optim.lr_scheduler.CosineAnnealingLR,
// which would rise again after T_max steps).
type Cosine struct {
	Base, End float64
	Steps     int
}

// Rate implements Schedule.
func (s Cosine) Rate(step int) float64 {
	at := float64(min(step, s.Steps)) / float64(s.Steps)
	return s.End + (s.Base-s.End)*(1+math.Cos(math.Pi*at))/2
}

// Warmup leads into another schedule: the rate of step s < Steps is that of
// Schedule times (s+1)/Steps. The other schedule counts its steps from the
// start, too. It is torch's LinearLR(start_factor=1/Steps, total_iters=Steps-1)
// chained with Schedule (gradual warm-up: Goyal et al., Accurate, large
// minibatch SGD, 2017, section 2.2).
type Warmup struct {
	Schedule
	Steps int // 0 is no warm-up
}

// Rate implements Schedule.
func (w Warmup) Rate(step int) float64 {
	rate := w.Schedule.Rate(step)
	if step < w.Steps {
		rate *= float64(step+1) / float64(w.Steps)
	}
	return rate
}
