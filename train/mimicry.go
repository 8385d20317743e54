package train

import "math"

// Mimicry says how students learn from the posteriors of others. ModeIndependent
// has no such settings.
type Mimicry struct {
	// Weight of the mimicry loss; default 1. Say new(0.5) for another.
	Weight *float64
	// Warmup is the number of epochs, perhaps a fraction, in which the weight
	// rises in a straight line to Weight; WarmupSteps counts in steps instead.
	Warmup      float64
	WarmupSteps int
	// Temperature T divides the logits of both sides of the mimicry loss, which
	// is then multiplied by T squared; default 1.
	Temperature float64
}

const maxWarmup = 1_000_000 // epochs

// WithDefaults returns m with every default written out; of ModeIndependent it
// leaves defaults out, so that its mode may change.
func (m Mimicry) WithDefaults(mode Mode) Mimicry {
	if mode != ModeIndependent {
		setDefault(&m.Weight, new(1.0))
		setDefault(&m.Temperature, 1)
		return m
	}
	if m.Weight != nil && *m.Weight == 1 {
		m.Weight = nil
	}
	if m.Temperature == 1 {
		m.Temperature = 0
	}
	return m
}

func (m Mimicry) faults(f *faults, mode Mode) {
	if mode == ModeIndependent {
		const useless = "mode %s has no mimicry loss; leave this out"
		f.check(m.Weight == nil, "mimicry.weight", useless, mode)
		f.check(m.Warmup == 0, "mimicry.warmup", useless, mode)
		f.check(m.WarmupSteps == 0, "mimicry.warmup_steps", useless, mode)
		f.check(m.Temperature == 0, "mimicry.temperature", useless, mode)
		return
	}
	f.check(*m.Weight >= 0 && finite(*m.Weight), "mimicry.weight", "%g is not a number of at least 0", *m.Weight)
	f.check(m.Warmup >= 0 && m.Warmup <= maxWarmup, "mimicry.warmup", "%g is not between 0 and %d epochs", m.Warmup, maxWarmup)
	f.check(m.WarmupSteps >= 0, "mimicry.warmup_steps", "%d is negative", m.WarmupSteps)
	f.check(m.Warmup == 0 || m.WarmupSteps == 0, "mimicry.warmup_steps", "a warm-up in epochs is given too; give the one or the other")
	// Past these bounds float32 has no digits left for the loss.
	f.check(m.Temperature >= 1e-3 && m.Temperature <= 1e3, "mimicry.temperature", "%g is not between 0.001 and 1000", m.Temperature)
}

// ramp is the weight as a function of the step, for epochs of so many steps.
func (m Mimicry) ramp(steps int) ramp {
	r := ramp{steps: m.WarmupSteps}
	if m.Weight != nil {
		r.value = *m.Weight
	}
	if m.Warmup > 0 {
		r.steps = int(math.Round(m.Warmup * float64(steps)))
	}
	return r
}

// ramp rises in a straight line to its value: it is (s+1)/steps of it in step s
// < steps, as optim.Warmup is.
type ramp struct {
	value float64
	steps int
}

func (r ramp) at(step int) float64 {
	if step+1 >= r.steps {
		return r.value
	}
	return r.value * float64(step+1) / float64(r.steps)
}
