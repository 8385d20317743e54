package training

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/run/rundir"
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
			"training code, ONNX files by ONNX Runtime. A run's own data is divided as in training;\n" +
			"of other data a folder without parts is measured as a whole, unless --split divides it.\n" +
			"Examples:\n" +
			"  dml eval runs/dml-resnet20-resnet8 --data cifar10/ --split test\n" +
			"  dml eval runs/dml-resnet20-resnet8/onnx/*.onnx --data cifar10/ --json",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "data", DefaultText: "that of the run", Usage: "evaluate on `PATH`"},
			&cli.StringFlag{Name: "kind", DefaultText: "recognised", Usage: kindUsage()},
			&cli.StringFlag{Name: "split", DefaultText: "test, or val where a run's data has none; all of other data without parts",
				Usage: "`PART` of the data: train, val, test, or all (a folder without parts)"},
			&cli.Uint64Flag{Name: "seed", Value: 1, DefaultText: "that of the run, else 1", Usage: "`N` that decided the split of a flat image folder"},
			&cli.IntFlag{Name: "limit", DefaultText: "all", Usage: "evaluate on `N` images only"},
			CheckpointFlag(),
			&cli.IntFlag{Name: "batch", Value: 64, Usage: "`N` images at a time"},
			console.ThreadsFlag(),
			BackendFlag(),
			console.JSONFlag(),
		},
		Action: func(ctx *cli.Context) error { return runEval(c, ctx) },
	}
}

// CheckpointFlag chooses one of a student's checkpoints; see WhichCheckpoint.
func CheckpointFlag() cli.Flag {
	return &cli.StringFlag{Name: "checkpoint", Value: rundir.Best, Usage: "take the run's `best|last` students"}
}

// WhichCheckpoint returns the value of checkpointFlag.
func WhichCheckpoint(ctx *cli.Context) (string, error) {
	which := ctx.String("checkpoint")
	if which != rundir.Best && which != rundir.Last {
		return "", console.Usagef("--checkpoint: %q is unknown; use %s or %s", which, rundir.Best, rundir.Last)
	}
	return which, nil
}

func runEval(c *console.Console, ctx *cli.Context) error {
	which, err := WhichCheckpoint(ctx)
	if err != nil {
		return err
	}
	if split := ctx.String("split"); ctx.IsSet("split") && !slices.Contains(splits, split) {
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
	var result measured
	if err == nil && info.IsDir() {
		if len(paths) > 1 {
			return console.Usagef("eval takes one run's folder, or ONNX files")
		}
		result, err = evalRun(c, ctx, paths[0], which)
	} else {
		result, err = evalModels(ctx, paths)
	}
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, result)
	}
	return printEvaluation(c, result)
}

// batch is how many images to evaluate at a time: no more than there are.
func (s sample) batch(ctx *cli.Context) int { return max(1, min(ctx.Int("batch"), s.Len())) }

// measured is the answer of dml eval.
type measured struct {
	Data   string `json:"data"`  // path
	Split  string `json:"split"` // train, val, test or all
	Images int    `json:"images"`
	train.Evaluation
}

// sample is the part of data that students are evaluated on.
type sample struct {
	path, split string
	dataset.Dataset
}

func (s sample) measured(e train.Evaluation) measured {
	return measured{Data: s.path, Split: s.split, Images: s.Len(), Evaluation: e}
}

