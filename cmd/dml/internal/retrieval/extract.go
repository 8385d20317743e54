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
	"github.com/deepmutual/dml/reid/extract"
	"github.com/deepmutual/dml/reid/features"
)

func extractCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "extract",
		Usage:     "make the features of persons' images",
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
		}, ExtractFlags(), []cli.Flag{console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return runExtract(c, ctx) },
	}
}

// ExtractFlags are those of verbs that make features of data.
func ExtractFlags() []cli.Flag {
	return console.Group("Making features of images", slices.Concat([]cli.Flag{
		&cli.StringFlag{Name: "data", Usage: "make features of the images of `DIR|LIST.csv`"},
		&cli.StringFlag{Name: "pattern", DefaultText: "recognised", Usage: "read persons from file names by `PATTERN`: " + strings.Join(identities.Patterns(), ", ") + ", or a regular expression with groups pid and camera"},
		&cli.StringFlag{Name: "pool", DefaultText: "none", Usage: "`track` averages the features of a track's images: a row a track"},
		&cli.BoolFlag{Name: "strict", DisableDefaultText: true, Usage: "stop at an image that cannot be read"},
		&cli.IntFlag{Name: "batch", Value: extract.DefaultBatch, Usage: "`N` images at a time"},
		console.QuietFlag(),
	}, EmbedderFlags())...)
}

// checkExtractFlags checks the flags that opening no file can.
func checkExtractFlags(ctx *cli.Context) error {
	if ctx.String("data") == "" {
		return console.Usagef("ONNX files need --data, the images to make features of")
	}
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
	if err := checkExtractFlags(ctx); err != nil {
		return err
	}
	m, err := makeFeatures(c, ctx, models, out, nil)
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

// extract makes the folder out as the extractFlags say, or goes on with it, and
// tells which images it has skipped. Images that only, if
// there is such a function, takes out of the source are left out.
func makeFeatures(c *console.Console, ctx *cli.Context, models []string, out string, only func(*extract.Source) error) (m features.Manifest, err error) {
	var source extract.SourceOptions
	if text := ctx.String("pattern"); text != "" {
		if source.Pattern, err = identities.ParsePattern(text); err != nil {
			return m, console.Usagef("--pattern: %w", err)
		}
	}
	src, err := extract.Open(ctx.String("data"), source)
	if errors.Is(err, identities.ErrName) && source.Pattern == nil {
		err = fmt.Errorf("%w with --pattern, or list the images in a .csv file with the columns path,pid,camid, of which the last two may be empty", err)
	}
	if err != nil {
		return m, err
	}
	if only != nil {
		if err := only(src); err != nil {
			return m, err
		}
	}
	e, err := OpenEmbedder(ctx, models)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	show := console.NewCounter(c.Stderr, ctx.Bool("quiet"), "features", "images")
	begun := false
	progress := func(done, total int) {
		if !begun && done > 0 && done < total {
			show.Resume(done, total)
		}
		begun = true
		show.Set(done, total)
	}
	m, err = extract.Run(ctx.Context, out, e.Recipe(), e, src, extract.Options{
		Batch: ctx.Int("batch"), Workers: ctx.Int("threads"), Strict: ctx.Bool("strict"), Pooling: ctx.String("pool"),
		Unusable: inference.IsUnreadable, Progress: progress,
	})
	show.Finish()
	if errors.Is(err, context.Canceled) && ctx.Command.Name == "extract" {
		c.Say("what is done is kept: run the same command again, and it goes on")
	}
	if err != nil {
		return m, err
	}
	saySkipped(c, m)
	return m, nil
}

// saySkipped lists images that could not be read: the first ones, and how many.
func saySkipped(c *console.Console, m features.Manifest) {
	if len(m.Skipped) == 0 {
		return
	}
	const most = 20
	c.Say("skipped %s that cannot be read:", console.Count(len(m.Skipped), "image"))
	for _, s := range m.Skipped[:min(most, len(m.Skipped))] {
		c.Say("  %s: %s (%s)", console.Plain(s.Image), s.Reason, s.Part)
	}
	if more := len(m.Skipped) - most; more > 0 {
		c.Say("  and %s more, which %s lists", console.Grouped(more), features.ManifestFile)
	}
}
