package train

import (
	"fmt"
	"math"
)

// MimicryConfig says how students learn from the posteriors of others. Mode
// independent has no such settings.
type MimicryConfig struct {
	// Weight of the mimicry loss; default 1.
	Weight *float64 `yaml:"weight,omitempty"`
	// Warmup is the number of epochs, perhaps a fraction, in which the weight
	// rises in a straight line to Weight; WarmupSteps counts in steps instead.
	Warmup      float64 `yaml:"warmup,omitempty"`
	WarmupSteps int     `yaml:"warmup_steps,omitempty"`
	// Temperature T divides the logits of both sides of the mimicry loss, which
	// is then multiplied by T squared; default 1.
	Temperature float64 `yaml:"temperature,omitempty"`
}

const maxWarmup = 1_000_000 // epochs

// withDefaults returns m with every default written out; in mode independent
// it leaves defaults out, so that a written configuration may change its mode.
func (m MimicryConfig) withDefaults(mode Mode) MimicryConfig {
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

// faults lists every fault. Each names its key.
func (m MimicryConfig) faults(mode Mode) []error {
	var faults []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf("mimicry."+key+": "+format, args...))
		}
	}
	if mode == ModeIndependent {
		const useless = "mode %s has no mimicry loss; leave this out"
		check(m.Weight == nil, "weight", useless, mode)
		check(m.Warmup == 0, "warmup", useless, mode)
		check(m.WarmupSteps == 0, "warmup_steps", useless, mode)
		check(m.Temperature == 0, "temperature", useless, mode)
		return faults
	}
	check(*m.Weight >= 0 && finite(*m.Weight), "weight", "%g is not a number of at least 0", *m.Weight)
	check(m.Warmup >= 0 && m.Warmup <= maxWarmup, "warmup", "%g is not between 0 and %d epochs", m.Warmup, maxWarmup)
	check(m.WarmupSteps >= 0, "warmup_steps", "%d is negative", m.WarmupSteps)
	check(m.Warmup == 0 || m.WarmupSteps == 0, "warmup_steps", "mimicry.warmup is given too; give the one or the other")
	// Past these bounds float32 has no digits left for the loss.
	check(m.Temperature >= 1e-3 && m.Temperature <= 1e3, "temperature", "%g is not between 0.001 and 1000", m.Temperature)
	return faults
}

// ramp is the weight as a function of the step, for epochs of so many steps.
func (m MimicryConfig) ramp(steps int) ramp {
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
