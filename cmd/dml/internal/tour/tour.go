// Package tour holds the verb demo.
package tour

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/demo"
	"github.com/deepmutual/dml/cmd/dml/internal/training"
	"github.com/deepmutual/dml/train"
)

// Command is dml demo.
func Command(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "demo",
		Usage:     "train, export and try two students on built-in data; re-identify people",
		UsageText: "dml demo [--out DIR] [--epochs N] [--reid-epochs N] [--seed N] [flags]",
		Description: "Trains two small students on a part of MNIST, independently and by deep mutual\n" +
			"learning, from the same initial weights and on the same mini-batches; exports all four to\n" +
			"ONNX, and compares them in ONNX Runtime on test images. So few images tell the two ways of\n" +
			"training apart on average only: with other seeds the results differ by a few per mille.\n" +
			"Then draws pedestrians who walk past cameras, lets two students learn together to tell\n" +
			"some of them apart, and looks for the others, whom they have never seen, in a gallery: by\n" +
			"the students' features, and by the images' pixels to compare. Writes a page to look at.\n" +
			"Example:  dml demo --out tour",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Value: "runs/demo", Usage: "write the ONNX files, a test image, the synthetic pedestrians and ranking.html into `DIR`"},
			&cli.IntFlag{Name: "epochs", Value: 15, Usage: "`N` passes over the digits"},
			&cli.IntFlag{Name: "reid-epochs", DefaultText: fmt.Sprintf("%d; %d on the reference kernels", demo.PeopleEpochs, slowEpochs),
				Usage: "`N` passes over the pedestrians; 0 leaves them out"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`N` decides initial weights and order, and what is drawn"},
			&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "train and validate on `N` of the 2,000 digits, and N of the 960 drawn images"},
			training.BackendFlag(),
			console.QuietFlag(),
		},
		Action: func(ctx *cli.Context) error { return runDemo(c, ctx) },
	}
}

// slowEpochs is how long to train on pedestrians where kernels are slow: enough
// to see that it works.
const slowEpochs = 2

func runDemo(c *console.Console, ctx *cli.Context) error {
	if err := console.NoArguments(ctx); err != nil {
		return err
	}
	if ctx.Uint64("seed") == 0 {
		return console.Usagef("--seed cannot be 0; leave it out for the default")
	}
	if ctx.Int("epochs") < 1 || ctx.Int("reid-epochs") < 0 || ctx.Int("limit") < 0 {
		return console.Usagef("--epochs must be positive, --reid-epochs and --limit not negative")
	}
	backend, err := training.OpenBackend(c, ctx.String("backend"))
	if err != nil {
		return err
	}
	var show training.Progress = training.Silent{}
	defer func() { show.Finish() }()
	opts := demo.Options{
		Out: ctx.String("out"), Epochs: ctx.Int("epochs"), Seed: ctx.Uint64("seed"), Limit: ctx.Int("limit"),
		Backend: backend, Version: console.Version(),
		Stage: func(title string, cfg *train.Config) train.Events {
			show.Finish()
			show = training.Silent{}
			if !ctx.Bool("quiet") {
				c.Say("%s", title)
			}
			if cfg != nil {
				show = training.NewProgress(c.Stderr, ctx.Bool("quiet"), *cfg)
			}
			return train.Events{Step: show.Step, Epoch: show.Epoch}
		},
	}
	digits, err := demo.Run(ctx.Context, opts)
	if err != nil {
		return err
	}
	if err := printDigits(c, digits, opts); err != nil {
		return err
	}
	opts.Epochs = demo.PeopleEpochs
	if backend.Name == "ref" {
		opts.Epochs = slowEpochs
	}
	if ctx.IsSet("reid-epochs") {
		opts.Epochs = ctx.Int("reid-epochs")
	}
	if opts.Epochs == 0 {
		return nil
	}
	people, err := demo.RunPeople(ctx.Context, opts)
	if err != nil {
		return err
	}
	return printPeople(c, people, opts)
}

func printDigits(c *console.Console, result demo.Result, opts demo.Options) error {
	rows := [][]string{{"STUDENT", "PARAMETERS", "INDEPENDENT", "DML"}}
	for _, s := range result.Students {
		rows = append(rows, []string{s.Name + " (" + s.Arch + ")", console.Grouped(s.Parameters), console.Percent(s.Independent), console.Percent(s.DML)})
	}
	rows = append(rows, []string{"ensemble", "", console.Percent(result.Independent), console.Percent(result.DML)})
	fmt.Fprintf(c.Stdout, "Accuracy on %s, by ONNX Runtime, after training on %s (seed %d):\n",
		console.Count(result.TestImages, "test image"), console.Count(result.TrainImages, "image"), opts.Seed)
	if err := console.Table(c.Stdout, rows); err != nil {
		return err
	}
	files := append(result.IndependentFiles, result.DMLFiles...)
	fmt.Fprintf(c.Stdout, "ONNX files:\n  %s\n", strings.Join(files, "\n  "))
	try := append(append([]string{"infer"}, result.DMLFiles...), result.SampleFile)
	_, err := fmt.Fprintf(c.Stdout, "A test image, of the class %s:\n  %s\nTry the ensemble on it:  %s\n", result.SampleClass, result.SampleFile, c.Command(try...))
	return err
}

func printPeople(c *console.Console, result demo.People, opts demo.Options) error {
	rows := [][]string{{"FEATURES OF", "PARAMETERS", "mAP", "RANK 1"}}
	for _, r := range result.Rows {
		name, parameters := r.Name, ""
		if r.Arch != "" {
			name, parameters = r.Name+" ("+r.Arch+")", console.Grouped(r.Parameters)
		}
		rows = append(rows, []string{name, parameters, console.Percent(r.MAP), console.Percent(r.CMC[1])})
	}
	fmt.Fprintf(c.Stdout, "\nPeople re-identified, by %s queries in a gallery of %s, after mutual learning on %s of %d others (seed %d):\n",
		console.Grouped(result.Queries), console.Count(result.Others, "image"), console.Count(result.TrainImages, "image"), result.Identities, opts.Seed)
	if err := console.Table(c.Stdout, rows); err != nil {
		return err
	}
	evaluate := append(append([]string{"reid", "eval"}, result.Files...), "--data", result.Data)
	_, err := fmt.Fprintf(c.Stdout, "ONNX files:\n  %s\nSynthetic pedestrians:\n  %s\nThe worst queries and what was found; open in a browser:\n  %s\nEvaluate again, in full:  %s\n",
		strings.Join(result.Files, "\n  "), result.Data, result.Ranking, c.Command(evaluate...))
	return err
}
