package retrieval

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/distanceplot"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/calibration"
	"github.com/deepmutual/dml/reid/features"
)

func calibrateCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:  "calibrate",
		Usage: "find the distance that tells one person from two",
		UsageText: "dml reid calibrate --features F/ [flags]\n" +
			"dml reid calibrate MODEL.onnx... --data DIR|LIST.csv [flags]",
		Description: "Compares each query with the gallery of labelled data, and writes the distance below which\n" +
			"no more than a wanted fraction of the pairs of two persons are (the false positive rate).\n" +
			"Pairs of one person are of two cameras; junk is left out. The file says which models and\n" +
			"preparation of images the threshold is for; dml reid same refuses it for others.\n" +
			"A rate of 0.001 needs at least 1,000 pairs of two persons, and some ten times as many for a\n" +
			"threshold that would be much the same on other data.\n" +
			"Examples:\n" +
			"  dml reid calibrate --features market-osnet/ --fpr 0.001 --picture distances.png\n" +
			"  dml reid calibrate osnet.onnx --preprocess torchreid --data Market-1501/ --out threshold.json",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "features", Usage: "compare the features in folder `F`"},
			&cli.Float64Flag{Name: "fpr", Value: 0.001, Usage: "accept this `FRACTION` of the pairs of two persons"},
			&cli.StringFlag{Name: "out", Value: "threshold.json", Usage: "write the threshold to `FILE.json`"},
			&cli.StringFlag{Name: "picture", Usage: "draw the distances of both kinds of pairs to `FILE.png|FILE.svg`"},
			metricFlag(),
			zeroIsPersonFlag(),
		}, ExtractFlags(), []cli.Flag{console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return runCalibrate(c, ctx) },
	}
}

func runCalibrate(c *console.Console, ctx *cli.Context) error {
	models := ctx.Args().Slice()
	if err := CheckFeatureForm(ctx, "reid calibrate", models, false); err != nil {
		return err
	}
	fpr := ctx.Float64("fpr")
	if !(fpr > 0 && fpr < 1) {
		return console.Usagef("--fpr: %v is not between 0 and 1", fpr)
	}
	if ext := filepath.Ext(ctx.String("out")); ext != ".json" {
		return console.Usagef("--out: %q does not end in .json", ctx.String("out"))
	}
	picture := ctx.String("picture")
	if picture != "" {
		if _, err := distanceplot.Kind(picture); err != nil {
			return console.Usagef("--picture: %w", err)
		}
	}
	metric, err := metricOf(ctx)
	if err != nil {
		return err
	}
	if err := console.CheckOutputs(ctx.String("out"), picture); err != nil {
		return err
	}
	if err := keepInputs(ctx, ctx.String("out"), ctx.String("data")); err != nil {
		return err
	}
	var data evaluated
	if err := WithFeatures(c, ctx, models, func(dir string) error {
		data, err = evaluatedFolder(c, ctx, dir)
		return err
	}, nil); err != nil {
		return err
	}
	m := data.manifest
	multiplier, done := Multiplier(c, ctx.Int("threads"))
	defer done()
	result, err := reid.Calibrate(ctx.Context, data.query, data.gallery, reid.CalibrateOptions{
		FPR: fpr, Metric: metric, ZeroIsPerson: ctx.Bool("zero-is-person") || m.Data.ZeroIsPerson,
		Workers: ctx.Int("threads"), Multiplier: multiplier,
	})
	if err != nil {
		return err
	}
	threshold := calibration.New(m.Recipe, m.Data, fpr, result)
	if picture != "" {
		title := "Distances of pairs of images in " + filepath.Base(filepath.Clean(m.Data.Path))
		if err := distanceplot.Save(picture, title, result); err != nil {
			return err
		}
	}
	if err := calibration.Write(ctx.String("out"), threshold); err != nil {
		return err
	}
	sayUnsure(c, result)
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, calibratedJSON{threshold.Fingerprint(), threshold, ctx.String("out"), picture})
	}
	return printCalibration(c, ctx.String("out"), picture, m, result, fpr)
}

// calibratedJSON is what dml reid calibrate prints for programs: the file's
// content, and where it is.
type calibratedJSON struct {
	Fingerprint string `json:"fingerprint"`
	calibration.Threshold
	File    string `json:"file"`
	Picture string `json:"picture,omitempty"`
}

// sayUnsure warns of thresholds that few pairs decide.
func sayUnsure(c *console.Console, r *reid.Calibration) {
	const few = 10
	if r.Allowed < few {
		c.Say("note: %s of %s pairs of two persons decide the threshold: other data may well differ; give more images or a larger --fpr",
			console.Grouped(r.Allowed), console.Grouped(r.Different))
	}
}

func printCalibration(c *console.Console, out, picture string, m *features.Manifest, r *reid.Calibration, fpr float64) error {
	if err := console.Table(c.Stdout, [][]string{
		{"THRESHOLD", fmt.Sprintf("%.6g (%s distance)", r.Threshold, r.Metric)},
		{"two persons accepted", fmt.Sprintf("%.4g %% of %s pairs (wanted: at most %.4g %%)", 100*r.FPR, console.Grouped(r.Different), 100*fpr)},
		{"one person accepted", fmt.Sprintf("%.2f %% of %s pairs", 100*r.TPR, console.Grouped(r.Same))},
		{"area under the ROC curve", console.Percent(r.AUC)},
		{"equal error rate", console.Percent(r.EER)},
	}); err != nil {
		return err
	}
	where := fmt.Sprintf("\n%s: for features of fingerprint %.16s\n", out, m.Fingerprint())
	if picture != "" {
		where += picture + ": the distances of both kinds of pairs\n"
	}
	_, err := fmt.Fprint(c.Stdout, where)
	return err
}
