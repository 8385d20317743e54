package retrieval

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

func verifyCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "verify",
		Usage:     "tell whether two images show one person",
		UsageText: "dml reid verify MODEL.onnx... A.jpg B.jpg [--threshold threshold.json | --max-distance D] [flags]",
		Description: "Prints the distance of two images' features, and with a threshold whether they are taken to\n" +
			"show one person. A threshold of dml reid calibrate comes with its rates of error, and is\n" +
			"refused for other models or another preparation of images than those it was measured with.\n" +
			"The exit code is 0 whatever the answer is; programs read it from --json.\n" +
			"Examples:\n" +
			"  dml reid verify osnet.onnx --preprocess torchreid a.jpg b.jpg\n" +
			"  dml reid verify runs/NAME/onnx/*.onnx a.jpg b.jpg --threshold threshold.json --json",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "threshold", Usage: "decide by `FILE.json`, which dml reid calibrate wrote"},
			&cli.Float64Flag{Name: "max-distance", DefaultText: "none", Usage: "take images nearer than `D` for one person"},
			&cli.StringFlag{Name: "metric", DefaultText: "the threshold's, else cosine", Usage: "compare by `cosine|euclidean|dot`"},
		}, EmbedderFlags(), []cli.Flag{console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return runVerify(c, ctx) },
	}
}

// verified is what dml reid verify prints as JSON.
type verified struct {
	Images      []string    `json:"images"`
	Fingerprint string      `json:"fingerprint"`
	Metric      reid.Metric `json:"metric"`
	Distance    float64     `json:"distance"`
	// Same is null without a threshold.
	Same      *bool    `json:"same"`
	Threshold *float64 `json:"threshold"`
	// FPR and TPR are those of the calibration, if the threshold is from one.
	FPR *float64 `json:"fpr,omitempty"`
	TPR *float64 `json:"tpr,omitempty"`
}

func runVerify(c *console.Console, ctx *cli.Context) (err error) {
	args := ctx.Args().Slice()
	if len(args) < 3 {
		return console.Usagef("reid verify needs at least one ONNX file, and two images after it")
	}
	models, images := args[:len(args)-2], args[len(args)-2:]
	for _, path := range images {
		if inference.IsModel(path) {
			return console.Usagef("reid verify needs two images after the ONNX files; %s is not one", path)
		}
	}
	threshold, err := readDecision(ctx)
	if err != nil {
		return err
	}
	e, err := OpenEmbedder(ctx, models)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	answer := verified{Images: images, Fingerprint: e.Fingerprint(), Metric: threshold.metric, Threshold: threshold.distance}
	if t := threshold.calibrated; t != nil {
		if err := t.Match(ctx.String("threshold"), e.Recipe(), strings.Join(models, ", ")); err != nil {
			return fmt.Errorf("%w; calibrate for what you use now with dml reid calibrate", err)
		}
		answer.FPR, answer.TPR = &t.FPR, &t.TPR
	}
	set, err := embedFiles(ctx.Context, e, images)
	if err != nil {
		return err
	}
	if answer.Distance, err = reid.Distance(answer.Metric, set.Features[:set.Dim], set.Features[set.Dim:]); err != nil {
		return err
	}
	if answer.Threshold != nil {
		same := answer.Distance < *answer.Threshold
		answer.Same = &same
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, answer)
	}
	return printVerified(c, answer, ctx.String("threshold"))
}

// decision is what two images are told apart by.
type decision struct {
	metric     reid.Metric
	distance   *float64            // nil for none
	calibrated *features.Threshold // nil where the user gave the distance
}

// readDecision reads the flags of a decision.
func readDecision(ctx *cli.Context) (d decision, err error) {
	d.metric = reid.Cosine
	if ctx.IsSet("metric") {
		if d.metric, err = metricOf(ctx); err != nil {
			return d, err
		}
	}
	path := ctx.String("threshold")
	if ctx.IsSet("max-distance") {
		distance := ctx.Float64("max-distance")
		if path != "" {
			return d, console.Usagef("--threshold and --max-distance both give a threshold: leave one out")
		}
		if math.IsNaN(distance) || math.IsInf(distance, 0) {
			return d, console.Usagef("--max-distance: %v is not a distance", distance)
		}
		d.distance = &distance
		return d, nil
	}
	if path == "" {
		return d, nil
	}
	t, err := features.ReadThreshold(path)
	if err != nil {
		return d, err
	}
	if ctx.IsSet("metric") && d.metric != t.Metric {
		return d, console.Usagef("--metric: %s is a threshold of the %s distance, not of %s", path, t.Metric, d.metric)
	}
	return decision{metric: t.Metric, distance: &t.Threshold, calibrated: &t}, nil
}

func printVerified(c *console.Console, a verified, file string) error {
	text := fmt.Sprintf("%s distance %.4f\n", a.Metric, a.Distance)
	switch {
	case a.Same == nil:
		text += "no threshold is given: dml reid calibrate finds one in labelled images, for --threshold\n"
	case *a.Same:
		text += fmt.Sprintf("same person: nearer than %.4f\n", *a.Threshold)
	default:
		text += fmt.Sprintf("different people: not nearer than %.4f\n", *a.Threshold)
	}
	if a.FPR != nil {
		text += fmt.Sprintf("%s: on its data %.4g %% of the pairs of two people are nearer, and %.2f %% of those of one\n", file, 100**a.FPR, 100**a.TPR)
	}
	_, err := fmt.Fprint(c.Stdout, text)
	return err
}
