// Package exporting holds the verb export.
package exporting

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/training"
	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/run/rundir"
	"github.com/deepmutual/dml/train"
)

// Command is dml export.
func Command(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write the students of a run as ONNX files, or look into any ONNX file",
		UsageText: "dml export RUN [--student NAME|all] [flags]\ndml export RUN --cohort [flags]\ndml export --check FILE [--json]",
		Description: "Writes one ONNX file a student, with outputs logits, probabilities and embedding, and\n" +
			"metadata by which dml infer and package infer prepare images; or one file of all students.\n" +
			"Each file is verified first: ONNX Runtime must give the outputs that the training code gives\n" +
			"on samples kept with the run. Then both classify images of the run's validation data.\n" +
			"Example:  dml export runs/dml-resnet20-resnet8",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "student", Value: "all", Usage: "export the student `NAME`, or all"},
			&cli.BoolFlag{Name: "cohort", DisableDefaultText: true, Usage: "write all students into one file, cohort.onnx: the ensemble's and each student's probabilities, and the joint embedding"},
			training.CheckpointFlag(),
			&cli.StringFlag{Name: "out", DefaultText: "RUN/onnx, of a cohort RUN", Usage: "write into `DIR`"},
			&cli.StringFlag{Name: "outputs", DefaultText: "all; of a cohort probabilities,embedding", Usage: "`LIST` of outputs: logits, probabilities, embedding, with commas between"},
			&cli.BoolFlag{Name: "uint8-input", DisableDefaultText: true, Usage: "take pixels as they are, uint8 [batch, height, width, channels], and normalise inside the graph"},
			&cli.IntFlag{Name: "batch", DefaultText: "any", Usage: "fix the batch to `N` samples"},
			&cli.BoolFlag{Name: "half", DisableDefaultText: true, Usage: "store weights as float16, for a smaller file; it computes in float32 and is no faster"},
			&cli.BoolFlag{Name: "keep-bn", DisableDefaultText: true, Usage: "keep batch normalisations as nodes of their own instead of folding them"},
			&cli.IntFlag{Name: "images", Value: 1000, Usage: "compare accuracies on `N` images of the run's validation data; 0: on none"},
			training.BackendFlag(),
			&cli.StringFlag{Name: "check", Usage: "write nothing; say what the ONNX file `FILE` holds and what can run it"},
			console.JSONFlag(),
		},
		Action: func(ctx *cli.Context) error { return runExport(c, ctx) },
	}
}

func runExport(c *console.Console, ctx *cli.Context) error {
	if ctx.IsSet("check") {
		return exportCheck(c, ctx)
	}
	which, err := training.WhichCheckpoint(ctx)
	if err != nil {
		return err
	}
	format, err := exportFormat(ctx)
	if err != nil {
		return err
	}
	dir, err := rundir.Open(ctx.Args().First())
	if err != nil {
		return err
	}
	states, err := exportStates(ctx, dir, which)
	if err != nil {
		return err
	}
	inputs, n, _, err := dir.Reference()
	if err != nil {
		return err
	}
	backendName := dir.Config().Backend
	if ctx.IsSet("backend") {
		backendName = ctx.String("backend")
	}
	backend, err := training.OpenBackend(c, backendName)
	if err != nil {
		return err
	}
	validation, err := exportValidation(c, ctx, dir.Config())
	if err != nil {
		return err
	}
	opts := run.ExportOptions{Inputs: inputs, Samples: n, Evaluate: train.EvaluateOptions{Backend: backend}, Format: format, Validation: validation}
	return exportFiles(c, ctx, dir, states, opts)
}

// exportFormat reads what the files shall be like.
func exportFormat(ctx *cli.Context) (export.Options, error) {
	format := export.Options{Batch: ctx.Int("batch"), Uint8Input: ctx.Bool("uint8-input"), Half: ctx.Bool("half"),
		KeepBatchNorm: ctx.Bool("keep-bn"), Version: console.Version()}
	if ctx.IsSet("outputs") {
		format.Outputs = []string{}
		for name := range strings.SplitSeq(ctx.String("outputs"), ",") {
			name = strings.TrimSpace(name)
			if !slices.Contains(export.Outputs(), name) {
				return format, console.Usagef("--outputs: %q is unknown; use some of %s", name, strings.Join(export.Outputs(), ","))
			}
			if slices.Contains(format.Outputs, name) {
				return format, console.Usagef("--outputs: %q is there twice", name)
			}
			format.Outputs = append(format.Outputs, name)
		}
	}
	if ctx.IsSet("batch") && (format.Batch < 1 || format.Batch > console.MaxBatch) {
		return format, console.Usagef("--batch: %d is not between 1 and %d", format.Batch, console.MaxBatch)
	}
	if ctx.Int("images") < 0 {
		return format, console.Usagef("--images: %d is negative", ctx.Int("images"))
	}
	if ctx.Bool("cohort") && ctx.String("student") != "all" {
		return format, console.Usagef("--cohort takes all students; leave --student out")
	}
	if ctx.Args().Len() != 1 {
		return format, console.Usagef("export needs one run's folder")
	}
	return format, nil
}

