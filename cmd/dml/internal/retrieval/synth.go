package retrieval

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/dataset/walkers"
)

func synthCommand(c *console.Console) *cli.Command {
	usual := walkers.Options{}.WithDefaults()
	return &cli.Command{
		Name:      "synth",
		Usage:     "draw synthetic pedestrians, a data set to try re-identification on",
		UsageText: "dml reid synth DIR [flags]",
		Description: "Draws pedestrians who walk past cameras into DIR, a new folder, in the layout of Market-1501:\n" +
			"bounding_box_train, query, bounding_box_test (the gallery) and gt_bbox (multiple queries).\n" +
			"Each identity has clothes, hair, a build and perhaps a bag; each camera its place, height\n" +
			"and light; each image a pose, a box as of a detector, and perhaps something in front. The\n" +
			"same flags draw the same pictures, which nobody holds rights on.\n" +
			"Examples:\n" +
			"  dml reid synth walkers\n" +
			"  dml reid synth walkers --train 200 --test 100 --cameras 6 --difficulty hard\n" +
			"  dml train --data walkers --size 32x16 --student resnet8 --student resnet8 --batch 32 --epochs 24 --flip",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "train", Value: usual.TrainIdentities, Usage: "`N` identities to train on"},
			&cli.IntFlag{Name: "test", Value: usual.TestIdentities, Usage: "`N` other identities, to query"},
			&cli.IntFlag{Name: "cameras", Value: usual.Cameras, Usage: "`N` cameras, each of which sees everybody"},
			&cli.IntFlag{Name: "images", Value: usual.Images, Usage: "`N` images of each person by each camera, to train on and in the gallery"},
			&cli.Float64Flag{Name: "distractors", Value: 0.2, Usage: "add `SHARE` of the gallery: strangers, and false alarms of the detector (pid 0)"},
			&cli.Float64Flag{Name: "junk", Value: 0.1, Usage: "add `SHARE` of the gallery: boxes that miss the person (pid -1)"},
			&cli.StringFlag{Name: "difficulty", Value: string(usual.Difficulty), Usage: "`easy|medium|hard`: how much images of a person differ"},
			&cli.Uint64Flag{Name: "seed", Value: usual.Seed, Usage: "`N` decides who is drawn, and how"},
			console.ThreadsFlag(),
			console.QuietFlag(),
			console.JSONFlag(),
		},
		Action: func(ctx *cli.Context) error { return runSynth(c, ctx) },
	}
}

// synthesised is what reid synth prints for programs.
type synthesised struct {
	Dir        string             `json:"dir"`
	Seed       uint64             `json:"seed"`
	Difficulty walkers.Difficulty `json:"difficulty"`
	Cameras    int                `json:"cameras"`
	Identities identityCounts     `json:"identities"`
	Images     walkers.Counts     `json:"images"`
}

type identityCounts struct {
	Train int `json:"train"`
	Test  int `json:"test"`
}

func runSynth(c *console.Console, ctx *cli.Context) error {
	if ctx.NArg() != 1 || ctx.Args().First() == "" {
		return console.Usagef("reid synth needs a folder to write into, and no other argument")
	}
	if err := console.CheckThreads(ctx); err != nil {
		return err
	}
	for _, name := range []string{"train", "test", "cameras", "images"} {
		if ctx.Int(name) == 0 { // which would be the default
			return console.Usagef("--%s cannot be 0; leave it out for the default", name)
		}
	}
	if ctx.Uint64("seed") == 0 {
		return console.Usagef("--seed cannot be 0; leave it out for the default")
	}
	set, err := walkers.New(walkers.Options{
		Seed: ctx.Uint64("seed"), TrainIdentities: ctx.Int("train"), TestIdentities: ctx.Int("test"), Cameras: ctx.Int("cameras"), Images: ctx.Int("images"),
		Distractors: ctx.Float64("distractors"), Junk: ctx.Float64("junk"), Difficulty: walkers.Difficulty(ctx.String("difficulty")),
	})
	if errors.Is(err, walkers.ErrOptions) {
		return console.Usagef("%w", err)
	}
	if err != nil {
		return err
	}
	dir := ctx.Args().First()
	show := console.NewCounter(c.Stderr, ctx.Bool("quiet"), "drawing", "images")
	err = set.Write(ctx.Context, dir, walkers.WriteOptions{Workers: ctx.Int("threads"), Progress: show.Set})
	show.Finish()
	if err != nil {
		return err
	}
	o, n := set.Options(), set.Counts()
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, synthesised{dir, o.Seed, o.Difficulty, o.Cameras, identityCounts{o.TrainIdentities, o.TestIdentities}, n})
	}
	if err := console.Table(c.Stdout, [][]string{
		{"PART", "FOLDER", "IMAGES", "IDENTITIES"},
		{"training", "bounding_box_train", console.Grouped(n.Train), console.Grouped(o.TrainIdentities)},
		{"query", "query", console.Grouped(n.Query), console.Grouped(o.TestIdentities) + ", others"},
		{"gallery", "bounding_box_test", console.Grouped(n.Gallery), fmt.Sprintf("the same; %s, %s junk", console.Count(n.Distractors, "distractor"), console.Grouped(n.Junk))},
		{"multiple queries", "gt_bbox", console.Grouped(n.MultiQuery), "the same"},
	}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Stdout, "\nDrawn into %s, of %d cameras (seed %d, %s).\nTrain two students on it:  %s\n", filepath.Clean(dir), o.Cameras, o.Seed, o.Difficulty,
		c.Command("train", "--data", dir, "--size", "32x16",
			"--student", "resnet8", "--student", "resnet8", "--batch", "32", "--epochs", "24", "--flip"))
	return err
}
