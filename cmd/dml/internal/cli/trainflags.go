package cli

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/run/rundir"
	"github.com/deepmutual/dml/train"
)

// setting is a flag that sets a field of a run's configuration.
type setting struct {
	key   string // of the field, as Config.Validate and configuration files name it
	flag  cli.Flag
	apply func(*train.Config, *cli.Context) error
}

// resumable reports whether the setting may be given anew for a run that goes on.
func (s setting) resumable() bool {
	return strings.HasPrefix(s.key, "stop.") || s.key == "threads" || s.key == "backend"
}

// set makes the apply function of a flag with one value.
func set[T any](name string, value func(*cli.Context, string) T, field func(*train.Config) *T) func(*train.Config, *cli.Context) error {
	return func(cfg *train.Config, ctx *cli.Context) error {
		*field(cfg) = value(ctx, name)
		return nil
	}
}

func text(key, name, usage string, field func(*train.Config) *string) setting {
	return setting{key, &cli.StringFlag{Name: name, Usage: usage}, set(name, (*cli.Context).String, field)}
}

// The flags below show the default that train.Config documents, standard.

func textOr(key, name, standard, usage string, field func(*train.Config) *string) setting {
	return setting{key, &cli.StringFlag{Name: name, Usage: usage, DefaultText: standard}, set(name, (*cli.Context).String, field)}
}

func integer(key, name, standard, usage string, field func(*train.Config) *int) setting {
	return setting{key, &cli.IntFlag{Name: name, Usage: usage, DefaultText: standard}, set(name, (*cli.Context).Int, field)}
}

func number(key, name, standard, usage string, field func(*train.Config) *float64) setting {
	return setting{key, &cli.Float64Flag{Name: name, Usage: usage, DefaultText: standard}, set(name, (*cli.Context).Float64, field)}
}

func toggle(key, name, usage string, field func(*train.Config) *bool) setting {
	return setting{key, &cli.BoolFlag{Name: name, Usage: usage, DisableDefaultText: true}, set(name, (*cli.Context).Bool, field)}
}

// nonzero refuses 0, which a configuration takes for "not given".
func nonzero(s setting) setting {
	name, apply := s.flag.Names()[0], s.apply
	s.apply = func(cfg *train.Config, ctx *cli.Context) error {
		if reflect.ValueOf(ctx.Value(name)).IsZero() {
			return usagef("--%s cannot be 0; leave it out for the default", name)
		}
		return apply(cfg, ctx)
	}
	return s
}

