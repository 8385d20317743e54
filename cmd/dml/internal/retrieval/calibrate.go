package retrieval

import (
	"fmt"
	"path/filepath"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/pages"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

func calibrateCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "calibrate",
		Usage:     "find the distance that tells one person from two",
		UsageText: "dml reid calibrate FEATURES [flags]",
		Description: "Compares each query with the gallery of labelled data, and writes the distance below which\n" +
			"no more than a wanted fraction of the pairs of two people are (the false positive rate).\n" +
			"Pairs of one person are of two cameras; junk is left out. The file says which models,\n" +
			"preparation of images and metric the threshold is for; dml reid verify refuses it for others.\n" +
			"A rate of 0.001 needs at least 1,000 pairs of two people, and some ten times as many for a\n" +
			"threshold that would be much the same on other data.\n" +
			"--fpr is a rate of pairs: a search of a gallery compares as many pairs as that has images, and\n" +
			"finds somebody far more often. --search finds the threshold of searches, for people who are\n" +
			"not in the gallery, by leaving each person out of it in turn.\n" +
			SourceHelp +
			"Examples:\n" +
			"  dml reid calibrate --features market-osnet/ --fpr 0.001 --page distances.html\n" +
			"  dml reid calibrate --features market-osnet/ --search --false-alarms 0.01 --out search.json\n" +
			"  dml reid calibrate osnet.onnx --preprocess torchreid --data Market-1501/ --out threshold.json",
		Flags: slices.Concat(SourceFlags(), []cli.Flag{
			&cli.Float64Flag{Name: "fpr", Value: 0.001, Usage: "accept this `FRACTION` of the pairs of two people; for searches see --search"},
			&cli.StringFlag{Name: "out", Value: "threshold.json", Usage: "write the threshold to `FILE.json`"},
			&cli.StringFlag{Name: "page", Usage: "draw the distances of both kinds of pairs on `FILE.html`"},
			metricFlag(),
			zeroIsIdentityFlag(),
			console.JSONFlag(),
		}, searchFlags()),
		Action: func(ctx *cli.Context) error { return runCalibrate(c, ctx) },
	}
}

func runCalibrate(c *console.Console, ctx *cli.Context) error {
	source, err := ParseSource(ctx, ctx.Args().Slice(), SourceOptions{})
	if err != nil {
		return err
	}
	if err := checkSearchFlags(ctx); err != nil {
		return err
	}
	fpr := ctx.Float64("fpr")
	if !(fpr > 0 && fpr < 1) {
		return console.Usagef("--fpr: %v is not between 0 and 1", fpr)
	}
	if ext := filepath.Ext(ctx.String("out")); ext != ".json" {
		return console.Usagef("--out: %q does not end in .json", ctx.String("out"))
	}
	out, page := ctx.String("out"), ctx.String("page")
	if page != "" {
		if err := pages.CheckName(page); err != nil {
			return console.Usagef("--page: %w", err)
		}
	}
	metric, err := metricOf(ctx)
	if err != nil {
		return err
	}
	if err := console.CheckOutputs(out, page); err != nil {
		return err
	}
	for _, output := range []string{out, page} {
		if err := keepInputs(output, source.Inputs()...); err != nil {
			return err
		}
	}
	set, err := source.Load(c, features.LoadOptions{Labelled: true})
	if err != nil {
		return err
	}
	defer set.Close() // nothing is lost if this fails
	if set.Recipe == nil {
		return fmt.Errorf("nothing says how %s was made, and so what the threshold is for: say with --fingerprint-from", set.Gallery.Name)
	}
	multiplier, done := Multiplier(c, ctx.Int("threads"))
	defer done()
	zeroIsIdentity := ctx.Bool("zero-is-identity") || set.Data.ZeroIsIdentity
	if ctx.Bool("search") {
		return calibrateSearch(c, ctx, set, reid.SearchCalibrationOptions{Metric: metric, ZeroIsIdentity: zeroIsIdentity, Workers: ctx.Int("threads"), Multiplier: multiplier})
	}
	result, err := reid.Calibrate(ctx.Context, set.Query.Set, set.Gallery.Set, reid.CalibrateOptions{
		FPR: fpr, Metric: metric, ZeroIsIdentity: zeroIsIdentity,
		Workers: ctx.Int("threads"), Multiplier: multiplier,
	})
	if err != nil {
		return err
	}
	threshold := features.NewThreshold(*set.Recipe, set.Data, fpr, result)
	if page != "" {
		if err := pages.SaveDistances(page, "Distances of pairs of images in "+placeOf(set), []string{describedRecipe(*set.Recipe)}, result); err != nil {
			return err
		}
	}
	if err := features.WriteThreshold(out, threshold); err != nil {
		return err
	}
	sayUnsure(c, result)
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, calibratedJSON{threshold.Fingerprint(), threshold, out, page})
	}
	return printCalibration(c, out, page, set.Fingerprint(), result, fpr)
}

// calibratedJSON is what dml reid calibrate prints for programs: the file's
// content, and where it is.
type calibratedJSON struct {
	Fingerprint string `json:"fingerprint"`
	features.Threshold
	File string `json:"file"`
	Page string `json:"page,omitempty"`
}

// sayUnsure warns of thresholds that few pairs decide.
func sayUnsure(c *console.Console, r *reid.Calibration) {
	const few = 10
	if r.Allowed < few {
		c.Say("note: %s of %s pairs of two people decide the threshold: other data may well differ; give more images or a larger --fpr",
			console.Grouped(r.Allowed), console.Grouped(r.Different))
	}
}

func printCalibration(c *console.Console, out, page, fingerprint string, r *reid.Calibration, fpr float64) error {
	if err := console.Table(c.Stdout, [][]string{
		{"THRESHOLD", fmt.Sprintf("%.6g (%s distance)", r.Threshold, r.Metric)},
		{"two people accepted", fmt.Sprintf("%.4g %% of %s pairs (wanted: at most %.4g %%)", 100*r.FPR, console.Grouped(r.Different), 100*fpr)},
		{"one person accepted", fmt.Sprintf("%.2f %% of %s pairs", 100*r.TPR, console.Grouped(r.Same))},
		{"area under the ROC curve", console.Percent(r.AUC)},
		{"equal error rate", console.Percent(r.EER)},
	}); err != nil {
		return err
	}
	where := fmt.Sprintf("\n%s: for features of fingerprint %.16s\n", out, fingerprint)
	if page != "" {
		where += page + ": the distances of both kinds of pairs\n"
	}
	_, err := fmt.Fprint(c.Stdout, where)
	return err
}
