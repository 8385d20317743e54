package train

import (
	"fmt"
	"math"
	"slices"

	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train/optim"
)

// OptimizerKind names an optimizer.
type OptimizerKind string

// The optimizers; see the types of those names in train/optim.
const (
	OptimizerSGD   OptimizerKind = "sgd"
	OptimizerAdam  OptimizerKind = "adam"
	OptimizerAdamW OptimizerKind = "adamw"
)

// DecayExclusion names parameters that weight decay can leave alone.
type DecayExclusion string

const (
	ExcludeBias      DecayExclusion = "bias"       // of convolutions and dense layers
	ExcludeBatchNorm DecayExclusion = "batch_norm" // scale and shift
)

// OptimizerConfig holds the settings of an optimizer. Those that its kind does
// not know must be left out. The defaults of sgd are the paper's for CIFAR, but
// for the weight decay, which it does not name; those of adam the paper's for
// Market-1501; those of adamw PyTorch's.
type OptimizerConfig struct {
	Kind         OptimizerKind `yaml:"kind"`               // default sgd
	LearningRate float64       `yaml:"learning_rate"`      // default 0.1, of adam 2e-4, of adamw 1e-3
	Momentum     *float64      `yaml:"momentum,omitempty"` // of sgd; default 0.9
	Nesterov     *bool         `yaml:"nesterov,omitempty"` // of sgd; default true
	Beta1        *float64      `yaml:"beta1,omitempty"`    // of adam, adamw; default 0.5, 0.9
	Beta2        *float64      `yaml:"beta2,omitempty"`    // of adam, adamw; default 0.999
	Epsilon      float64       `yaml:"epsilon,omitempty"`  // of adam, adamw; default 1e-8
	WeightDecay  *float64      `yaml:"weight_decay"`       // default 5e-4, of adam 0, of adamw 0.01
	// DecayExclude lists what weight decay leaves alone; default: nothing.
	DecayExclude []DecayExclusion `yaml:"decay_exclude,omitempty"`
}

func (o OptimizerConfig) withDefaults() OptimizerConfig {
	setDefault(&o.Kind, OptimizerSGD)
	switch o.Kind {
	case OptimizerSGD:
		setDefault(&o.LearningRate, 0.1)
		setDefault(&o.Momentum, new(0.9))
		setDefault(&o.Nesterov, new(*o.Momentum > 0))
		setDefault(&o.WeightDecay, new(5e-4))
	case OptimizerAdam:
		setDefault(&o.LearningRate, 2e-4)
		setDefault(&o.Beta1, new(0.5))
		setDefault(&o.WeightDecay, new(0.0))
	case OptimizerAdamW:
		setDefault(&o.LearningRate, 1e-3)
		setDefault(&o.Beta1, new(0.9))
		setDefault(&o.WeightDecay, new(0.01))
	}
	if o.Kind == OptimizerAdam || o.Kind == OptimizerAdamW {
		setDefault(&o.Beta2, new(0.999))
		setDefault(&o.Epsilon, 1e-8)
	}
	o.DecayExclude = slices.Clone(o.DecayExclude)
	return o
}

