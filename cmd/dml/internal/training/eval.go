package training

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/train"
)

// EvalCommand is dml eval.
func EvalCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "eval",
		Usage:     "measure students and their ensemble on labelled data",
		UsageText: "dml eval RUN [--data PATH] [flags]\ndml eval MODEL.onnx... --data PATH [flags]",
		Description: "Prints accuracy, negative log-likelihood (nats) and mean posterior entropy (nats) of each\n" +
			"student and of the ensemble, the mean of their posteriors. A run is evaluated by the\n" +
			"training code, ONNX files by --engine. A run's own data is divided as in training;\n" +
			"of other data a folder without parts is measured as a whole, unless --split divides it.\n" +
			"Examples:\n" +
			"  dml eval runs/dml-resnet20-resnet8 --data cifar10/ --split test\n" +
			"  dml eval runs/dml-resnet20-resnet8/onnx/*.onnx --data cifar10/ --json",
		Flags: append([]cli.Flag{
			&cli.StringFlag{Name: "data", DefaultText: "that of the run", Usage: "evaluate on `PATH`"},
			&cli.StringFlag{Name: "kind", DefaultText: "recognised", Usage: kindUsage()},
			&cli.StringFlag{Name: "split", DefaultText: "test, or val where a run's data has none; all of other data without parts",
				Usage: "`PART` of the data: train, val, test, or all (a folder without parts)"},
			&cli.Uint64Flag{Name: "seed", Value: 1, DefaultText: "that of the run, else 1", Usage: "`N` that decided the split of a flat image folder"},
			&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "evaluate on `N` images only"},
			CheckpointFlag(),
			&cli.IntFlag{Name: "batch", Value: 64, Usage: "`N` images at a time"},
			BackendFlag(),
			console.JSONFlag(),
		}, inference.ComputeFlags()...),
		Action: func(ctx *cli.Context) error { return runEval(c, ctx) },
	}
}

// CheckpointFlag chooses one of a student's checkpoints; see WhichCheckpoint.
func CheckpointFlag() cli.Flag {
	return &cli.StringFlag{Name: "checkpoint", Value: run.Best, Usage: "take the run's `best|last` students"}
}

// WhichCheckpoint returns the value of checkpointFlag.
func WhichCheckpoint(ctx *cli.Context) (string, error) {
	which := ctx.String("checkpoint")
	if which != run.Best && which != run.Last {
		return "", console.Usagef("--checkpoint: %q is unknown; use %s or %s", which, run.Best, run.Last)
	}
	return which, nil
}

func runEval(c *console.Console, ctx *cli.Context) error {
	which, err := WhichCheckpoint(ctx)
	if err != nil {
		return err
	}
	if split := ctx.String("split"); ctx.IsSet("split") && !slices.Contains([]string{"train", "val", "test", run.SplitAll}, split) {
		return console.Usagef("--split: %q is unknown; use train, val, test, or all (a folder without parts)", split)
	}
	if n := ctx.Int("batch"); n < 1 || n > console.MaxBatch {
		return console.Usagef("--batch: %d is not between 1 and %d", n, console.MaxBatch)
	}
	if ctx.Int("limit") < 0 {
		return console.Usagef("--limit: %d is negative", ctx.Int("limit"))
	}
	if err := console.CheckThreads(ctx); err != nil {
		return err
	}
	paths := ctx.Args().Slice()
	if len(paths) == 0 {
		return console.Usagef("eval needs a run's folder or ONNX files")
	}
	info, err := os.Stat(paths[0])
	if errors.Is(err, fs.ErrNotExist) && !strings.EqualFold(filepath.Ext(paths[0]), ".onnx") {
		return fmt.Errorf("%s: no such run or model", paths[0])
	}
	opts := run.EvaluateOptions{
		Data: ctx.String("data"), Kind: dataset.Kind(ctx.String("kind")), Split: ctx.String("split"), Limit: ctx.Int("limit"),
		Checkpoint: which, Batch: ctx.Int("batch"), Threads: ctx.Int("threads"),
	}
	if ctx.IsSet("seed") {
		opts.Seed = ctx.Uint64("seed")
	}
	var result run.Evaluation
	if err == nil && info.IsDir() {
		if len(paths) > 1 {
			return console.Usagef("eval takes one run's folder, or ONNX files")
		}
		if ctx.IsSet("engine") || ctx.IsSet("provider") {
			return console.Usagef("--engine and --provider are for ONNX files: a run is evaluated by the training code, see --backend")
		}
		result, err = evalRun(c, ctx, paths[0], opts)
	} else {
		result, err = evalModels(ctx, paths, opts)
	}
	if err != nil {
		return err
	}
	sayData(c, result.Report)
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, result)
	}
	return printEvaluation(c, result)
}

func printEvaluation(c *console.Console, e run.Evaluation) error {
	part := e.Split + " part"
	if e.Split == run.SplitAll {
		part = "all"
	}
	if _, err := fmt.Fprintf(c.Stdout, "On %s, %s of %s:\n", console.Count(e.Images, "image"), part, e.Data); err != nil {
		return err
	}
	rows := [][]string{{"STUDENT", "ACCURACY", "NLL", "ENTROPY"}}
	add := func(name string, s train.Scores) {
		rows = append(rows, []string{name, console.Percent(s.Accuracy), fmt.Sprintf("%.4f", s.NLL), fmt.Sprintf("%.4f", s.Entropy)})
	}
	for _, s := range e.Students {
		add(s.Name, s.Scores)
	}
	if len(e.Students) > 1 {
		add("ensemble", e.Ensemble)
	}
	return console.Table(c.Stdout, rows)
}

// evalRun evaluates the students of a run with the training code.
func evalRun(c *console.Console, ctx *cli.Context, path string, opts run.EvaluateOptions) (run.Evaluation, error) {
	r, err := run.Open(path)
	if err != nil {
		return run.Evaluation{}, err
	}
	if opts.Backend, err = OpenBackend(c, cmp.Or(ctx.String("backend"), r.Config().Backend)); err != nil {
		return run.Evaluation{}, err
	}
	result, err := r.Evaluate(ctx.Context, opts)
	if err == nil && result.Chosen {
		c.Say("note: %s has no test part; these are the images that the best checkpoints were chosen on (--split val)", result.Data)
	}
	return result, err
}

// evalModels evaluates ONNX files.
func evalModels(ctx *cli.Context, paths []string, opts run.EvaluateOptions) (run.Evaluation, error) {
	if !ctx.IsSet("data") {
		return run.Evaluation{}, console.Usagef("eval of ONNX files needs --data")
	}
	compute, err := inference.ComputeOptions(ctx)
	if err != nil {
		return run.Evaluation{}, err
	}
	model, err := inference.Open(paths, compute)
	if err != nil {
		return run.Evaluation{}, err
	}
	defer model.Close()
	return run.EvaluateModels(ctx.Context, model, studentNames(paths), opts)
}

// studentNames are the files' names without extension, or their paths where
// two names are the same.
func studentNames(paths []string) []string {
	names := make([]string, len(paths))
	seen := make(map[string]bool)
	for i, path := range paths {
		names[i] = strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if seen[names[i]] {
			return paths
		}
		seen[names[i]] = true
	}
	return names
}
