package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/infer"
)

func (c *console) inferCommand() *cli.Command {
	return &cli.Command{
		Name:      "infer",
		Usage:     "classify images with exported students",
		UsageText: "dml infer MODEL.onnx... IMAGE|DIR... [flags]",
		Description: "Several models answer as an ensemble, by the mean of their posteriors. Folders are\n" +
			"searched for JPEG and PNG files, recognised by their content. An image that cannot be\n" +
			"read is reported; the others are classified, and the exit code is 1.\n" +
			"Examples:\n" +
			"  dml infer resnet20-1.onnx cat.jpg\n" +
			"  dml infer runs/NAME/onnx/*.onnx photos/ --top 3 --json",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "top", Value: 5, Usage: "print the `K` most probable classes"},
			threadsFlag(),
			jsonFlag(),
		},
		Action: c.infer,
	}
}

// classified is the answer for one image.
type classified struct {
	Image string        `json:"image"`
	Top   []probability `json:"top"` // the most probable class first
}

type probability struct {
	Label       string  `json:"label"`
	Class       int     `json:"class"`
	Probability float32 `json:"probability"`
}

func (c *console) infer(ctx *cli.Context) error {
	models, places := splitModels(ctx.Args().Slice())
	switch {
	case len(models) == 0:
		return usagef("infer needs at least one ONNX file, and images or folders of images")
	case len(places) == 0:
		return usagef("infer needs an image, or a folder of images, after the ONNX files")
	case ctx.Int("top") < 1:
		return usagef("--top: %d is not positive", ctx.Int("top"))
	}
	if err := checkThreads(ctx); err != nil {
		return err
	}
	images, err := findImages(places)
	if err != nil {
		return err
	}
	opts := infer.Options{TopK: ctx.Int("top"), Threads: ctx.Int("threads")}
	// A cohort of one, too: it insists on metadata.
	cohort, err := openCohort(models, opts)
	if err != nil {
		return err
	}
	defer cohort.Close()
	results, unreadable, err := classify(ctx.Context, cohort, images)
	if err != nil {
		return err
	}
	if len(results) > 0 {
		if err := c.printClasses(ctx.Bool("json"), models, results); err != nil {
			return err
		}
	}
	return errors.Join(unreadable...)
}

// openCohort opens ONNX files that dml export wrote.
func openCohort(paths []string, opts infer.Options) (*infer.Cohort, error) {
	cohort, err := infer.OpenCohort(paths, opts)
	if errors.Is(err, infer.ErrNoMetadata) {
		err = fmt.Errorf("%w: give files that dml export wrote; for others write a program with package infer", err)
	}
	return cohort, err
}

func (c *console) printClasses(asJSON bool, models []string, results []classified) error {
	if asJSON {
		return writeJSON(c.stdout, struct {
			Models []string     `json:"models"`
			Images []classified `json:"images"`
		}{models, results})
	}
	rows := make([][]string, len(results))
	for i, r := range results {
		rows[i] = []string{r.Image}
		for _, p := range r.Top {
			rows[i] = append(rows[i], fmt.Sprintf("%s %s", p.Label, percent(float64(p.Probability))))
		}
	}
	return table(c.stdout, rows)
}

// splitModels divides arguments into ONNX files, which come first, and places
// to look for images in. Where nothing is called *.onnx, the first argument is
// the model.
func splitModels(args []string) (models, places []string) {
	for len(args) > 0 && strings.EqualFold(filepath.Ext(args[0]), ".onnx") {
		models, args = append(models, args[0]), args[1:]
	}
	if len(models) == 0 && len(args) > 0 {
		models, args = args[:1], args[1:]
	}
	return models, args
}

// classify predicts images some at a time, which bounds memory and the wait
// for an interrupt. It passes over images that cannot be read, and returns an
// error for each of them.
func classify(ctx context.Context, predictor infer.Predictor, paths []string) (results []classified, unreadable []error, err error) {
	const atOnce = 64
	for batch := range slices.Chunk(paths, atOnce) {
		answers, err := predict(ctx, predictor, batch)
		if !isUnreadable(err) {
			if err != nil {
				return nil, nil, err
			}
			results = append(results, answers...)
			continue
		}
		for i := range batch { // a batch fails as a whole: find out which
			answers, err := predict(ctx, predictor, batch[i:i+1])
			switch {
			case isUnreadable(err):
				unreadable = append(unreadable, err)
			case err != nil:
				return nil, nil, err
			}
			results = append(results, answers...)
		}
	}
	return results, unreadable, nil
}

// isUnreadable reports an error of one image: of its content or its file.
func isUnreadable(err error) bool {
	var file *fs.PathError
	return errors.Is(err, infer.ErrImage) || errors.As(err, &file)
}

func predict(ctx context.Context, predictor infer.Predictor, paths []string) ([]classified, error) {
	images := make([]infer.Image, len(paths))
	for i, path := range paths {
		images[i] = infer.FromFile(path)
	}
	predictions, err := predictor.Predict(ctx, images...)
	if err != nil {
		return nil, err
	}
	results := make([]classified, len(paths))
	for i, p := range predictions {
		results[i].Image = paths[i]
		for _, s := range p.Top {
			results[i].Top = append(results[i].Top, probability{Label: s.Label, Class: s.Class, Probability: s.Probability})
		}
	}
	return results, nil
}
