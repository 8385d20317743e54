package training

import (
	"fmt"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/run"
)

// dryRunBudget is about how long a dry run trains.
const dryRunBudget = 10 * time.Second

// dryRun prints what a run will take, from a few real steps, and writes nothing.
func dryRun(c *console.Console, ctx *cli.Context, cfg run.Config) error {
	e, err := run.Measure(ctx.Context, cfg, dryRunBudget, run.Options{InitPartial: ctx.Bool("init-partial")})
	if err != nil {
		return adviseInit(err)
	}
	sayFallback(c, e.Backend)
	if err := sayInitial(c, e.Initial, ctx.Bool("init-table")); err != nil {
		return err
	}
	warn(c, e.Warnings)
	memory := "unknown on this system"
	if bytes := peakMemory(); bytes > 0 {
		memory = fmt.Sprintf("%.0f MiB", float64(bytes)/(1<<20))
	}
	until := console.Count(e.Config.Epochs, "epoch")
	if e.Total < e.Epoch*time.Duration(e.Config.Epochs) {
		until = "until it is stopped"
	}
	unit := time.Second
	if e.Total < 10*time.Second {
		unit = 10 * time.Millisecond
	}
	rows := [][]string{
		{"students", fmt.Sprintf("%d, %s, %s", len(e.Config.Students), e.Machine.Lineup, e.Machine.Backend)},
		{"memory", memory},
		{"step", fmt.Sprintf("%.4g s (mean of %d)", e.Step.Seconds(), e.Steps)},
		{"validation", fmt.Sprintf("%.3g s", e.Validation.Seconds())},
		{"epoch", fmt.Sprintf("%.4g s (%s and validation)", e.Epoch.Seconds(), console.Count(e.StepsPerEpoch, "step"))},
		{"total", fmt.Sprintf("%v (%s)", e.Total.Round(unit), until)},
	}
	if err := console.Table(c.Stdout, rows); err != nil {
		return err
	}
	c.Say("dry run: nothing was written")
	return nil
}