// validate returns every fault of settings whose defaults are written out; at
// is the key they are under.
func (o OptimizerConfig) validate(at string) []error {
	var faults []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(at+"."+key+": "+format, args...))
		}
	}
	sgd, adam := o.Kind == OptimizerSGD, o.Kind == OptimizerAdam || o.Kind == OptimizerAdamW
	if !sgd && !adam {
		check(false, "kind", "%q is unknown; use %s, %s or %s", o.Kind, OptimizerSGD, OptimizerAdam, OptimizerAdamW)
		return faults
	}
	check(o.LearningRate > 0 && finite(o.LearningRate), "learning_rate", "%g is not a positive number", o.LearningRate)
	fraction := func(key string, v *float64, known bool) {
		check(known || v == nil, key, "%s has none", o.Kind)
		check(!known || v != nil && *v >= 0 && *v < 1, key, "%g is not in [0, 1)", deref(v))
	}
	fraction("momentum", o.Momentum, sgd)
	fraction("beta1", o.Beta1, adam)
	fraction("beta2", o.Beta2, adam)
	check(sgd || o.Nesterov == nil, "nesterov", "%s has none", o.Kind)
	check(!deref(o.Nesterov) || deref(o.Momentum) > 0, "nesterov", "needs a momentum above 0")
	check(adam || o.Epsilon == 0, "epsilon", "%s has none", o.Kind)
	check(!adam || o.Epsilon > 0 && finite(o.Epsilon), "epsilon", "%g is not a positive number", o.Epsilon)
	check(o.WeightDecay != nil && *o.WeightDecay >= 0 && finite(*o.WeightDecay), "weight_decay", "%g is not a number of at least 0", deref(o.WeightDecay))
	for _, e := range o.DecayExclude {
		check(e == ExcludeBias || e == ExcludeBatchNorm, "decay_exclude", "%q is unknown; use %s and %s", e, ExcludeBias, ExcludeBatchNorm)
	}
	return faults
}

// optimizer returns what moves the parameters of a role.
func (o OptimizerConfig) optimizer(role models.Role) optim.Optimizer {
	decay := deref(o.WeightDecay)
	for _, e := range o.DecayExclude {
		if e == ExcludeBias && role == models.RoleBias || e == ExcludeBatchNorm && (role == models.RoleGamma || role == models.RoleBeta) {
			decay = 0
		}
	}
	adam := optim.Adam{Beta1: deref(o.Beta1), Beta2: deref(o.Beta2), Epsilon: o.Epsilon, WeightDecay: decay}
	switch o.Kind {
	case OptimizerAdam:
		return adam
	case OptimizerAdamW:
		return optim.AdamW(adam)
	default:
		return optim.SGD{Momentum: deref(o.Momentum), Nesterov: deref(o.Nesterov), WeightDecay: decay}
	}
}

// ScheduleKind names a learning-rate schedule.
type ScheduleKind string

// The schedules; see train/optim.
const (
	ScheduleStep      ScheduleKind = "step"
	ScheduleMultiStep ScheduleKind = "multistep"
	ScheduleCosine    ScheduleKind = "cosine"
	ScheduleConstant  ScheduleKind = "constant"
)

// maxEpochs keeps the steps of a schedule within an int.
const maxEpochs = 1_000_000_000

// ScheduleConfig says how the learning rate changes. Settings that its kind does
// not know must be left out.
type ScheduleConfig struct {
	Kind ScheduleKind `yaml:"kind"` // default step
	// Every so many epochs, step multiplies the rate by Factor; default: a third
	// of all epochs, rounded up (the paper: 60 of 200).
	Every int `yaml:"every,omitempty"`
	// Milestones are the epochs after which multistep multiplies it by Factor.
	Milestones []int   `yaml:"milestones,omitempty"`
	Factor     float64 `yaml:"factor,omitempty"` // of step, multistep; default 0.1
	// Length is the number of epochs in which cosine reaches its end; default:
	// those of the run.
	Length int `yaml:"length,omitempty"`
	// EndFactor is what cosine has multiplied the rate by at its end; default 0.
	EndFactor float64 `yaml:"end_factor,omitempty"`
	// Warmup is the number of epochs, perhaps a fraction, in which the rate rises
	// to what the schedule says, in a straight line; default 0.
	Warmup float64 `yaml:"warmup,omitempty"`
}

func (s ScheduleConfig) withDefaults(epochs int) ScheduleConfig {
	setDefault(&s.Kind, ScheduleStep)
	switch s.Kind {
	case ScheduleStep:
		setDefault(&s.Every, max(1, (epochs+2)/3))
		setDefault(&s.Factor, 0.1)
	case ScheduleMultiStep:
		setDefault(&s.Factor, 0.1)
	case ScheduleCosine:
		setDefault(&s.Length, max(1, epochs))
	}
	s.Milestones = slices.Clone(s.Milestones)
	return s
}

