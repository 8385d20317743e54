package cli

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/internal/bridge"
	"github.com/deepmutual/dml/train"
	"github.com/deepmutual/dml/train/rundir"
)

func (c *console) exportCommand() *cli.Command {
	return &cli.Command{
		Name:      "export",
		Usage:     "write the students of a run as ONNX files",
		UsageText: "dml export RUN [--student NAME|all] [flags]",
		Description: "Writes one ONNX file a student, with outputs logits, probabilities and embedding, and\n" +
			"metadata by which dml infer and package infer prepare images. Each file is verified first:\n" +
			"ONNX Runtime must give the logits that the training code gives on samples kept with the run.\n" +
			"Example:  dml export runs/dml-resnet20-resnet8",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "student", Value: "all", Usage: "export the student `NAME`, or all"},
			checkpointFlag(),
			&cli.StringFlag{Name: "out", DefaultText: "RUN/onnx", Usage: "write into `DIR`"},
			&cli.BoolFlag{Name: "keep-bn", DisableDefaultText: true, Usage: "keep batch normalisations as nodes of their own instead of folding them"},
			backendFlag(),
		},
		Action: c.export,
	}
}

func (c *console) export(ctx *cli.Context) error {
	which, err := whichCheckpoint(ctx)
	if err != nil {
		return err
	}
	if ctx.Args().Len() != 1 {
		return usagef("export needs one run's folder")
	}
	dir, err := rundir.Open(ctx.Args().First())
	if err != nil {
		return err
	}
	names := dir.Students()
	if student := ctx.String("student"); student != "all" {
		if !slices.Contains(names, student) {
			return fmt.Errorf("%s has no student %q; its students are %s", dir.Path(), student, strings.Join(names, ", "))
		}
		names = []string{student}
	}
	inputs, n, _, err := dir.Reference()
	if err != nil {
		return err
	}
	backendName := dir.Config().Backend
	if ctx.IsSet("backend") {
		backendName = ctx.String("backend")
	}
	backend, err := c.backend(backendName)
	if err != nil {
		return err
	}
	out := ctx.String("out")
	if out == "" {
		out = filepath.Join(dir.Path(), "onnx")
	}
	for _, name := range names {
		st, err := dir.Load(name, which)
		if err != nil {
			return err
		}
		path := filepath.Join(out, name+".onnx")
		deviation, err := bridge.Export(ctx.Context, path, st, bridge.ExportOptions{
			Inputs: inputs, Samples: n, Evaluate: train.EvaluateOptions{Backend: backend},
			KeepBatchNorm: ctx.Bool("keep-bn"), Version: version(),
		})
		if err != nil {
			return err
		}
		c.say("%s: ONNX Runtime's logits differ by %.1e of their scale from the training code's", name, deviation)
		if _, err := fmt.Fprintln(c.stdout, path); err != nil {
			return err
		}
	}
	return nil
}
