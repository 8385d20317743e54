// Package training holds the verbs about students before they are exported:
// train, eval and models.
package training

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/run/rundir"
	"github.com/deepmutual/dml/run/warmstart"
	"github.com/deepmutual/dml/train"
)

// referenceSamples is how many preprocessed samples a run keeps for verifying
// its exports.
const referenceSamples = 16

// TrainCommand is dml train.
func TrainCommand(c *console.Console) *cli.Command {
	flags := []cli.Flag{
		&cli.StringFlag{Name: "config", Usage: "read the run from a YAML `FILE`; flags override it"},
		&cli.StringFlag{Name: "resume", Usage: "continue the run in folder `RUN`, with its settings"},
		&cli.StringFlag{Name: "out", Value: "runs", Usage: "put the run's folder into `DIR`"},
		&cli.BoolFlag{Name: "allow-drift", DisableDefaultText: true, Usage: "resume with other threads, or another backend, library or processor, though results then differ"},
		&cli.BoolFlag{Name: "dry-run", DisableDefaultText: true, Usage: "make a few steps, print memory and time that the run will take, and write nothing"},
		console.QuietFlag(),
		&cli.BoolFlag{Name: "init-table", DisableDefaultText: true, Usage: "show what became of each parameter of a student with --init"},
	}
	return &cli.Command{
		Name:  "train",
		Usage: "train a cohort of students",
		UsageText: "dml train --data PATH --student ARCH --student ARCH [flags]\n" +
			"dml train --config FILE.yaml [flags]\n" +
			"dml train --resume RUN [--time D] [--patience N] [--max-steps N] [--threads N --allow-drift]",
		Description: "Examples:\n" +
			"  dml train --data mnist/ --student convnet --student convnet --epochs 5\n" +
			"  dml train --data cifar10/ --student resnet32 --student resnet32 --epochs 200 --lr-step 60 --flip --pad-crop 4\n" +
			"  dml train --data photos/ --size 64x64 --student big=resnet32 --student small=resnet8\n" +
			"  dml train --data cifar10/ --student a=resnet20 --student b=resnet8 --init a=pretrained.onnx\n" +
			"  dml train --data Market-1501/ --size 160x64 --flip --erase 0.5 --student mobilenet --student mobilenet\n" +
			"The run's folder, runs/NAME, holds config.yaml, metrics.jsonl, results.csv and each\n" +
			"student's best.ckpt and last.ckpt. Ctrl-C stops after the step with the state saved.",
		Flags:  append(flags, settingFlags()...),
		Action: func(ctx *cli.Context) error { return runTrain(c, ctx) },
	}
}

func runTrain(c *console.Console, ctx *cli.Context) error {
	if err := console.NoArguments(ctx); err != nil {
		return err
	}
	var cfg run.Config
	var dir *rundir.Dir
	var sources map[string]*warmstart.Source // of initial weights
	var err error
	if path := ctx.String("resume"); path != "" {
		if ctx.Bool("dry-run") {
			return console.Usagef("--dry-run writes nothing, --resume continues a run: drop one")
		}
		for _, name := range []string{"out", "init-table"} {
			if ctx.IsSet(name) {
				return console.Usagef("--%s is for a run that begins, --resume continues one: drop one", name)
			}
		}
		if dir, err = rundir.Resume(path); err != nil {
			return err
		}
		defer dir.Close()
		if cfg, err = resumedConfig(dir.Config(), ctx); err != nil {
			return err
		}
	} else {
		if ctx.Bool("allow-drift") {
			return console.Usagef("--allow-drift is for --resume")
		}
		if len(givenSettings(ctx)) == 0 && !ctx.IsSet("config") {
			return console.Usagef("train needs --data and --student, or --config, or --resume")
		}
		if cfg, err = trainConfig(ctx); err != nil {
			return err
		}
		if err := makeAbsolute(&cfg); err != nil {
			return err
		}
		if sources, err = warmstart.OpenAll(&cfg); err != nil {
			return err
		}
	}
	data, err := cfg.OpenData()
	if err != nil {
		return err
	}
	backend, err := OpenBackend(c, cfg.Backend)
	if err != nil {
		return err
	}
	teacher, teacherFile, err := openTeacher(cfg, backend)
	if err != nil {
		return err
	}
	defer teacherFile.Close()
	values, opts, err := cfg.Training(data)
	if err != nil {
		return fmt.Errorf("training on %s: %w", cfg.Data.Path, err)
	}
	opts.Backend, opts.Teacher, opts.AllowDrift = backend, teacher, ctx.Bool("allow-drift")
	session, err := train.New(values, data, opts)
	if err != nil {
		return fmt.Errorf("training on %s: %w", cfg.Data.Path, err)
	}
	defer session.Close()
	reports, err := warmStart(c, session, sources, ctx.Bool("init-table"))
	if err != nil {
		return err
	}
	if ctx.Bool("dry-run") {
		warn(c, session)
		return dryRun(c, ctx.Context, session, cfg)
	}
	if dir != nil {
		if err := restore(c, session, dir, cfg); err != nil {
			return err
		}
	} else {
		if dir, err = createRun(c, ctx.Context, ctx.String("out"), cfg, session, reports); err != nil {
			return err
		}
		defer dir.Close()
	}
	return runSession(c, ctx.Context, session, dir, ctx.Bool("quiet"))
}

