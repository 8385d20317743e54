package optim

import (
	"cmp"
	"math"
	"slices"
)

// Schedule says how the learning rate changes. It is a pure function: a run that
// goes on from step n needs nothing but n.
type Schedule interface {
	// WithDefaults returns the schedule with every default written out, for a
	// training of so many epochs.
	WithDefaults(epochs int) Schedule
	// Validate reports every fault of a schedule whose defaults are written out,
	// joined, each a *FieldError.
	Validate() error
	// Rate is the learning rate of a step, counted from 0 over the whole
	// training, where an epoch has so many steps and base is the optimizer's.
	Rate(base float64, step, steps int) float64
}

// maxEpochs keeps the steps of a schedule within an int.
const maxEpochs = 1_000_000_000

// Constant is the same learning rate at every step.
type Constant struct{}

// WithDefaults implements Schedule.
func (Constant) WithDefaults(int) Schedule { return Constant{} }

// Validate implements Schedule.
func (Constant) Validate() error { return nil }

// Rate implements Schedule.
func (Constant) Rate(base float64, _, _ int) float64 { return base }

// Step multiplies the learning rate by Factor every so many epochs, as
// torch.optim.lr_scheduler.StepLR does.
type Step struct {
	Every  int     // epochs; default: a third of the training, rounded up (the paper: 60 of 200)
	Factor float64 // default 0.1
}

// WithDefaults implements Schedule.
func (s Step) WithDefaults(epochs int) Schedule {
	s.Every = cmp.Or(s.Every, max(1, (epochs+2)/3))
	s.Factor = cmp.Or(s.Factor, 0.1)
	return s
}

// Validate implements Schedule.
func (s Step) Validate() error {
	var f faults
	f.check(s.Every > 0 && s.Every <= maxEpochs, "every", "%d is not between 1 and %d", s.Every, maxEpochs)
	f.positive("factor", s.Factor)
	return f.join()
}

// Rate implements Schedule.
func (s Step) Rate(base float64, step, steps int) float64 {
	return base * math.Pow(s.Factor, float64(step/(s.Every*steps)))
}

// MultiStep multiplies the learning rate by Factor after each of the epochs in
// Milestones, as torch.optim.lr_scheduler.MultiStepLR does.
type MultiStep struct {
	Milestones []int   // rising
	Factor     float64 // default 0.1
}

// WithDefaults implements Schedule.
func (s MultiStep) WithDefaults(int) Schedule {
	s.Milestones = slices.Clone(s.Milestones)
	s.Factor = cmp.Or(s.Factor, 0.1)
	return s
}

// Validate implements Schedule.
func (s MultiStep) Validate() error {
	var f faults
	f.positive("factor", s.Factor)
	f.check(len(s.Milestones) > 0, "milestones", "missing; name the epochs after which the learning rate changes")
	for i, m := range s.Milestones {
		f.check(m > 0 && m <= maxEpochs && (i == 0 || m > s.Milestones[i-1]), "milestones", "%v do not rise from 1 on to at most %d", s.Milestones, maxEpochs)
	}
	return f.join()
}

// Rate implements Schedule.
func (s MultiStep) Rate(base float64, step, steps int) float64 {
	passed := 0
	for _, m := range s.Milestones {
		if m*steps <= step {
			passed++
		}
	}
	return base * math.Pow(s.Factor, float64(passed))
}

// Cosine takes the learning rate along half a cosine to EndFactor times what it
// was, and leaves it there (Loshchilov, Hutter: SGDR, ICLR 2017, equation 5,
// without restarts; torch.optim.lr_scheduler.CosineAnnealingLR, which would rise
// again after T_max steps).
type Cosine struct {
	Length    int // epochs; default: those of the training
	EndFactor float64
}

// WithDefaults implements Schedule.
func (s Cosine) WithDefaults(epochs int) Schedule {
	s.Length = cmp.Or(s.Length, max(1, epochs))
	return s
}

// Validate implements Schedule.
func (s Cosine) Validate() error {
	var f faults
	f.check(s.Length > 0 && s.Length <= maxEpochs, "length", "%d is not between 1 and %d", s.Length, maxEpochs)
	f.check(s.EndFactor >= 0 && finite(s.EndFactor), "end_factor", "%g is not a number of at least 0", s.EndFactor)
	return f.join()
}

// Rate implements Schedule.
func (s Cosine) Rate(base float64, step, steps int) float64 {
	end, length := base*s.EndFactor, s.Length*steps
	at := float64(min(step, length)) / float64(length)
	return end + (base-end)*(1+math.Cos(math.Pi*at))/2
}

// Warmup leads into another schedule: in the first so many epochs, perhaps a
// fraction, the rate rises in a straight line to what that schedule says, which
// counts its steps from the start, too. Step s of S has (s+1)/S of it. It is
// torch's LinearLR(start_factor=1/S, total_iters=S-1) chained with Schedule
// (gradual warm-up: Goyal et al., Accurate, large minibatch SGD, 2017, section
// 2.2).
type Warmup struct {
	Epochs   float64
	Schedule Schedule // default: Step
}

// WithDefaults implements Schedule.
func (s Warmup) WithDefaults(epochs int) Schedule {
	if s.Schedule == nil {
		s.Schedule = Step{}
	}
	s.Schedule = s.Schedule.WithDefaults(epochs)
	return s
}

// Validate implements Schedule.
func (s Warmup) Validate() error {
	var f faults
	f.check(s.Epochs >= 0 && s.Epochs <= maxEpochs, "warmup", "%g is not between 0 and %d", s.Epochs, maxEpochs)
	if err := s.Schedule.Validate(); err != nil {
		f = append(f, err)
	}
	return f.join()
}

// Rate implements Schedule.
func (s Warmup) Rate(base float64, step, steps int) float64 {
	rate := s.Schedule.Rate(base, step, steps)
	if n := int(math.Round(s.Epochs * float64(steps))); step < n {
		rate *= float64(step+1) / float64(n)
	}
	return rate
}
