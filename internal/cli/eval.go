package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/source"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/bridge"
	"github.com/deepmutual/dml/internal/score"
	"github.com/deepmutual/dml/train"
	"github.com/deepmutual/dml/train/rundir"
)

func (c *console) evalCommand() *cli.Command {
	return &cli.Command{
		Name:      "eval",
		Usage:     "measure students and their ensemble on labelled data",
		UsageText: "dml eval RUN --data PATH [flags]\ndml eval MODEL.onnx... --data PATH [flags]",
		Description: "Prints accuracy, negative log-likelihood (nats) and mean posterior entropy (nats) of each\n" +
			"student and of the ensemble, the mean of their posteriors. A run is evaluated by the\n" +
			"training code, ONNX files by ONNX Runtime.\n" +
			"Examples:\n" +
			"  dml eval runs/dml-resnet20-resnet8 --data cifar10/ --split test\n" +
			"  dml eval runs/dml-resnet20-resnet8/onnx/*.onnx --data cifar10/ --json",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "data", DefaultText: "that of the run", Usage: "evaluate on `PATH`"},
			&cli.StringFlag{Name: "kind", DefaultText: "recognised", Usage: "`FORMAT` of the data: mnist, cifar10, cifar100 or imagefolder"},
			&cli.StringFlag{Name: "split", Value: "test", Usage: "`PART` of the data: train, val or test; all of a folder without parts"},
			&cli.Uint64Flag{Name: "seed", Value: 1, DefaultText: "that of the run, else 1", Usage: "`N` that decided the split of a flat image folder"},
			&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "evaluate on `N` images only"},
			checkpointFlag(),
			&cli.IntFlag{Name: "batch", Value: 64, Usage: "`N` images at a time"},
			&cli.IntFlag{Name: "threads", DefaultText: "the processor's cores", Usage: "use `N` threads"},
			backendFlag(),
			jsonFlag(),
		},
		Action: c.eval,
	}
}

func checkpointFlag() cli.Flag {
	return &cli.StringFlag{Name: "checkpoint", Value: rundir.Best, Usage: "take the run's `best|last` students"}
}

// whichCheckpoint returns the value of checkpointFlag.
func whichCheckpoint(ctx *cli.Context) (string, error) {
	which := ctx.String("checkpoint")
	if which != rundir.Best && which != rundir.Last {
		return "", usagef("--checkpoint: %q is unknown; use %s or %s", which, rundir.Best, rundir.Last)
	}
	return which, nil
}

func (c *console) eval(ctx *cli.Context) error {
	which, err := whichCheckpoint(ctx)
	if err != nil {
		return err
	}
	if ctx.Int("batch") < 1 || ctx.Int("threads") < 0 || ctx.Int("limit") < 0 {
		return usagef("--batch must be positive, --threads and --limit not negative")
	}
	paths := ctx.Args().Slice()
	if len(paths) == 0 {
		return usagef("eval needs a run's folder or ONNX files")
	}
	var result train.Evaluation
	if info, err := os.Stat(paths[0]); err == nil && info.IsDir() {
		if len(paths) > 1 {
			return usagef("eval takes one run's folder, or ONNX files")
		}
		result, err = c.evalRun(ctx, paths[0], which)
		if err != nil {
			return err
		}
	} else if result, err = evalModels(ctx, paths); err != nil {
		return err
	}
	if ctx.Bool("json") {
		return writeJSON(c.stdout, result)
	}
	return c.printEvaluation(result)
}

func (c *console) printEvaluation(e train.Evaluation) error {
	rows := [][]string{{"STUDENT", "ACCURACY", "NLL", "ENTROPY"}}
	add := func(name string, s score.Scores) {
		rows = append(rows, []string{name, percent(s.Accuracy), fmt.Sprintf("%.4f", s.NLL), fmt.Sprintf("%.4f", s.Entropy)})
	}
	for _, s := range e.Students {
		add(s.Name, s.Scores)
	}
	if len(e.Students) > 1 {
		add("ensemble", e.Ensemble)
	}
	return table(c.stdout, rows)
}

// evalRun evaluates the students of a run with the training code.
func (c *console) evalRun(ctx *cli.Context, path, which string) (train.Evaluation, error) {
	dir, err := rundir.Open(path)
	if err != nil {
		return train.Evaluation{}, err
	}
	states, err := dir.LoadAll(which)
	if err != nil {
		return train.Evaluation{}, err
	}
	cfg := dir.Config()
	ds, err := runData(ctx, cfg)
	if err != nil {
		return train.Evaluation{}, err
	}
	if err := sameClasses(path, states[0].Classes, ds); err != nil {
		return train.Evaluation{}, err
	}
	backendName := cfg.Backend
	if ctx.IsSet("backend") {
		backendName = ctx.String("backend")
	}
	backend, err := c.backend(backendName)
	if err != nil {
		return train.Evaluation{}, err
	}
	return train.Evaluate(ctx.Context, states, ds, train.EvaluateOptions{
		Backend: backend, Threads: ctx.Int("threads"), Batch: ctx.Int("batch"),
	})
}