// trainSettings lists the flags that describe a run. Their defaults are those
// of train.Config, so that a flag that is not given changes nothing.
func trainSettings() []setting {
	return slices.Concat(dataSettings(), modeSettings(), []setting{
		{"students", &cli.StringSliceFlag{Name: "student", Usage: "add a student: `[NAME=]ARCH`, of dml models or the path of a .json file"}, applyStudents},
		{"students[].init", &cli.StringSliceFlag{Name: "init", Usage: "start a student from the weights of `STUDENT=FILE`: an ONNX model, a checkpoint, a run, or safetensors"}, applyInit},
		nonzero(integer("epochs", "epochs", "20", "`N` passes over the training data", func(c *train.Config) *int { return &c.Epochs })),
		nonzero(integer("batch", "batch", "64", "mini-batches of `N` images", func(c *train.Config) *int { return &c.Batch })),
		textOr("optimizer.kind", "optimizer", "sgd", "`KIND` of optimizer: sgd, adam or adamw", func(c *train.Config) *string { return (*string)(&c.Optimizer.Kind) }),
		nonzero(number("optimizer.learning_rate", "lr", "0.1; adam 0.0002, adamw 0.001", "learning `RATE` at the start",
			func(c *train.Config) *float64 { return &c.Optimizer.LearningRate })),
		number("optimizer.momentum", "momentum", "0.9", "`M` of sgd", func(c *train.Config) *float64 { return fresh(&c.Optimizer.Momentum) }),
		{"optimizer.nesterov", &cli.BoolFlag{Name: "nesterov", DefaultText: "true", Usage: "use Nesterov's momentum; --nesterov=false for the classical"},
			set("nesterov", (*cli.Context).Bool, func(c *train.Config) *bool { return fresh(&c.Optimizer.Nesterov) })},
		number("optimizer.beta1", "beta1", "adam 0.5, adamw 0.9", "decay `B` of the first moment, of adam and adamw",
			func(c *train.Config) *float64 { return fresh(&c.Optimizer.Beta1) }),
		number("optimizer.beta2", "beta2", "0.999", "decay `B` of the second moment", func(c *train.Config) *float64 { return fresh(&c.Optimizer.Beta2) }),
		nonzero(number("optimizer.epsilon", "epsilon", "1e-08", "`E` of adam and adamw", func(c *train.Config) *float64 { return &c.Optimizer.Epsilon })),
		number("optimizer.weight_decay", "weight-decay", "0.0005; adam 0, adamw 0.01", "`W` of the optimizer",
			func(c *train.Config) *float64 { return fresh(&c.Optimizer.WeightDecay) }),
		{"optimizer.decay_exclude", &cli.StringFlag{Name: "decay-exclude", DefaultText: "nothing", Usage: "leave `PARTS` out of weight decay: bias, batch_norm or bias,batch_norm"}, applyDecayExclude},
		textOr("schedule.kind", "schedule", "step", "`KIND` of schedule: step, multistep, cosine or constant", func(c *train.Config) *string { return (*string)(&c.Schedule.Kind) }),
		nonzero(integer("schedule.every", "lr-step", "a third of all", "step: multiply the learning rate every `N` epochs",
			func(c *train.Config) *int { return &c.Schedule.Every })),
		{"schedule.milestones", &cli.StringFlag{Name: "lr-milestones", Usage: "multistep: multiply it after the `EPOCHS`, as in 60,120,160"}, applyMilestones},
		nonzero(number("schedule.factor", "lr-factor", "0.1", "step, multistep: multiply it by `F`", func(c *train.Config) *float64 { return &c.Schedule.Factor })),
		nonzero(integer("schedule.length", "lr-length", "all epochs", "cosine: reach the end in `N` epochs", func(c *train.Config) *int { return &c.Schedule.Length })),
		number("schedule.end_factor", "lr-end-factor", "0", "cosine: have multiplied it by `F` at the end", func(c *train.Config) *float64 { return &c.Schedule.EndFactor }),
		number("schedule.warmup", "warmup", "0", "let the learning rate rise for `N` epochs", func(c *train.Config) *float64 { return &c.Schedule.Warmup }),
		nonzero(setting{"seed", &cli.Uint64Flag{Name: "seed", DefaultText: "1", Usage: "`N` decides splits, order, augmentation and initial weights"},
			set("seed", (*cli.Context).Uint64, func(c *train.Config) *uint64 { return &c.Seed })}),
		{"stop.time", &cli.DurationFlag{Name: "time", DefaultText: "no limit", Usage: "stop after `DURATION`, as in 2h or 90m, with the state saved"},
			set("time", (*cli.Context).Duration, func(c *train.Config) *time.Duration { return &c.Stop.Time })},
		integer("stop.patience", "patience", "no limit", "stop after `N` epochs in which no student got better on validation", func(c *train.Config) *int { return &c.Stop.Patience }),
		integer("stop.max_steps", "max-steps", "no limit", "stop after `N` steps of the whole run", func(c *train.Config) *int { return &c.Stop.MaxSteps }),
		textOr("name", "name", "mode and students", "`NAME` of the run's folder", func(c *train.Config) *string { return &c.Name }),
		{"threads", threadsFlag(), func(cfg *train.Config, ctx *cli.Context) error {
			cfg.Threads = ctx.Int("threads")
			return checkThreads(ctx)
		}},
		{"backend", backendFlag(), set("backend", (*cli.Context).String, func(c *train.Config) *string { return &c.Backend })},
		toggle("no_winograd", "no-winograd", "convolve without Winograd's transform", func(c *train.Config) *bool { return &c.NoWinograd }),
		toggle("bfloat16", "bfloat16", "round what convolutions multiply to bfloat16, where the processor is faster so", func(c *train.Config) *bool { return &c.BFloat16 }),
	}, augmentSettings())
}

// fresh points an optional field to a value of its own.
func fresh[T any](field **T) *T {
	*field = new(T)
	return *field
}

func applyStudents(cfg *train.Config, ctx *cli.Context) error {
	cfg.Students = nil
	for _, spec := range ctx.StringSlice("student") {
		var s train.StudentConfig
		if name, arch, named := strings.Cut(spec, "="); named {
			s.Name, s.Arch = name, arch
		} else {
			s.Arch = spec
		}
		cfg.Students = append(cfg.Students, s)
	}
	return nil
}

