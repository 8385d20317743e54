package train

import (
	"fmt"
	"slices"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train/optim"
)

// Config says how a cohort is trained. The zero value of a field means the
// default that its comment names; WithDefaults writes it out. Only Students must
// be given.
type Config struct {
	Mode    Mode    // default ModeDML
	Order   Order   // of updates; default OrderSimultaneous
	Views   Views   // default ViewsShared
	Mimicry Mimicry // how students learn from the posteriors of others
	// LabelSmoothing is the part of each label that is spread over all classes,
	// from 0, the default, to below 1.
	LabelSmoothing float64
	Students       []Student
	// Height and Width of the students' input, to which images are scaled;
	// default: those of the first image.
	Height, Width int
	Epochs        int    // default 20
	Batch         int    // images of a mini-batch; default 64
	Seed          uint64 // of order, augmentation, initial weights and dropout; default 1
	// Optimizer and Schedule of the learning rate, for students without their
	// own. Default: optim.SGD{LearningRate: 0.1, Momentum: 0.9, Nesterov: true,
	// WeightDecay: 5e-4}, and optim.Step{}.
	Optimizer optim.Optimizer
	Schedule  optim.Schedule
	Augment   dataset.Augment // of the training images; default: none
	Stop      Stop            // before the last epoch; default: never
	// Threads of all students together; default: GOMAXPROCS, the processor's
	// cores. The same number, on the same backend, gives the same bits.
	Threads    int
	NoWinograd bool // convolve without Winograd's transform, which rounds a little more
	// BFloat16 lets the convolutions of training round what they multiply to 8
	// significant bits, on processors that are faster so. Weights, sums and
	// evaluation stay float32.
	BFloat16 bool
}

// Student is one student of a cohort.
type Student struct {
	Name string // default: architecture and number, as in resnet20-1
	// Arch is an architecture of package models by name, which is built for the
	// images and classes of the data. Beside Network it is what reports call that;
	// default: the network's name.
	Arch string
	// Network is an architecture of your own, for the images and classes of the
	// data.
	Network *models.Network
	// Weights to begin with; default: drawn by Seed.
	Weights models.Weights
	// Seed of the initial weights; default: from the cohort's seed and the
	// student's number, so that equal architectures start apart.
	Seed uint64
	// Optimizer and Schedule of this student alone; default: the cohort's.
	Optimizer optim.Optimizer
	Schedule  optim.Schedule
}

// WithDefaults returns the configuration with every default written out.
func (c Config) WithDefaults() Config {
	setDefault(&c.Mode, ModeDML)
	setDefault(&c.Order, OrderSimultaneous)
	setDefault(&c.Views, ViewsShared)
	c.Mimicry = c.Mimicry.WithDefaults(c.Mode)
	setDefault(&c.Epochs, 20)
	setDefault(&c.Batch, 64)
	setDefault(&c.Seed, 1)
	if c.Optimizer == nil {
		c.Optimizer = optim.SGD{Momentum: 0.9, Nesterov: true, WeightDecay: 5e-4}
	}
	if c.Schedule == nil {
		c.Schedule = optim.Step{}
	}
	c.Optimizer, c.Schedule = c.Optimizer.WithDefaults(), c.Schedule.WithDefaults(c.Epochs)
	c.Augment = c.Augment.WithDefaults()
	c.Students = slices.Clone(c.Students)
	count := make(map[string]int)
	for i := range c.Students {
		s := &c.Students[i]
		if s.Network != nil {
			setDefault(&s.Arch, s.Network.Name)
		}
		count[s.Arch]++
		setDefault(&s.Name, fmt.Sprintf("%s-%d", s.Arch, count[s.Arch]))
		setDefault(&s.Seed, c.Seed*1000+uint64(i)+1)
		if s.Optimizer != nil {
			s.Optimizer = s.Optimizer.WithDefaults()
		}
		if s.Schedule != nil {
			s.Schedule = s.Schedule.WithDefaults(c.Epochs)
		}
	}
	return c
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// build makes the student's network for images and classes.
func (s Student) build(input models.Shape, classes int) (*models.Network, error) {
	if s.Network == nil {
		a, err := models.Lookup(s.Arch)
		if err != nil {
			return nil, err
		}
		return a.Build(input, classes)
	}
	if s.Network.Input != input || s.Network.Classes != classes {
		return nil, fmt.Errorf("student %q: its network %q is for inputs %v and %d classes, the data has %v and %d",
			s.Name, s.Network.Name, s.Network.Input, s.Network.Classes, input, classes)
	}
	return s.Network, nil
}

// initial returns the weights that the student begins with.
func (s Student) initial(net *models.Network) (models.Weights, error) {
	if s.Weights == nil {
		return net.Init(s.Seed)
	}
	if err := net.CheckWeights(s.Weights); err != nil {
		return nil, fmt.Errorf("student %q: its initial weights: %w", s.Name, err)
	}
	return s.Weights, nil
}

// updateRule says how a student's weights change: by which optimizer, and at what
// rate in epochs of so many steps.
type updateRule struct {
	optimizer optim.Optimizer
	schedule  optim.Schedule
	steps     int
}

// rate is the learning rate of a step.
func (r updateRule) rate(step int) float64 { return r.schedule.Rate(r.optimizer.Rate(), step, r.steps) }

// of returns what moves the parameters of a role.
func (r updateRule) of(role models.Role) optim.Optimizer {
	switch role {
	case models.RoleBias:
		return r.optimizer.For(optim.Bias)
	case models.RoleGamma, models.RoleBeta:
		return r.optimizer.For(optim.BatchNorm)
	}
	return r.optimizer.For(optim.Weights)
}

// updateRule returns that of a student, of its own settings or the cohort's, for
// epochs of so many steps.
func (c Config) updateRule(s Student, steps int) updateRule {
	r := updateRule{c.Optimizer, c.Schedule, steps}
	if s.Optimizer != nil {
		r.optimizer = s.Optimizer
	}
	if s.Schedule != nil {
		r.schedule = s.Schedule
	}
	return r
}