// runData opens the part of the data that the command line asks for: of the
// run's own data as the run divided it, of any other as it is.
func runData(ctx *cli.Context, cfg train.Config) (dataset.Dataset, error) {
	seed := cfg.Seed
	if ctx.IsSet("seed") {
		seed = ctx.Uint64("seed")
	}
	path := cfg.Data.Path
	if ctx.IsSet("data") {
		var err error
		if path, err = filepath.Abs(ctx.String("data")); err != nil {
			return nil, err
		}
	}
	if path != cfg.Data.Path || ctx.String("split") == splitAll {
		return otherData(ctx, path, seed)
	}
	cfg.Seed = seed
	data, err := openTrainingData(cfg)
	if err != nil {
		return nil, err
	}
	return part(ctx, data, path, seed)
}

// splitAll asks for all images of data that has no parts.
const splitAll = "all"

// otherData opens the part that the command line asks for of data that the
// students were not trained on.
func otherData(ctx *cli.Context, path string, seed uint64) (dataset.Dataset, error) {
	opts := source.Options{Kind: source.Kind(ctx.String("kind")), TestFraction: source.DefaultTestFraction, Seed: seed}
	if ctx.String("split") != splitAll {
		data, err := source.Open(path, opts)
		if err != nil {
			return nil, err
		}
		return part(ctx, data, path, seed)
	}
	opts.TestFraction = 0
	data, err := source.Open(path, opts)
	if err != nil {
		return nil, err
	}
	if data.Val != nil || data.Test != nil {
		return nil, fmt.Errorf("%s is divided into parts: choose one of them with --split", path)
	}
	return limited(ctx, data.Train, seed)
}

func part(ctx *cli.Context, data dataset.Splits, path string, seed uint64) (dataset.Dataset, error) {
	ds, err := data.Split(ctx.String("split"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return limited(ctx, ds, seed)
}

func limited(ctx *cli.Context, ds dataset.Dataset, seed uint64) (dataset.Dataset, error) {
	if n := ctx.Int("limit"); n > 0 {
		return dataset.Limit(ds, n, seed)
	}
	return ds, nil
}

// sameClasses reports classes that differ between a model and data. A class
// that is named by its number only matches any name.
func sameClasses(model string, classes []string, ds dataset.Dataset) error {
	if len(classes) != len(ds.Classes()) {
		return fmt.Errorf("%s tells %d classes apart, %s has %d", model, len(classes), ds.Name(), len(ds.Classes()))
	}
	for i, name := range ds.Classes() {
		number := strconv.Itoa(i)
		if name != classes[i] && name != number && classes[i] != number {
			return fmt.Errorf("class %d of %s is %q, of %s %q: evaluate on data with the same classes", i, model, classes[i], ds.Name(), name)
		}
	}
	return nil
}

// evalModels evaluates ONNX files with ONNX Runtime, on data prepared by the
// loader that trains.
func evalModels(ctx *cli.Context, paths []string) (train.Evaluation, error) {
	if !ctx.IsSet("data") {
		return train.Evaluation{}, usagef("eval of ONNX files needs --data")
	}
	cohort, err := infer.OpenCohort(paths, infer.Options{Threads: ctx.Int("threads")})
	if err != nil {
		return train.Evaluation{}, err
	}
	defer cohort.Close()
	ds, err := otherData(ctx, ctx.String("data"), ctx.Uint64("seed"))
	if err != nil {
		return train.Evaluation{}, err
	}
	if err := sameClasses(paths[0], cohort.Info().Classes, ds); err != nil {
		return train.Evaluation{}, err
	}
	var names []string
	for _, path := range paths {
		names = append(names, studentName(path, paths))
	}
	return bridge.EvaluateCohort(ctx.Context, cohort, names, ds, ctx.Int("batch"))
}

// studentName is the file's name without extension, or the path where that
// does not tell the students apart.
func studentName(path string, all []string) string {
	base := func(p string) string { return strings.TrimSuffix(filepath.Base(p), filepath.Ext(p)) }
	same := 0
	for _, p := range all {
		if base(p) == base(path) {
			same++
		}
	}
	if same > 1 {
		return path
	}
	return base(path)
}