// validate returns every fault of settings whose defaults are written out; at
// is the key they are under.
func (s ScheduleConfig) validate(at string) []error {
	var faults []error
	check := func(ok bool, key, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(at+"."+key+": "+format, args...))
		}
	}
	step, multi, cosine := s.Kind == ScheduleStep, s.Kind == ScheduleMultiStep, s.Kind == ScheduleCosine
	if !step && !multi && !cosine && s.Kind != ScheduleConstant {
		check(false, "kind", "%q is unknown; use %s, %s, %s or %s", s.Kind, ScheduleStep, ScheduleMultiStep, ScheduleCosine, ScheduleConstant)
		return faults
	}
	check(step || s.Every == 0, "every", "the schedule %s has none", s.Kind)
	check(!step || s.Every > 0 && s.Every <= maxEpochs, "every", "%d is not between 1 and %d", s.Every, maxEpochs)
	check(step || multi || s.Factor == 0, "factor", "the schedule %s has none", s.Kind)
	check(!(step || multi) || s.Factor > 0 && finite(s.Factor), "factor", "%g is not a positive number", s.Factor)
	check(multi || len(s.Milestones) == 0, "milestones", "the schedule %s has none", s.Kind)
	check(!multi || len(s.Milestones) > 0, "milestones", "missing; name the epochs after which the learning rate changes")
	for i, m := range s.Milestones {
		check(m > 0 && m <= maxEpochs && (i == 0 || m > s.Milestones[i-1]), "milestones", "%v do not rise from 1 on to at most %d", s.Milestones, maxEpochs)
	}
	check(cosine || s.Length == 0, "length", "the schedule %s has none", s.Kind)
	check(!cosine || s.Length > 0 && s.Length <= maxEpochs, "length", "%d is not between 1 and %d", s.Length, maxEpochs)
	check(cosine || s.EndFactor == 0, "end_factor", "the schedule %s has none", s.Kind)
	check(s.EndFactor >= 0 && finite(s.EndFactor), "end_factor", "%g is not a number of at least 0", s.EndFactor)
	check(s.Warmup >= 0 && s.Warmup <= maxEpochs, "warmup", "%g is not between 0 and %d", s.Warmup, maxEpochs)
	return faults
}

// schedule returns the schedule of a learning rate, for epochs of so many steps.
func (s ScheduleConfig) schedule(rate float64, steps int) optim.Schedule {
	var out optim.Schedule
	switch s.Kind {
	case ScheduleStep:
		out = optim.StepDecay{Base: rate, Factor: s.Factor, Every: s.Every * steps}
	case ScheduleMultiStep:
		milestones := make([]int, len(s.Milestones))
		for i, m := range s.Milestones {
			milestones[i] = m * steps
		}
		out = optim.MultiStep{Base: rate, Factor: s.Factor, Milestones: milestones}
	case ScheduleCosine:
		out = optim.Cosine{Base: rate, End: rate * s.EndFactor, Steps: s.Length * steps}
	default:
		out = optim.Constant(rate)
	}
	if n := int(math.Round(s.Warmup * float64(steps))); n > 0 {
		out = optim.Warmup{Schedule: out, Steps: n}
	}
	return out
}

// updateRule says how a student's weights change: by which optimizer each, and
// at what rate.
type updateRule struct {
	optimizer func(models.Role) optim.Optimizer
	schedule  optim.Schedule
}

// updateRule returns that of a student, for epochs of so many steps.
func (c Config) updateRule(s StudentConfig, steps int) updateRule {
	optimizer, schedule := c.learning(s)
	return updateRule{optimizer.optimizer, schedule.schedule(optimizer.LearningRate, steps)}
}

// learning returns the optimizer and schedule of a student: its own, or the
// run's.
func (c Config) learning(s StudentConfig) (OptimizerConfig, ScheduleConfig) {
	optimizer, schedule := c.Optimizer, c.Schedule
	if s.Optimizer != nil {
		optimizer = *s.Optimizer
	}
	if s.Schedule != nil {
		schedule = *s.Schedule
	}
	return optimizer, schedule
}

func finite(v float64) bool { return !math.IsInf(v, 0) && !math.IsNaN(v) }

// deref is the value behind p, or zero.
func deref[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}