func printEvaluation(c *console.Console, e measured) error {
	part := e.Split + " part"
	if e.Split == splitAll {
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
func evalRun(c *console.Console, ctx *cli.Context, path, which string) (measured, error) {
	dir, err := rundir.Open(path)
	if err != nil {
		return measured{}, err
	}
	states, err := dir.LoadAll(which)
	if err != nil {
		return measured{}, err
	}
	cfg := dir.Config()
	ds, err := runData(c, ctx, cfg)
	if err != nil {
		return measured{}, err
	}
	if err := sameClasses(path, states[0].Classes, ds); err != nil {
		return measured{}, err
	}
	backendName := cfg.Backend
	if ctx.IsSet("backend") {
		backendName = ctx.String("backend")
	}
	backend, err := OpenBackend(c, backendName)
	if err != nil {
		return measured{}, err
	}
	result, err := train.Evaluate(ctx.Context, states, ds, train.EvaluateOptions{
		Backend: backend, Threads: ctx.Int("threads"), Batch: ds.batch(ctx),
	})
	return ds.measured(result), err
}

// splitAll asks for all images of data that has no parts.
const splitAll = "all"

// splits are the values of --split.
var splits = []string{"train", "val", "test", splitAll}

// runData opens the part of the data that the command line asks for: of the
// run's own data as the run divided it, of any other as it is. By default it is
// the test part; data of persons has none of the classes that are trained, so
// there it is the validation part.
func runData(c *console.Console, ctx *cli.Context, cfg run.Config) (sample, error) {
	path := cfg.Data.Path
	if ctx.IsSet("data") {
		var err error
		if path, err = filepath.Abs(ctx.String("data")); err != nil {
			return sample{}, err
		}
	}
	if ctx.IsSet("seed") {
		cfg.Seed = ctx.Uint64("seed")
	}
	if ctx.IsSet("kind") {
		cfg.Data.Kind = dataset.Kind(ctx.String("kind"))
	}
	split := ctx.String("split")
	if path != cfg.Data.Path || split == splitAll {
		return otherData(ctx, path, cfg.Data.Pattern, cfg.Seed)
	}
	data, err := cfg.OpenData()
	if err != nil {
		return sample{}, err
	}
	if split == "" {
		split = "test"
		if data.Test == nil {
			split = "val"
			c.Say("note: %s has no test part; these are the images that the best checkpoints were chosen on (--split val)", path)
		}
	}
	return part(ctx, data, split, path, cfg.Seed)
}

// otherData opens the part that the command line asks for of data that the
// students were not trained on: by default the test part, of a folder without
// parts all.
func otherData(ctx *cli.Context, path, pattern string, seed uint64) (sample, error) {
	split, kind := ctx.String("split"), dataset.Kind(ctx.String("kind"))
	if split == "" || split == splitAll {
		data, err := dataset.Open(path, dataset.Options{Kind: kind, Pattern: pattern, Seed: seed})
		if err != nil {
			return sample{}, err
		}
		whole := data.Val == nil && data.Test == nil
		switch {
		case whole && strings.HasPrefix(data.Train.Name(), string(dataset.Market1501)) && identities.Divided(os.DirFS(path)): // queries and gallery are other persons, of no class
			return limited(ctx, sample{path, "train", data.Train}, seed)
		case whole:
			return limited(ctx, sample{path, splitAll, data.Train}, seed)
		case split == splitAll:
			return sample{}, fmt.Errorf("%s is divided into parts: choose one of them with --split", path)
		}
		return part(ctx, data, "test", path, seed)
	}
	data, err := dataset.Open(path, dataset.Options{Kind: kind, Pattern: pattern, TestFraction: dataset.DefaultTestFraction, Seed: seed})
	if err != nil {
		return sample{}, err
	}
	if split == "val" && data.Val == nil {
		return sample{}, fmt.Errorf("%s has no val part: only the data that a run was trained on has one, in dml eval RUN", path)
	}
	return part(ctx, data, split, path, seed)
}

func part(ctx *cli.Context, data dataset.Splits, split, path string, seed uint64) (sample, error) {
	ds, err := data.Split(split)
	if err != nil {
		return sample{}, fmt.Errorf("%s: %w", path, err)
	}
	return limited(ctx, sample{path, split, ds}, seed)
}

func limited(ctx *cli.Context, s sample, seed uint64) (sample, error) {
	if n := ctx.Int("limit"); n > 0 {
		ds, err := dataset.Limit(s.Dataset, n, seed)
		if err != nil {
			return sample{}, fmt.Errorf("%s: %w", s.path, err)
		}
		s.Dataset = ds
	}
	if s.Len() == 0 {
		return sample{}, fmt.Errorf("%s: its %s part holds no image", s.path, s.split)
	}
	return s, nil
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
func evalModels(ctx *cli.Context, paths []string) (measured, error) {
	if !ctx.IsSet("data") {
		return measured{}, console.Usagef("eval of ONNX files needs --data")
	}
	cohort, err := inference.OpenCohort(paths, infer.Options{Threads: ctx.Int("threads")})
	if err != nil {
		return measured{}, err
	}
	defer cohort.Close()
	ds, err := otherData(ctx, ctx.String("data"), "", ctx.Uint64("seed"))
	if err != nil {
		return measured{}, err
	}
	if err := sameClasses(paths[0], cohort.Info().Classes, ds); err != nil {
		return measured{}, err
	}
	result, err := run.EvaluateFiles(ctx.Context, cohort, studentNames(paths), ds, ds.batch(ctx))
	return ds.measured(result), err
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
