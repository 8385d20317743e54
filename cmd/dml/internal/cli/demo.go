package cli

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/demo"
	"github.com/deepmutual/dml/train"
)

func (c *console) demoCommand() *cli.Command {
	return &cli.Command{
		Name:      "demo",
		Usage:     "train, export and serve two students on built-in data; find persons",
		UsageText: "dml demo [--out DIR] [--epochs N] [--reid-epochs N] [--seed N] [flags]",
		Description: "Trains two small students on a part of MNIST, independently and by deep mutual\n" +
			"learning, from the same initial weights and on the same mini-batches; exports all four to\n" +
			"ONNX, and compares them in ONNX Runtime on test images. So few images tell the two ways of\n" +
			"training apart on average only: with other seeds the results differ by a few per mille.\n" +
			"Then draws persons who walk past cameras, lets two students learn together to tell some\n" +
			"of them apart, and looks for the others, whom they have never seen, in a gallery: by the\n" +
			"students' features, and by the images' pixels to compare. Writes a page to look at.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "out", Value: "runs/demo", Usage: "write the ONNX files, a test image, the drawn persons and ranking.html into `DIR`"},
			&cli.IntFlag{Name: "epochs", Value: 15, Usage: "`N` passes over the digits"},
			&cli.IntFlag{Name: "reid-epochs", DefaultText: fmt.Sprintf("%d; %d on the reference kernels", demo.PersonsEpochs, slowEpochs),
				Usage: "`N` passes over the drawn persons; 0 leaves them out"},
			&cli.Uint64Flag{Name: "seed", Value: 1, Usage: "`N` decides initial weights and order, and what is drawn"},
			&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "train and validate on `N` of the 2,000 digits, and N of the 960 drawn images"},
			backendFlag(),
			quietFlag(),
		},
		Action: c.demo,
	}
}

// slowEpochs is how long to train on drawn persons where kernels are slow: enough
// to see that it works.
const slowEpochs = 2

func (c *console) demo(ctx *cli.Context) error {
	if err := noArguments(ctx); err != nil {
		return err
	}
	if ctx.Uint64("seed") == 0 {
		return usagef("--seed cannot be 0; leave it out for the default")
	}
	if ctx.Int("epochs") < 1 || ctx.Int("reid-epochs") < 0 || ctx.Int("limit") < 0 {
		return usagef("--epochs must be positive, --reid-epochs and --limit not negative")
	}
	backend, err := c.backend(ctx.String("backend"))
	if err != nil {
		return err
	}
	var show progress = silent{}
	defer func() { show.finish() }()
	opts := demo.Options{
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
	}
	digits, err := demo.Run(ctx.Context, opts)
	if err != nil {
		return err
	}
	if err := c.printDigits(digits, opts); err != nil {
		return err
	}
	opts.Epochs = demo.PersonsEpochs
	if backend.Name == "ref" {
		opts.Epochs = slowEpochs
	}
	if ctx.IsSet("reid-epochs") {
		opts.Epochs = ctx.Int("reid-epochs")
	}
	if opts.Epochs == 0 {
		return nil
	}
	persons, err := demo.RunPersons(ctx.Context, opts)
	if err != nil {
		return err
	}
	return c.printPersons(persons, opts)
}

func (c *console) printDigits(result demo.Result, opts demo.Options) error {
	rows := [][]string{{"STUDENT", "PARAMETERS", "INDEPENDENT", "DML"}}
	for _, s := range result.Students {
		rows = append(rows, []string{s.Name + " (" + s.Arch + ")", grouped(s.Parameters), percent(s.Independent), percent(s.DML)})
	}
	rows = append(rows, []string{"ensemble", "", percent(result.Independent), percent(result.DML)})
	fmt.Fprintf(c.stdout, "Accuracy on %s, by ONNX Runtime, after training on %s (seed %d):\n",
		count(result.TestImages, "test image"), count(result.TrainImages, "image"), opts.Seed)
	if err := table(c.stdout, rows); err != nil {
		return err
	}
	files := append(result.IndependentFiles, result.DMLFiles...)
	fmt.Fprintf(c.stdout, "ONNX files:\n  %s\n", strings.Join(files, "\n  "))
	try := append(append([]string{"infer"}, result.DMLFiles...), result.SampleFile)
	_, err := fmt.Fprintf(c.stdout, "A test image, of the class %s:\n  %s\nTry the ensemble on it:  %s\n", result.SampleClass, result.SampleFile, c.command(try...))
	return err
}

func (c *console) printPersons(result demo.Persons, opts demo.Options) error {
	rows := [][]string{{"FEATURES OF", "PARAMETERS", "mAP", "RANK 1"}}
	for _, r := range result.Rows {
		name, parameters := r.Name, ""
		if r.Arch != "" {
			name, parameters = r.Name+" ("+r.Arch+")", grouped(r.Parameters)
		}
		rows = append(rows, []string{name, parameters, percent(r.MAP), percent(r.CMC[1])})
	}
	fmt.Fprintf(c.stdout, "\nPersons found, by %s queries in a gallery of %s, after mutual learning on %s of %d others (seed %d):\n",
		grouped(result.Queries), count(result.Others, "image"), count(result.TrainImages, "image"), result.Identities, opts.Seed)
	if err := table(c.stdout, rows); err != nil {
		return err
	}
	evaluate := append(append([]string{"reid", "eval"}, result.Files...), "--data", result.Data)
	_, err := fmt.Fprintf(c.stdout, "ONNX files:\n  %s\nDrawn persons:\n  %s\nThe worst queries and what was found; open in a browser:\n  %s\nEvaluate again, in full:  %s\n",
		strings.Join(result.Files, "\n  "), result.Data, result.Ranking, c.command(evaluate...))
	return err
}
