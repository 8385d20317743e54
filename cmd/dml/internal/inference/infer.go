// Package inference holds the verb infer, and what verbs that run ONNX files
// share.
package inference

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/infer"
)

// InferCommand is dml infer.
func InferCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "infer",
		Usage:     "classify images with exported students",
		UsageText: "dml infer MODEL.onnx... IMAGE|DIR... [flags]",
		Description: "Several models answer as an ensemble, by the mean of their posteriors. Folders are\n" +
			"searched for JPEG and PNG files, recognised by their content. An image that cannot be\n" +
			"read is reported; the others are classified, and the exit code is 1.\n" +
			"Models of other origin need --preprocess, which names a common way to prepare images or a\n" +
			"YAML file with any of height, width, interpolation (bilinear, bicubic, nearest), crop, mean,\n" +
			"std, channel_order (rgb, bgr, grey), layout (nchw, nhwc), output (logits, probabilities,\n" +
			"embedding) and classes.\n" +
			"Examples:\n" +
			"  dml infer resnet20-1.onnx cat.jpg\n" +
			"  dml infer runs/NAME/onnx/*.onnx photos/ --top 3 --json\n" +
			"  dml infer osnet.onnx crops/ --preprocess torchreid --embed",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "top", Value: 5, Usage: "print the `K` most probable classes"},
			&cli.BoolFlag{Name: "embed", DisableDefaultText: true, Usage: "print embeddings, of length 1, instead of classes"},
			PreprocessFlag(),
			&cli.StringFlag{Name: "ensemble", Value: "probabilities", Usage: "average the models' `probabilities|logits`"},
			&cli.StringFlag{Name: "weights", DefaultText: "equal", Usage: "weigh the models by `W1,W2,...`"},
			&cli.StringFlag{Name: "provider", DefaultText: "CPU", Usage: "compute by ONNX Runtime's execution provider `NAME[,KEY=VALUE...]`"},
			console.ThreadsFlag(),
			console.JSONFlag(),
		},
		Action: func(ctx *cli.Context) error { return runInfer(c, ctx) },
	}
}

// classified is what dml infer prints of an image as JSON.
type classified struct {
	Image string        `json:"image"`
	Top   []infer.Score `json:"top"` // the most probable class first
}

func runInfer(c *console.Console, ctx *cli.Context) error {
	models, places := splitModels(ctx.Args().Slice())
	switch {
	case len(models) == 0:
		return console.Usagef("infer needs ONNX files, then images or folders of images")
	case len(places) == 0:
		return console.Usagef("infer needs ONNX files, then images or folders of images")
	case ctx.Int("top") < 1:
		return console.Usagef("--top: %d is not positive", ctx.Int("top"))
	}
	if err := console.CheckThreads(ctx); err != nil {
		return err
	}
	images, err := FindImages(places)
	if err != nil {
		return err
	}
	opts, err := inferOptions(ctx, len(models))
	if err != nil {
		return err
	}
	cohort, err := OpenCohort(models, opts)
	if err != nil {
		return err
	}
	defer cohort.Close()
	if ctx.Bool("embed") {
		return embed(c, ctx, cohort, models, images)
	}
	results, unreadable, err := eachReadable(ctx.Context, predict(cohort), images)
	if err != nil {
		return err
	}
	if len(results) > 0 {
		if err := printClasses(c, ctx.Bool("json"), models, results); err != nil {
			return err
		}
	}
	return errors.Join(unreadable...)
}

// OpenCohort opens ONNX files that dml export wrote.
func OpenCohort(paths []string, opts infer.Options) (*infer.Model, error) {
	m, err := infer.Open(opts, paths...)
	if err == nil && !m.Info().Images {
		err = errors.Join(fmt.Errorf("%s: %w", paths[0], infer.ErrNoMetadata), m.Close())
	}
	if errors.Is(err, infer.ErrNoMetadata) {
		err = fmt.Errorf("%w: give files that dml export wrote; dml infer takes others with --preprocess", err)
	}
	return m, err
}

func printClasses(c *console.Console, asJSON bool, models []string, results []classified) error {
	if asJSON {
		return console.WriteJSON(c.Stdout, struct {
			Models []string     `json:"models"`
			Images []classified `json:"images"`
		}{models, results})
	}
	rows := make([][]string, len(results))
	for i, r := range results {
		rows[i] = []string{r.Image}
		for _, p := range r.Top {
			rows[i] = append(rows[i], fmt.Sprintf("%s %s", p.Label, console.Percent(float64(p.Probability))))
		}
	}
	return console.Table(c.Stdout, rows)
}

// splitModels divides arguments into ONNX files, which come first, and places
// to look for images in. Where nothing is called *.onnx, the first argument is
// the model.
func splitModels(args []string) (models, places []string) {
	for len(args) > 0 && IsModel(args[0]) {
		models, args = append(models, args[0]), args[1:]
	}
	if len(models) == 0 && len(args) > 0 {
		models, args = args[:1], args[1:]
	}
	return models, args
}

// asker answers for some images, by their paths; it fails as a whole.
type asker[T any] func(ctx context.Context, images []infer.Image, paths []string) ([]T, error)

// eachReadable asks about images some at a time, which bounds memory and the
// wait for an interrupt. It passes over images that cannot be read, and returns
// an error for each of them.
func eachReadable[T any](ctx context.Context, ask asker[T], paths []string) (results []T, unreadable []error, err error) {
	const atOnce = 64
	some := func(paths []string) ([]T, error) {
		images := make([]infer.Image, len(paths))
		for i, path := range paths {
			images[i] = infer.FromFile(path)
		}
		return ask(ctx, images, paths)
	}
	for batch := range slices.Chunk(paths, atOnce) {
		answers, err := some(batch)
		if !IsUnreadable(err) {
			if err != nil {
				return nil, nil, err
			}
			results = append(results, answers...)
			continue
		}
		for i := range batch { // a batch fails as a whole: find out which
			answers, err := some(batch[i : i+1])
			switch {
			case IsUnreadable(err):
				unreadable = append(unreadable, err)
			case err != nil:
				return nil, nil, err
			}
			results = append(results, answers...)
		}
	}
	return results, unreadable, nil
}

// IsUnreadable reports an error of one image: of its content or its file.
func IsUnreadable(err error) bool {
	var file *fs.PathError
	return errors.Is(err, infer.ErrImage) || errors.As(err, &file)
}

// predict asks for classes.
func predict(predictor *infer.Model) asker[classified] {
	return func(ctx context.Context, images []infer.Image, paths []string) ([]classified, error) {
		predictions, err := predictor.Predict(ctx, images...)
		if err != nil {
			return nil, err
		}
		results := make([]classified, len(paths))
		for i, p := range predictions {
			results[i] = classified{paths[i], p.Top}
		}
		return results, nil
	}
}
