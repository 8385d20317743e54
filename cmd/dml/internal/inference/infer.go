// Package inference holds the verb infer, and what verbs that run ONNX files
// share.
package inference

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

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
			"searched for image files, recognised by their content. An image that cannot be\n" +
			"read is reported; the others are classified, and the exit code is 1.\n" +
			"Third-party models need --preprocess, which names a common way to prepare images or a\n" +
			"YAML file with any of height, width, interpolation (bilinear, bicubic, nearest), crop, mean,\n" +
			"std, channel_order (rgb, bgr, grey), layout (nchw, nhwc), output (logits, probabilities,\n" +
			"embedding) and classes.\n" +
			"Examples:\n" +
			"  dml infer resnet20-1.onnx cat.jpg\n" +
			"  dml infer runs/NAME/onnx/*.onnx photos/ --top 3 --json\n" +
			"  dml infer osnet.onnx crops/ --preprocess torchreid --embed",
		Flags: append([]cli.Flag{
			&cli.IntFlag{Name: "top", Value: 5, Usage: "print the `K` most probable classes"},
			&cli.BoolFlag{Name: "embed", DisableDefaultText: true, Usage: "print embeddings, of length 1, instead of classes"},
			PreprocessFlag(),
			&cli.StringFlag{Name: "ensemble", Value: "probabilities", Usage: "average the models' `probabilities|logits`"},
			&cli.StringFlag{Name: "weights", DefaultText: "equal", Usage: "weigh the models by `W1,W2,...`"},
			console.JSONFlag(),
		}, ComputeFlags()...),
		Action: func(ctx *cli.Context) error { return runInfer(c, ctx) },
	}
}

// classified is what dml infer prints of an image as JSON.
type classified struct {
	Image string        `json:"image"`
	Top   []infer.Score `json:"top"` // the most probable class first
}

// embedded is what dml infer --embed prints of an image as JSON.
type embedded struct {
	Image     string    `json:"image"`
	Embedding []float32 `json:"embedding"`
}

// answer is all that it prints as JSON.
type answer[T any] struct {
	Models []string `json:"models"`
	Images []T      `json:"images"`
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
	opts, err := inferOptions(ctx, len(models))
	if err != nil {
		return err
	}
	images, err := FindImages(places)
	if err != nil {
		return err
	}
	model, err := Open(models, opts)
	if err != nil {
		return err
	}
	defer model.Close()
	if ctx.Bool("embed") {
		vectors, unreadable, err := askEach(ctx.Context, images, model.Embed)
		if err == nil && len(vectors) > 0 {
			err = printVectors(c, ctx.Bool("json"), models, vectors)
		}
		return errors.Join(append(unreadable, err)...)
	}
	predictions, unreadable, err := askEach(ctx.Context, images, model.Predict)
	if err == nil && len(predictions) > 0 {
		err = printClasses(c, ctx.Bool("json"), models, predictions)
	}
	return errors.Join(append(unreadable, err)...)
}

// Open opens ONNX files that dml export wrote, or that opts has a preset for.
func Open(paths []string, opts infer.Options) (*infer.Model, error) {
	m, err := infer.Open(opts, paths...)
	if err == nil && !m.Info().Images {
		err = errors.Join(fmt.Errorf("%s: %w", paths[0], infer.ErrNoMetadata), m.Close())
	}
	if errors.Is(err, infer.ErrNoMetadata) {
		err = fmt.Errorf("%w: give files that dml export wrote; dml infer takes others with --preprocess", err)
	}
	return m, err
}

func printClasses(c *console.Console, asJSON bool, models []string, predictions []answered[infer.Prediction]) error {
	rows := make([][]string, len(predictions))
	images := make([]classified, len(predictions))
	for i, p := range predictions {
		images[i] = classified{p.path, p.answer.Top}
		rows[i] = []string{p.path}
		for _, s := range p.answer.Top {
			rows[i] = append(rows[i], fmt.Sprintf("%s %s", s.Label, console.Percent(float64(s.Probability))))
		}
	}
	if asJSON {
		return console.WriteJSON(c.Stdout, answer[classified]{models, images})
	}
	return console.Table(c.Stdout, rows)
}

func printVectors(c *console.Console, asJSON bool, models []string, vectors []answered[[]float32]) error {
	images := make([]embedded, len(vectors))
	for i, v := range vectors {
		images[i] = embedded{v.path, v.answer}
	}
	if asJSON {
		return console.WriteJSON(c.Stdout, answer[embedded]{models, images})
	}
	for _, e := range images {
		if _, err := fmt.Fprintln(c.Stdout, console.Plain(e.Image), strings.Trim(fmt.Sprint(e.Embedding), "[]")); err != nil {
			return err
		}
	}
	return nil
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

// answered is what was asked of an image.
type answered[T any] struct {
	path   string
	answer T
}

// askEach asks about images some at a time, which bounds memory and the wait for an
// interrupt. It returns the error of each image that cannot be read beside the
// others' answers.
func askEach[T any](ctx context.Context, paths []string, ask func(context.Context, ...infer.Image) ([]T, error)) (out []answered[T], unreadable []error, err error) {
	const atOnce = 64
	for batch := range slices.Chunk(paths, atOnce) {
		images := make([]infer.Image, len(batch))
		for i, path := range batch {
			images[i] = infer.FromFile(path)
		}
		answers, err := ask(ctx, images...)
		var faults *infer.ImagesError
		if err != nil && !errors.As(err, &faults) {
			return nil, nil, err
		}
		for i, path := range batch {
			switch {
			case faults == nil || faults.Errs[i] == nil:
				out = append(out, answered[T]{path, answers[i]})
			case IsUnreadable(faults.Errs[i]):
				unreadable = append(unreadable, faults.Errs[i])
			default:
				return nil, nil, fmt.Errorf("%s: %w", path, faults.Errs[i])
			}
		}
	}
	return out, unreadable, nil
}

// IsUnreadable reports an error of one image: of its content or its file.
func IsUnreadable(err error) bool {
	var file *fs.PathError
	return errors.Is(err, infer.ErrImage) || errors.As(err, &file)
}