// restore takes a run up where it stopped, and says and records what was in the
// way.
func restore(c *console.Console, session *train.Session, dir *rundir.Dir, cfg run.Config) error {
	states, recovery, err := dir.Recover(session.Accepts)
	if errors.Is(err, train.ErrOtherRun) {
		return fmt.Errorf("%w. Undo that in its config.yaml or in the data, or begin another run with another --name", err)
	}
	if err != nil {
		return err
	}
	event := rundir.Event{Epoch: recovery.Epoch, Step: recovery.Step}
	record := func(name, detail string) error {
		event.Event, event.Detail = name, detail
		return dir.Record(event)
	}
	for _, refused := range recovery.Refused {
		c.Say("refused: %v; it is kept with .refused added to its name", refused)
		if err := record("refused", refused.Error()); err != nil {
			return err
		}
	}
	if recovery.Refused != nil {
		c.Say("%s: going on from the last good checkpoints, of epoch %d, step %d", dir.Path(), recovery.Epoch, recovery.Step)
	}
	if err := session.Restore(states); errors.Is(err, train.ErrDrift) {
		return fmt.Errorf("%s: %w. Resume it where and as it was trained, or say --allow-drift", dir.Path(), err)
	} else if err != nil {
		return fmt.Errorf("%s: %w", dir.Path(), err)
	}
	if drift := session.Drift(states[0]); drift != nil {
		c.Say("--allow-drift: %v", drift)
		if err := errors.Join(record("drift", drift.Error()), dir.SetMachine(session.Machine())); err != nil {
			return err
		}
	}
	if recovery.Epoch >= cfg.Epochs {
		c.Say("%s: already finished, with %s", dir.Path(), console.Count(cfg.Epochs, "epoch"))
		return nil
	}
	return record("resumed", "")
}

