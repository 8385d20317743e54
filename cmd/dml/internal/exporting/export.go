// Package exporting holds the verb export.
package exporting

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/training"
	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/run"
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
	r, err := run.Open(ctx.Args().First())
	if err != nil {
		return err
	}
	opts := run.ExportOptions{Cohort: ctx.Bool("cohort"), Checkpoint: which, Folder: ctx.String("out"), Format: format}
	if student := ctx.String("student"); student != "all" {
		opts.Student = student
	}
	if ctx.IsSet("images") {
		opts.Images = cmp.Or(ctx.Int("images"), -1)
	}
	if opts.Backend, err = training.OpenBackend(c, cmp.Or(ctx.String("backend"), r.Config().Backend)); err != nil {
		return err
	}
	reports, err := r.Export(ctx.Context, opts)
	for i, report := range reports {
		if i == 0 && report.NotCompared != nil {
			c.Say("accuracies are not compared: %v", report.NotCompared)
		}
		sayExported(c, report)
		if opts.Images >= 0 && report.NotCompared == nil && report.Accuracy == nil {
			c.Say("%s: the file has no class scores, so no accuracy to compare", report.Name)
		}
		if !ctx.Bool("json") {
			if _, err := fmt.Fprintln(c.Stdout, report.Path); err != nil {
				return err
			}
		}
	}
	if err == nil && ctx.Bool("json") {
		err = console.WriteJSON(c.Stdout, reports)
	}
	return err
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

// sayExported says how true a file is.
func sayExported(c *console.Console, r run.ExportReport) {
	what := r.Name
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
