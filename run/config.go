package run

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
	"github.com/deepmutual/dml/train/optim"
)

// Config is the configuration of a run: what config.yaml in its folder holds,
// and a file that dml train --config reads. Settings describes every key. The
// zero value of a field means its default, which WithDefaults writes out; where
// zero means zero, the field is a pointer.
type Config struct {
	Name    string        `yaml:"name"`
	Data    DataConfig    `yaml:"data"`
	Mode    train.Mode    `yaml:"mode"`
	Order   train.Order   `yaml:"order"`
	Views   train.Views   `yaml:"views"`
	Mimicry MimicryConfig `yaml:"mimicry,omitempty"`
	Teacher TeacherConfig `yaml:"teacher,omitempty"`

	LabelSmoothing float64         `yaml:"label_smoothing,omitempty"`
	Students       []StudentConfig `yaml:"students"`
	Epochs         int             `yaml:"epochs"`
	Batch          int             `yaml:"batch"`
	Seed           uint64          `yaml:"seed"`
	Optimizer      OptimizerConfig `yaml:"optimizer"`
	Schedule       ScheduleConfig  `yaml:"schedule"`
	Augment        AugmentConfig   `yaml:"augment"`
	Stop           StopConfig      `yaml:"stop,omitempty"`
	Threads        int             `yaml:"threads,omitempty"`
	NoWinograd     bool            `yaml:"no_winograd,omitempty"`
	BFloat16       bool            `yaml:"bfloat16,omitempty"`
	Backend        string          `yaml:"backend,omitempty"`
}

// DataConfig names the training data.
type DataConfig struct {
	Path       string       `yaml:"path"`
	Kind       dataset.Kind `yaml:"kind,omitempty"`
	Pattern    string       `yaml:"pattern,omitempty"`
	Limit      int          `yaml:"limit,omitempty"`
	Validation float64      `yaml:"validation"`
	Height     int          `yaml:"height,omitempty"`
	Width      int          `yaml:"width,omitempty"`
	Cache      *int         `yaml:"cache,omitempty"` // MiB
}

// StudentConfig describes one student.
type StudentConfig struct {
	Name string `yaml:"name"`
	Arch string `yaml:"arch"`
	// Network is an architecture that a Go program has made, for the images and
	// classes of the data, in place of Arch. Anyone can evaluate and export such
	// a run, since checkpoints hold the network; only that program can resume it.
	Network    *models.Network  `yaml:"-"`
	Seed       uint64           `yaml:"seed,omitempty"`
	Init       string           `yaml:"init,omitempty"`
	InitSHA256 string           `yaml:"init_sha256,omitempty"`
	Optimizer  *OptimizerConfig `yaml:"optimizer,omitempty"`
	Schedule   *ScheduleConfig  `yaml:"schedule,omitempty"`
}

// goArch marks the architecture that a Go program has given as
// StudentConfig.Network.
const goArch = "go:"

// architecture is the short name of the student's network.
func (s StudentConfig) architecture() string {
	return strings.TrimPrefix(models.NameOf(s.Arch), goArch)
}

// MimicryConfig is train.Mimicry in a file: the same fields in the same order,
// since each is converted to the other.
type MimicryConfig struct {
	Weight      *float64 `yaml:"weight,omitempty"`
	Warmup      float64  `yaml:"warmup,omitempty"`
	WarmupSteps int      `yaml:"warmup_steps,omitempty"`
	Temperature float64  `yaml:"temperature,omitempty"`
}

// TeacherConfig says where the teacher of train.ModeDistill comes from.
type TeacherConfig struct {
	Path   string    `yaml:"path,omitempty"`
	Output string    `yaml:"output,omitempty"`
	Mean   []float32 `yaml:"mean,omitempty"`
	Std    []float32 `yaml:"std,omitempty"`
}