// makeAbsolute lets a run be resumed and evaluated from any folder.
func makeAbsolute(cfg *run.Config) error {
	paths := []*string{&cfg.Data.Path}
	if cfg.Teacher.Path != "" {
		paths = append(paths, &cfg.Teacher.Path)
	}
	for i := range cfg.Students {
		if arch := &cfg.Students[i].Arch; models.IsFile(*arch) {
			paths = append(paths, arch)
		}
	}
	for _, path := range paths {
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	for _, s := range cfg.Students {
		if !models.IsFile(s.Arch) {
			continue
		}
		if _, err := models.Find(s.Arch); err != nil { // before the data are read
			return err
		}
	}
	return nil
}

// createRun makes the folder of a run, with the state before the first step in
// it, so that whatever happens next the run can be resumed. On an error a
// folder that was not there before is removed.
func createRun(c *console.Console, ctx context.Context, parent string, cfg run.Config, session *train.Session, reports map[string]any) (*rundir.Dir, error) {
	path := filepath.Join(parent, cfg.Name)
	_, statErr := os.Stat(path)
	// What the defaults of this machine were, a resume on another restores.
	cfg.Threads, cfg.Backend = session.Machine().Threads, session.Machine().Backend
	dir, err := rundir.Create(parent, cfg)
	if errors.Is(err, rundir.ErrBusy) {
		return nil, fmt.Errorf("%w: wait for it, or choose another --name", err)
	}
	if errors.Is(err, rundir.ErrExists) {
		return nil, fmt.Errorf("%w: choose another --name, or continue it with %s", err, c.Command("train", "--resume", path))
	}
	if err != nil {
		return nil, err
	}
	if err := beginRun(ctx, dir, session, reports); err != nil {
		if errors.Is(statErr, os.ErrNotExist) {
			return nil, errors.Join(err, dir.Discard())
		}
		return nil, errors.Join(err, dir.Close())
	}
	return dir, nil
}

func beginRun(ctx context.Context, dir *rundir.Dir, session *train.Session, reports map[string]any) error {
	states := session.States()
	inputs, n, err := session.Reference(ctx, referenceSamples)
	if err != nil {
		return err
	}
	if err := dir.WriteReference(inputs, n, states[0].Network.Input); err != nil {
		return err
	}
	if err := dir.WriteInit(reports); err != nil {
		return err
	}
	return dir.Begin(states)
}

// warn prints what is probably a mistake.
func warn(c *console.Console, session *train.Session) {
	for _, warning := range session.Warnings() {
		c.Say("warning: %s", warning)
	}
}

// runSession trains to the end or to an interrupt, and prints the result.
func runSession(c *console.Console, ctx context.Context, session *train.Session, dir *rundir.Dir, quiet bool) error {
	resume := c.Command("train", "--resume", dir.Path())
	warn(c, session)
	show := NewProgress(c.Stderr, quiet, session.Config())
	sum, err := session.Run(ctx, dir, train.Events{Step: show.Step, Epoch: show.Epoch})
	show.Finish()
	if diverged := (*train.DivergedError)(nil); errors.As(err, &diverged) {
		epoch, step, savedErr := dir.Saved()
		recordErr := dir.Record(rundir.Event{Event: "diverged", Epoch: diverged.Epoch - 1, Step: diverged.Step, Detail: err.Error()})
		return errors.Join(fmt.Errorf("%w. Train again under another --name; the last good checkpoint, of epoch %d, step %d, is %s",
			err, epoch, step, dir.Checkpoint(diverged.Student, rundir.Last)), savedErr, recordErr)
	}
	if err != nil {
		return fmt.Errorf("%w\nThe state is saved in %s; once this is mended, continue with: %s", err, dir.Path(), resume)
	}
	if sum.Stopped != "" {
		epoch, step, err := dir.Saved()
		if err != nil {
			return err
		}
		if err := dir.Record(rundir.Event{Event: "stopped", Epoch: epoch, Step: step, Detail: string(sum.Stopped)}); err != nil {
			return err
		}
	}
	switch sum.Stopped {
	case train.StopInterrupt:
		return fmt.Errorf("interrupted in epoch %d, with the state saved; to continue: %s", sum.Epoch+1, resume)
	case train.StopTime:
		c.Say("stopped in epoch %d, as the time was over, with the state saved; to continue: %s", sum.Epoch+1, resume)
	case train.StopMaxSteps:
		c.Say("stopped after step %d, with the state saved; to continue: %s --max-steps N", sum.Step, resume)
	case train.StopPatience:
		c.Say("stopped after epoch %d, as no student got better any more, with the state saved; to continue: %s --patience N", sum.Epoch, resume)
	}
	if sum.Epoch == 0 { // nothing has been validated yet
		return nil
	}
	if err := dir.WriteResults(sum); err != nil {
		return err
	}
	rows := [][]string{{"STUDENT", "ARCHITECTURE", "PARAMETERS", "BEST EPOCH", "BEST VALIDATION", "LAST VALIDATION", "NLL", "ENTROPY"}}
	for _, s := range sum.Students {
		rows = append(rows, []string{s.Name, s.Arch, console.Grouped(s.Parameters), strconv.Itoa(s.BestEpoch),
			console.Percent(s.Best.Accuracy), console.Percent(s.Last.Accuracy), fmt.Sprintf("%.4f", s.Last.NLL), fmt.Sprintf("%.4f", s.Last.Entropy)})
	}
	if len(sum.Students) > 1 {
		rows = append(rows, []string{"ensemble", "", "", "", "", console.Percent(sum.Ensemble.Accuracy),
			fmt.Sprintf("%.4f", sum.Ensemble.NLL), fmt.Sprintf("%.4f", sum.Ensemble.Entropy)})
	}
	if err := console.Table(c.Stdout, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Stdout, "next: %s\n", c.Command("export", dir.Path()))
	for _, s := range sum.Students {
		if s.Last.OneClass {
			c.Say("note: %s takes every validation image for the same class; try a lower --lr, a smaller --batch, or more --epochs", s.Name)
		}
	}
	return err
}