func applyDecayExclude(cfg *train.Config, ctx *cli.Context) error {
	cfg.Optimizer.DecayExclude = nil
	for part := range strings.SplitSeq(ctx.String("decay-exclude"), ",") {
		cfg.Optimizer.DecayExclude = append(cfg.Optimizer.DecayExclude, train.DecayExclusion(part))
	}
	return nil
}

func applyMilestones(cfg *train.Config, ctx *cli.Context) error {
	cfg.Schedule.Milestones = nil
	for part := range strings.SplitSeq(ctx.String("lr-milestones"), ",") {
		epoch, err := strconv.Atoi(part)
		if err != nil {
			return usagef("--lr-milestones: %q is not a list of epochs, as in 60,120,160", ctx.String("lr-milestones"))
		}
		cfg.Schedule.Milestones = append(cfg.Schedule.Milestones, epoch)
	}
	return nil
}

// trainConfig returns the configuration that the flags describe, on top of the
// file that --config names, defaults written out and validated.
func trainConfig(ctx *cli.Context, settings []setting) (train.Config, error) {
	var cfg train.Config
	path := ctx.String("config")
	if path != "" {
		var err error
		if cfg, err = rundir.ReadConfig(path); err != nil {
			return train.Config{}, err
		}
	}
	if err := applySettings(&cfg, ctx, settings); err != nil {
		return train.Config{}, err
	}
	cfg = cfg.WithDefaults()
	switch err := cfg.Validate(); {
	case err == nil:
		return cfg, nil
	case path == "":
		return train.Config{}, fmt.Errorf("the command line describes no run:\n%w", byFlag(err, settings))
	default:
		return train.Config{}, fmt.Errorf("%s describes no run:\n%w", path, err)
	}
}

// applySettings sets what the command line gives.
func applySettings(cfg *train.Config, ctx *cli.Context, settings []setting) error {
	for _, s := range settings {
		if ctx.IsSet(s.flag.Names()[0]) {
			if err := s.apply(cfg, ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// resumedConfig returns the configuration of a run that goes on, with what the
// command line may change of it.
func resumedConfig(cfg train.Config, ctx *cli.Context, settings []setting) (train.Config, error) {
	var fixed []setting
	for _, s := range settings {
		if !s.resumable() {
			fixed = append(fixed, s)
		}
	}
	if given := givenFlags(ctx, fixed); len(given) > 0 || ctx.IsSet("config") {
		return cfg, usagef("--resume takes its settings from %s: drop %v", ctx.String("resume"), append(given, "--config")[0])
	}
	if err := applySettings(&cfg, ctx, settings); err != nil {
		return cfg, err
	}
	return cfg, byFlag(cfg.Validate(), settings)
}

// byFlag names the flags instead of the keys in the faults that Config.Validate
// has joined, for a user who has written no key.
func byFlag(faults error, settings []setting) error {
	joined, ok := faults.(interface{ Unwrap() []error })
	if !ok {
		return faults
	}
	var out []error
	for _, fault := range joined.Unwrap() {
		key, problem, _ := strings.Cut(fault.Error(), ": ")
		name := ""
		for _, s := range settings {
			if s.key == key {
				name = "--" + s.flag.Names()[0]
			}
		}
		var i int
		if n, _ := fmt.Sscanf(key, "students[%d]", &i); n == 1 {
			name = fmt.Sprintf("--student number %d", i+1)
		}
		if name == "" {
			out = append(out, fault)
			continue
		}
		problem = strings.ReplaceAll(problem, "use mode ", "use --mode ")
		for _, s := range settings {
			if strings.Contains(s.key, ".") { // keys of one word may be words of the sentence
				problem = strings.ReplaceAll(problem, s.key+" ", "--"+s.flag.Names()[0]+" ")
			}
		}
		out = append(out, fmt.Errorf("%s: %s", name, problem))
	}
	return errors.Join(out...)
}

// givenFlags lists the flags of the settings that the command line sets.
func givenFlags(ctx *cli.Context, settings []setting) []string {
	var names []string
	for _, s := range settings {
		if name := s.flag.Names()[0]; ctx.IsSet(name) {
			names = append(names, "--"+name)
		}
	}
	return slices.Clip(names)
}
