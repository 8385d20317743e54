// Package training holds the verbs about students before they are exported:
// train, eval and models.
package training

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/run/warmstart"
	"github.com/deepmutual/dml/train"
)

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
		&cli.BoolFlag{Name: "init-partial", DisableDefaultText: true, Usage: "take a file of --init that fits less than half of its student, or computes something else"},
	}
	return &cli.Command{
		Name:  "train",
		Usage: "train a cohort of students",
		UsageText: "dml train --data PATH --student ARCH --student ARCH [flags]\n" +
			"dml train --config FILE.yaml [flags]\n" +
			"dml train --resume RUN [--epochs N] [--data PATH] [--time D] [--patience N] [--max-steps N] [--threads N --allow-drift]",
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
	if path := ctx.String("resume"); path != "" {
		return resume(c, ctx, path)
	}
	if ctx.Bool("allow-drift") {
		return console.Usagef("--allow-drift is for --resume")
	}
	if len(givenSettings(ctx)) == 0 && !ctx.IsSet("config") {
		return console.Usagef("train needs --data and --student, or --config, or --resume")
	}
	cfg, err := trainConfig(ctx)
	if err != nil {
		return err
	}
	if ctx.Bool("dry-run") {
		return dryRun(c, ctx, cfg)
	}
	r, err := run.Start(ctx.Context, cfg, run.Options{Folder: ctx.String("out"), InitPartial: ctx.Bool("init-partial")})
	switch {
	case errors.Is(err, warmstart.ErrPartial), errors.Is(err, warmstart.ErrOutputs):
		return adviseInit(err)
	case errors.Is(err, run.ErrBusy):
		return fmt.Errorf("%w: wait for it, or choose another --name", err)
	case errors.Is(err, run.ErrExists):
		return fmt.Errorf("%w: choose another --name, or continue it with %s", err, c.Command("train", "--resume", filepath.Join(ctx.String("out"), cfg.Name)))
	case err != nil:
		return err
	}
	defer r.Close()
	sayFallback(c, r.Backend())
	if !ctx.Bool("quiet") {
		sayData(c, r.Data())
	}
	if err := sayInitial(c, r.Initial(), ctx.Bool("init-table")); err != nil {
		return err
	}
	return trainRun(c, ctx.Context, r, ctx.Bool("quiet"))
}

// resume takes a run up where it stopped, and says what was in the way.
func resume(c *console.Console, ctx *cli.Context, path string) error {
	if ctx.Bool("dry-run") {
		return console.Usagef("--dry-run writes nothing, --resume continues a run: drop one")
	}
	for _, name := range []string{"out", "init-table", "init-partial"} {
		if ctx.IsSet(name) {
			return console.Usagef("--%s is for a run that begins, --resume continues one: drop one", name)
		}
	}
	r, err := run.Resume(path, run.Options{
		Change:     func(cfg *run.Config) error { return changeResumed(cfg, ctx) },
		AllowDrift: ctx.Bool("allow-drift"),
	})
	switch {
	case errors.Is(err, train.ErrOtherRun):
		return fmt.Errorf("%w. Undo that in its config.yaml or in the data, or begin another run with another --name", err)
	case errors.Is(err, train.ErrDrift):
		return fmt.Errorf("%w. Resume it where and as it was trained, or say --allow-drift", err)
	case err != nil:
		return byFlag(err)
	}
	defer r.Close()
	sayFallback(c, r.Backend())
	if !ctx.Bool("quiet") {
		sayData(c, r.Data())
	}
	found := r.Recovery()
	for _, refused := range found.Refused {
		c.Say("refused: %v; it is kept with .refused added to its name", refused)
	}
	if found.Refused != nil {
		c.Say("%s: going on from the last good checkpoints, of epoch %d, step %d", r.Path(), found.Epoch, found.Step)
	}
	if found.Drift != nil {
		c.Say("--allow-drift: %v", found.Drift)
	}
	if r.Finished() {
		c.Say("%s: already finished, with %s", r.Path(), console.Count(r.Config().Epochs, "epoch"))
	}
	return trainRun(c, ctx.Context, r, ctx.Bool("quiet"))
}

// trainRun trains to the end or to an interrupt, and prints the result.
func trainRun(c *console.Console, ctx context.Context, r *run.Run, quiet bool) error {
	resume := c.Command("train", "--resume", r.Path())
	warn(c, r.Training().Warnings())
	show := NewProgress(c.Stderr, quiet, r.Training().Config())
	sum, err := r.Train(ctx, train.Events{Step: show.Step, Epoch: show.Epoch})
	show.Finish()
	if diverged := (*train.DivergedError)(nil); errors.As(err, &diverged) {
		epoch, step, savedErr := r.Saved()
		return errors.Join(fmt.Errorf("%w. Train again under another --name; the last good checkpoint, of epoch %d, step %d, is %s",
			err, epoch, step, r.Checkpoint(diverged.Student, run.Last)), savedErr)
	}
	if err != nil {
		return fmt.Errorf("%w\nThe state is saved in %s; once this is mended, continue with: %s", err, r.Path(), resume)
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
	return printSummary(c, r.Path(), sum)
}

func printSummary(c *console.Console, path string, sum train.Summary) error {
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
	_, err := fmt.Fprintf(c.Stdout, "next: %s\n", c.Command("export", path))
	for _, s := range sum.Students {
		if s.Last.OneClass {
			c.Say("note: %s takes every validation image for the same class; try a lower --lr, a smaller --batch, or more --epochs", s.Name)
		}
	}
	return err
}

// warn prints what is probably a mistake.
func warn(c *console.Console, warnings []string) {
	for _, warning := range warnings {
		c.Say("warning: %s", warning)
	}
}