// StopConfig is train.Stop in a file.
type StopConfig struct {
	Time     time.Duration `yaml:"time,omitempty"`
	Patience int           `yaml:"patience,omitempty"`
	MaxSteps int           `yaml:"max_steps,omitempty"`
}

// WithDefaults returns the configuration with every default written out.
func (c Config) WithDefaults() Config {
	c.Data.Validation = cmp.Or(c.Data.Validation, 0.1)
	if c.Data.Cache == nil {
		c.Data.Cache = new(1024)
	}
	c.Optimizer = c.Optimizer.withDefaults()
	c.Students = slices.Clone(c.Students)
	for i := range c.Students {
		s := &c.Students[i]
		if s.Network != nil {
			s.Arch = cmp.Or(s.Arch, goArch+s.Network.Name)
		}
		if s.Optimizer != nil {
			s.Optimizer = new(s.Optimizer.withDefaults())
		}
	}
	values := c.values().WithDefaults()
	copyFields(&c, values)
	c.Mimicry = MimicryConfig(values.Mimicry)
	c.Schedule = c.Schedule.withDefaults(c.Epochs)
	c.Augment = augmentConfig(values.Augment)
	for i, v := range values.Students {
		s := &c.Students[i]
		s.Name, s.Seed = v.Name, v.Seed
		if s.Schedule != nil {
			s.Schedule = new(s.Schedule.withDefaults(c.Epochs))
		}
	}
	if c.Name == "" {
		parts := []string{string(c.Mode)}
		for _, s := range c.Students {
			parts = append(parts, s.architecture())
		}
		c.Name = strings.Join(parts, "-")
	}
	return c
}

// values is what the configuration says of the training itself. Architectures
// are names: those of files are not looked for.
func (c Config) values() train.Config {
	var v train.Config
	copyFields(&v, c)
	v.Height, v.Width = c.Data.Height, c.Data.Width
	v.Mimicry = train.Mimicry(c.Mimicry)
	v.Optimizer, v.Schedule = c.Optimizer.value(), c.Schedule.value()
	v.Augment, v.Stop = c.Augment.value(), train.Stop(c.Stop)
	v.Students = nil
	for _, s := range c.Students {
		own := train.Student{Name: s.Name, Arch: s.architecture(), Network: s.Network, Seed: s.Seed}
		if s.Optimizer != nil {
			own.Optimizer = s.Optimizer.value()
		}
		if s.Schedule != nil {
			own.Schedule = s.Schedule.value()
		}
		v.Students = append(v.Students, own)
	}
	return v
}

// OptimizerConfig holds the settings of an optimizer; those that its kind does
// not know must be left out.
type OptimizerConfig struct {
	Kind         string       `yaml:"kind"`
	LearningRate float64      `yaml:"learning_rate"`
	Momentum     *float64     `yaml:"momentum,omitempty"`
	Nesterov     *bool        `yaml:"nesterov,omitempty"`
	Beta1        *float64     `yaml:"beta1,omitempty"`
	Beta2        *float64     `yaml:"beta2,omitempty"`
	Epsilon      float64      `yaml:"epsilon,omitempty"`
	WeightDecay  *float64     `yaml:"weight_decay"`
	DecayExclude []optim.Part `yaml:"decay_exclude,omitempty"`
}

// withDefaults returns o with every default written out: those of package optim,
// and what else is usual.
func (o OptimizerConfig) withDefaults() OptimizerConfig {
	o.Kind = cmp.Or(o.Kind, "sgd")
	o.DecayExclude = slices.Clone(o.DecayExclude)
	decay, known := map[string]float64{"sgd": 5e-4, "adam": 0, "adamw": 0.01}[o.Kind]
	if !known {
		return o
	}
	o.WeightDecay = cmp.Or(o.WeightDecay, &decay)
	if o.Kind == "sgd" {
		o.Momentum = cmp.Or(o.Momentum, new(0.9))
		o.Nesterov = cmp.Or(o.Nesterov, new(*o.Momentum > 0))
	}
	switch v := o.value().WithDefaults().(type) {
	case optim.SGD:
		o.LearningRate = v.LearningRate
	case optim.Adam:
		o.setAdam(v)
	case optim.AdamW:
		o.setAdam(optim.Adam(v))
	}
	return o
}

