package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/internal/demo"
	"github.com/deepmutual/dml/train"
)

func (c *console) demoCommand() *cli.Command {
	return &cli.Command{
		Name:      "demo",
		Usage:     "train, export and serve two students on built-in data",
		UsageText: "dml demo [--out DIR] [--epochs N] [--seed N] [flags]",
		Description: "Trains two small students on a part of MNIST, independently and by deep mutual\n" +
			"learning, from the same initial weights and on the same mini-batches; exports all four to\n" +
			"ONNX, and compares them in ONNX Runtime on test images. So few images tell the two ways of\n" +
			"training apart on average only: with other seeds the results differ by a few per mille.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Value: "runs/demo", Usage: "write the ONNX files and a test image into `DIR`"},
			&cli.IntFlag{Name: "epochs", Value: 15, Usage: "`N` passes over the training images"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`N` decides initial weights and order"},
			&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "train and validate on `N` of the 2,000 images"},
			backendFlag(),
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, DisableDefaultText: true, Usage: "show no progress"},
		},
		Action: c.demo,
	}
}

func (c *console) demo(ctx *cli.Context) error {
	if err := noArguments(ctx); err != nil {
		return err
	}
	if ctx.Uint64("seed") == 0 {
		return usagef("--seed cannot be 0; leave it out for the default")
	}
	if ctx.Int("epochs") < 1 || ctx.Int("limit") < 0 {
		return usagef("--epochs must be positive, --limit not negative")
	}
	backend, err := c.backend(ctx.String("backend"))
	if err != nil {
		return err
	}
	var show progress = silent{}
	result, err := demo.Run(ctx.Context, demo.Options{
		Out: ctx.String("out"), Epochs: ctx.Int("epochs"), Seed: ctx.Uint64("seed"), Limit: ctx.Int("limit"),
		Backend: backend, Version: version(),
		Stage: func(title string, cfg *train.Config) train.Events {
			show.finish()
			show = silent{}
			if !ctx.Bool("quiet") {
				c.say("%s", title)
			}
			if cfg != nil {
				show = newProgress(c.stderr, ctx.Bool("quiet"), *cfg)
			}
			return train.Events{Step: show.step, Epoch: show.epoch}
		},
	})
	show.finish()
	if err != nil {
		return err
	}
	rows := [][]string{{"STUDENT", "PARAMETERS", "INDEPENDENT", "DML"}}
	for _, s := range result.Students {
		rows = append(rows, []string{s.Name + " (" + s.Arch + ")", grouped(s.Parameters), percent(s.Independent), percent(s.DML)})
	}
	rows = append(rows, []string{"ensemble", "", percent(result.Independent), percent(result.DML)})
	fmt.Fprintf(c.stdout, "Accuracy on %s, by ONNX Runtime, after training on %s (seed %d):\n",
		count(result.TestImages, "test image"), count(result.TrainImages, "image"), ctx.Uint64("seed"))
	if err := table(c.stdout, rows); err != nil {
		return err
	}
	files := append(result.IndependentFiles, result.DMLFiles...)
	fmt.Fprintf(c.stdout, "ONNX files:\n  %s\n", strings.Join(files, "\n  "))
	try := append(append([]string{"infer"}, result.DMLFiles...), result.SampleFile)
	_, err = fmt.Fprintf(c.stdout, "A test image, of the class %s:\n  %s\nTry the ensemble on it:  %s\n", result.SampleClass, result.SampleFile, c.command(try...))
	return err
}
