package retrieval

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/reid/features"
)

func extractCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "extract",
		Usage:     "make the features of people's images",
		UsageText: "dml reid extract MODEL.onnx... --data DIR|LIST.csv --out F/ [flags]",
		Description: "Writes F/query.npy, gallery.npy and multi_query.npy (float32, a row an image, scaled to\n" +
			"length 1), their labels as .csv (name,pid,camid[,track,time]), and features.json, which\n" +
			"says how they were made. Several models are a cohort: their features are put side by side.\n" +
			"  DIR is laid out as Market-1501, MSMT17 or CUHK03-NP, or one folder of images, all of\n" +
			"    which are the gallery then. --pattern reads other names.\n" +
			"  LIST.csv has the columns path,pid,camid[,split,track,time]; split is query, gallery or\n" +
			"    multi_query (train and val are left out), and without one all rows are the gallery.\n" +
			"    pid and camid may be empty for images that are only to be searched for.\n" +
			"An image that cannot be read is skipped, listed in features.json and counted. What was\n" +
			"interrupted goes on where it stopped when the same command is run again.\n" +
			"Examples:\n" +
			"  dml reid extract osnet.onnx --preprocess torchreid --data Market-1501/ --out market-osnet/\n" +
			"  dml reid extract runs/NAME/onnx/*.onnx --data Market-1501/ --out market-cohort/ --flip\n" +
			"  dml reid extract osnet.onnx --preprocess torchreid --data tracks.csv --pool track --out tracks/",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "out", Usage: "write the features into folder `F`"},
		}, extractFlags(), []cli.Flag{console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return runExtract(c, ctx) },
	}
}

// extractFlags are those of commands that make features of a data set.
func extractFlags() []cli.Flag {
	return console.Group("Making features of images", slices.Concat([]cli.Flag{
		onceFlag("data", "", "make features of the images of `DIR|LIST.csv`"),
		&cli.StringFlag{Name: "pattern", DefaultText: "recognised", Usage: "read identities from file names by `PATTERN`: " + strings.Join(identities.Patterns(), ", ") + ", or a regular expression with groups pid and camera"},
		&cli.StringFlag{Name: "pool", DefaultText: "none", Usage: "`track` averages the features of a track's images: a row a track"},
		&cli.BoolFlag{Name: "strict", DisableDefaultText: true, Usage: "stop at an image that cannot be read"},
		&cli.IntFlag{Name: "batch", Value: features.DefaultBatch, Usage: "`N` images at a time"},
		console.QuietFlag(),
	}, EmbedderFlags())...)
}

// checkExtractFlags checks the flags that opening no file can.
func checkExtractFlags(ctx *cli.Context) error {
	if pool := ctx.String("pool"); pool != "" && pool != features.PoolTrack {
		return console.Usagef("--pool: %q is unknown; use track", pool)
	}
	if n := ctx.Int("batch"); n < 1 || n > console.MaxBatch {
		return console.Usagef("--batch: %d is not between 1 and %d", n, console.MaxBatch)
	}
	return console.CheckThreads(ctx)
}

func runExtract(c *console.Console, ctx *cli.Context) error {
	models := ctx.Args().Slice()
	if len(models) == 0 {
		return console.Usagef("reid extract needs at least one ONNX file")
	}
	out := ctx.String("out")
	if out == "" {
		return console.Usagef("reid extract needs --out, the folder to write")
	}
	if ctx.String("data") == "" {
		return console.Usagef("reid extract needs --data, the images to make features of")
	}
	if err := checkExtractFlags(ctx); err != nil {
		return err
	}
	m, err := extractTo(c, ctx, models, out)
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		text, err := os.ReadFile(filepath.Join(out, features.ManifestFile))
		if err != nil {
			return err
		}
		_, err = c.Stdout.Write(text)
		return err
	}
	rows := [][]string{{"FEATURES", "IMAGES", "SKIPPED", "ROWS"}}
	for _, p := range m.Parts {
		rows = append(rows, []string{filepath.Join(out, p.Name+".npy"), console.Grouped(p.Images), console.Grouped(p.Skipped), fmt.Sprintf("%s x %d", console.Grouped(p.Rows), m.Dim)})
	}
	if err := console.Table(c.Stdout, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Stdout, "%s: fingerprint %.16s\n", filepath.Join(out, features.ManifestFile), m.Fingerprint())
	return err
}

// extractTo makes the folder out as the flags say, or goes on with it.
func extractTo(c *console.Console, ctx *cli.Context, models []string, out string) (m features.Manifest, err error) {
	images, err := openImages(ctx)
	if err != nil {
		return m, err
	}
	e, err := OpenEmbedder(ctx, models)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	opts := extractOptions(ctx)
	show, progress := progressOf(c, ctx)
	opts.Progress = progress
	m, err = features.Extract(ctx.Context, out, e, images, opts)
	show.Finish()
	if errors.Is(err, context.Canceled) {
		c.Say("what is done is kept: run the same command again, and it goes on")
	}
	if err == nil {
		saySkipped(c, m.Skipped)
	}
	return m, err
}

// extractOptions reads the extractFlags.
func extractOptions(ctx *cli.Context) features.ExtractOptions {
	return features.ExtractOptions{Batch: ctx.Int("batch"), Workers: ctx.Int("threads"), Strict: ctx.Bool("strict"), Pooling: ctx.String("pool"), Unusable: inference.IsUnreadable}
}

// saySkipped lists images that could not be read: the first ones, and how many.
func saySkipped(c *console.Console, skipped []features.Skipped) {
	if len(skipped) == 0 {
		return
	}
	const most = 20
	c.Say("skipped %s that cannot be read:", console.Count(len(skipped), "image"))
	for _, s := range skipped[:min(most, len(skipped))] {
		c.Say("  %s: %s (%s)", console.Plain(s.Image), s.Reason, s.Part)
	}
	if more := len(skipped) - most; more > 0 {
		c.Say("  and %s more, which %s lists", console.Grouped(more), features.ManifestFile)
	}
}