func (o *OptimizerConfig) setAdam(v optim.Adam) {
	o.LearningRate, o.Epsilon = v.LearningRate, v.Epsilon
	o.Beta1, o.Beta2 = cmp.Or(o.Beta1, &v.Beta1), cmp.Or(o.Beta2, &v.Beta2)
}

// value returns the optimizer; of an unknown kind, sgd.
func (o OptimizerConfig) value() optim.Optimizer {
	orZero := func(v *float64) float64 { // for which 0 is not the default
		if v != nil && *v == 0 {
			return optim.Zero
		}
		return deref(v)
	}
	adam := optim.Adam{LearningRate: o.LearningRate, Beta1: orZero(o.Beta1), Beta2: orZero(o.Beta2),
		Epsilon: o.Epsilon, WeightDecay: deref(o.WeightDecay), DecayExclude: o.DecayExclude}
	switch o.Kind {
	case "adam":
		return adam
	case "adamw":
		return optim.AdamW(adam)
	}
	return optim.SGD{LearningRate: o.LearningRate, Momentum: deref(o.Momentum), Nesterov: deref(o.Nesterov),
		WeightDecay: deref(o.WeightDecay), DecayExclude: o.DecayExclude}
}

// ScheduleConfig says how the learning rate changes; settings that its kind does
// not know must be left out.
type ScheduleConfig struct {
	Kind       string  `yaml:"kind"`
	Every      int     `yaml:"every,omitempty"`
	Milestones []int   `yaml:"milestones,omitempty"`
	Factor     float64 `yaml:"factor,omitempty"`
	Length     int     `yaml:"length,omitempty"`
	EndFactor  float64 `yaml:"end_factor,omitempty"`
	Warmup     float64 `yaml:"warmup,omitempty"`
}

// withDefaults returns s with every default written out.
func (s ScheduleConfig) withDefaults(epochs int) ScheduleConfig {
	s.Kind = cmp.Or(s.Kind, "step")
	plain := s
	plain.Warmup = 0
	switch v := plain.value().WithDefaults(epochs).(type) {
	case optim.Step:
		if s.Kind == "step" {
			s.Every, s.Factor = v.Every, v.Factor
		}
	case optim.MultiStep:
		s.Milestones, s.Factor = v.Milestones, v.Factor
	case optim.Cosine:
		s.Length = v.Length
	}
	return s
}

// value returns the schedule; of an unknown kind, step.
func (s ScheduleConfig) value() optim.Schedule {
	var out optim.Schedule
	switch s.Kind {
	case "multistep":
		out = optim.MultiStep{Milestones: s.Milestones, Factor: s.Factor}
	case "cosine":
		out = optim.Cosine{Length: s.Length, EndFactor: s.EndFactor}
	case "constant":
		out = optim.Constant{}
	default:
		out = optim.Step{Every: s.Every, Factor: s.Factor}
	}
	if s.Warmup != 0 {
		out = optim.Warmup{Epochs: s.Warmup, Schedule: out}
	}
	return out
}

// deref is the value behind p, or zero.
func deref[T any](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}

var errNoNetwork = errors.New("is made by a Go program, which must give it as StudentConfig.Network")

// network makes the network of student i for images and classes.
func (c Config) network(i int, input models.Shape, classes int) (*models.Network, error) {
	s := c.Students[i]
	if s.Network != nil {
		return s.Network, nil // which train checks
	}
	if strings.HasPrefix(s.Arch, goArch) {
		return nil, fmt.Errorf("student %q: the architecture %s %w", s.Name, s.Arch, errNoNetwork)
	}
	return models.Build(s.Arch, input, classes)
}
