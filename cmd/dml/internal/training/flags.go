package training

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/train"
)

// settingFlags are the flags of run.Settings. A flag that is not given changes
// nothing: the defaults that the help shows are those of run.Config.
func settingFlags() []cli.Flag {
	var flags []cli.Flag
	for _, s := range run.Settings() {
		if s.Help == "" {
			continue
		}
		standard := strings.ReplaceAll(s.Default, "`", "")
		if strings.HasPrefix(standard, "none") {
			standard = ""
		}
		var flag cli.Flag
		switch {
		case s.Repeated():
			flag = &cli.StringSliceFlag{Name: s.Flag, Usage: s.Help}
		case s.Type() == "true or false":
			flag = &cli.BoolFlag{Name: s.Flag, Usage: s.Help, DefaultText: standard, DisableDefaultText: standard == "false"}
		default:
			flag = &cli.StringFlag{Name: s.Flag, Usage: s.Help, DefaultText: standard}
		}
		flags = append(flags, console.Group(heading(s.Key), flag)...)
	}
	return flags
}

// heading is that of the help for the setting with that key.
func heading(key string) string {
	section, _, _ := strings.Cut(strings.TrimSuffix(key, "[].init"), ".")
	switch section {
	case "data":
		return "Data"
	case "students":
		return "Students"
	case "mode", "order", "views", "mimicry", "teacher", "label_smoothing":
		return "Learning from each other"
	case "epochs", "batch", "optimizer", "schedule":
		return "Optimizer and learning rate"
	case "augment":
		return "Augmentation of training images"
	case "stop":
		return "Stopping early"
	case "threads", "no_winograd", "bfloat16", "backend":
		return "Computing"
	}
	return ""
}

// givenSettings lists the settings that the command line gives.
func givenSettings(ctx *cli.Context) []run.Setting {
	var given []run.Setting
	for _, s := range run.Settings() {
		if s.Help != "" && ctx.IsSet(s.Flag) {
			given = append(given, s)
		}
	}
	return given
}

// applySettings sets what the command line gives.
func applySettings(cfg *run.Config, ctx *cli.Context) error {
	for _, s := range givenSettings(ctx) {
		values := []string{ctx.String(s.Flag)}
		switch {
		case s.Repeated():
			values = ctx.StringSlice(s.Flag)
		case s.Type() == "true or false":
			values = []string{fmt.Sprint(ctx.Bool(s.Flag))}
		}
		if err := s.Set(cfg, values...); err != nil {
			return console.Usagef("%w", byFlag(err))
		}
	}
	if n := cfg.Threads; ctx.IsSet("threads") && (n < 0 || n > train.MaxThreads) {
		return console.Usagef("--threads: %d is not between 0 (all cores) and %d", n, train.MaxThreads)
	}
	return nil
}

// trainConfig returns the configuration that the flags describe, on top of the
// file that --config names, defaults written out and validated.
func trainConfig(ctx *cli.Context) (run.Config, error) {
	var cfg run.Config
	path := ctx.String("config")
	if path != "" {
		var err error
		if cfg, err = run.ReadConfig(path); err != nil {
			return run.Config{}, err
		}
	}
	if err := applySettings(&cfg, ctx); err != nil {
		return run.Config{}, err
	}
	cfg = cfg.WithDefaults()
	switch err := cfg.Validate(); {
	case err == nil:
		return cfg, nil
	case path == "":
		return run.Config{}, fmt.Errorf("the command line describes no run:\n%w", byFlag(err))
	default:
		return run.Config{}, fmt.Errorf("%s describes no run:\n%w", path, err)
	}
}

// changeResumed makes the changes that the command line wants of a run that goes
// on.
func changeResumed(cfg *run.Config, ctx *cli.Context) error {
	for _, s := range givenSettings(ctx) {
		if !s.Resume {
			return console.Usagef("--resume takes its settings from %s: drop --%s", ctx.String("resume"), s.Flag)
		}
	}
	if ctx.IsSet("config") {
		return console.Usagef("--resume takes its settings from %s: drop --config", ctx.String("resume"))
	}
	return applySettings(cfg, ctx)
}

// byFlag names the flags in place of the keys of wrong settings, for a user who
// has written no key.
func byFlag(err error) error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, byFlag(e))
		}
		return errors.Join(out...)
	}
	fault := (*train.SettingError)(nil)
	if !errors.As(err, &fault) {
		return err
	}
	s, _ := run.SettingOf(fault.Key)
	if s.Flag == "" {
		return err
	}
	name := "--" + s.Flag
	var i int
	if n, _ := fmt.Sscanf(fault.Key, "students[%d]", &i); n == 1 {
		name = fmt.Sprintf("%s number %d", name, i+1)
	}
	return fmt.Errorf("%s: %w", name, fault.Err)
}