// exportStates reads the students that are asked for.
func exportStates(ctx *cli.Context, dir *rundir.Dir, which string) ([]train.State, error) {
	student := ctx.String("student")
	if student == "all" {
		return dir.LoadAll(which)
	}
	if names := dir.Students(); !slices.Contains(names, student) {
		return nil, fmt.Errorf("%s has no student %q; its students are %s", dir.Path(), student, strings.Join(names, ", "))
	}
	st, err := dir.Load(student, which)
	return []train.State{st}, err
}

// exportValidation opens the images that accuracies are compared on. Data that is
// no longer there is an error only where images are asked for.
func exportValidation(c *console.Console, ctx *cli.Context, cfg run.Config) (dataset.Dataset, error) {
	n := ctx.Int("images")
	if n == 0 {
		return nil, nil
	}
	data, err := cfg.OpenData()
	if err == nil && (data.Val == nil || data.Val.Len() == 0) {
		err = fmt.Errorf("%s has no validation part", cfg.Data.Path)
	}
	if err != nil {
		if ctx.IsSet("images") {
			return nil, fmt.Errorf("accuracies cannot be compared: %w", err)
		}
		c.Say("accuracies are not compared: %v", err)
		return nil, nil
	}
	return dataset.Limit(data.Val, min(n, data.Val.Len()), cfg.Seed)
}

// exportFiles writes the students, or their cohort, and says how true the files
// are.
func exportFiles(c *console.Console, ctx *cli.Context, dir *rundir.Dir, states []train.State, opts run.ExportOptions) error {
	out := ctx.String("out")
	var reports []run.ExportReport
	done := func(what string, report run.ExportReport, err error) error {
		if err != nil {
			return err
		}
		reports = append(reports, report)
		sayExported(c, what, report)
		if opts.Validation != nil && report.Accuracy == nil {
			c.Say("%s: the file has no class scores, so no accuracy to compare", what)
		}
		if ctx.Bool("json") {
			return nil
		}
		_, err = fmt.Fprintln(c.Stdout, report.Path)
		return err
	}
	if ctx.Bool("cohort") {
		if out == "" {
			out = dir.Path()
		}
		report, err := run.ExportCohort(ctx.Context, filepath.Join(out, "cohort.onnx"), states, opts)
		if err := done("cohort", report, err); err != nil {
			return err
		}
	} else {
		if out == "" {
			out = filepath.Join(dir.Path(), "onnx")
		}
		for _, st := range states {
			report, err := run.Export(ctx.Context, filepath.Join(out, st.Name+".onnx"), st, opts)
			if err := done(st.Name, report, err); err != nil {
				return err
			}
		}
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, reports)
	}
	return nil
}

func sayExported(c *console.Console, what string, r run.ExportReport) {
	c.Say("%s: ONNX Runtime's outputs differ by %.1e of their scale (%s) from the training code's, on %s",
		what, r.Deviation, r.Output, console.Count(r.Samples, "sample"))
	if r.Float32Bytes > 0 {
		c.Say("%s: %s bytes with float16 weights, %s with float32", what, console.Grouped(r.Bytes), console.Grouped(r.Float32Bytes))
	}
	if r.Accuracy == nil {
		return
	}
	for _, row := range r.Accuracy.Rows {
		name := what
		if row.Name != what {
			name += ", " + row.Name
		}
		c.Say("%s: accuracy on %s: %s in the file, %s by the training code, %+.2f points", name,
			console.Count(r.Accuracy.Images, "validation image"), console.Percent(row.File), console.Percent(row.Trained), 100*(row.File-row.Trained))
	}
}
