package cli

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/pixels"
)

func (c *console) inferCommand() *cli.Command {
	return &cli.Command{
		Name:      "infer",
		Usage:     "classify images with exported students",
		UsageText: "dml infer MODEL.onnx... IMAGE|DIR... [flags]",
		Description: "Several models answer as an ensemble, by the mean of their posteriors. Folders are\n" +
			"searched for JPEG and PNG files, recognised by their content.\n" +
			"Examples:\n" +
			"  dml infer resnet20-1.onnx cat.jpg\n" +
			"  dml infer runs/NAME/onnx/*.onnx photos/ --top 3 --json",
		Flags: []cli.Flag{
			&cli.IntFlag{Name: "top", Value: 5, Usage: "print the `K` most probable classes"},
			&cli.IntFlag{Name: "threads", DefaultText: "the processor's cores", Usage: "use `N` threads"},
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
	case ctx.Int("top") < 1 || ctx.Int("threads") < 0:
		return usagef("--top must be positive, --threads not negative")
	}
	images, err := findImages(places)
	if err != nil {
		return err
	}
	opts := infer.Options{TopK: ctx.Int("top"), Threads: ctx.Int("threads")}
	var predictor infer.Predictor
	if len(models) == 1 {
		predictor, err = infer.Open(models[0], opts)
	} else {
		predictor, err = infer.OpenCohort(models, opts)
	}
	if err != nil {
		return err
	}
	defer predictor.Close()
	results, err := classify(ctx.Context, predictor, images)
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
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

// findImages lists the files given and the images in the folders given, in the
// order of their names. A folder without an image is an error.
func findImages(places []string) ([]string, error) {
	var images []string
	for _, place := range places {
		info, err := os.Stat(place)
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			images = append(images, place)
			continue
		}
		before := len(images)
		err = filepath.WalkDir(place, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			is, err := isImage(path)
			if is {
				images = append(images, path)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(images) == before {
			return nil, fmt.Errorf("%s holds no JPEG or PNG file", place)
		}
	}
	return images, nil
}

// isImage looks at the first bytes of a file.
func isImage(path string) (bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, pixels.SniffLen)
	n, err := io.ReadFull(f, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil // a short file
	}
	return pixels.Sniff(head[:n]) != "", err
}

// classify predicts images some at a time, which bounds memory and the wait
// for an interrupt.
func classify(ctx context.Context, predictor infer.Predictor, paths []string) ([]classified, error) {
	const atOnce = 64
	results := make([]classified, 0, len(paths))
	for len(paths) > 0 {
		n := min(len(paths), atOnce)
		images := make([]infer.Image, n)
		for i, path := range paths[:n] {
			images[i] = infer.FromFile(path)
		}
		predictions, err := predictor.Predict(ctx, images...)
		if err != nil {
			return nil, err
		}
		for i, p := range predictions {
			r := classified{Image: paths[i]}
			for _, s := range p.Top {
				r.Top = append(r.Top, probability{Label: s.Label, Class: s.Class, Probability: s.Probability})
			}
			results = append(results, r)
		}
		paths = paths[n:]
	}
	return results, nil
}
