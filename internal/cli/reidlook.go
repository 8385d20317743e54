package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/dataset/market1501"
	"github.com/deepmutual/dml/internal/pixels"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/extract"
	"github.com/deepmutual/dml/reid/features"
	"github.com/deepmutual/dml/reid/ranking"
)

// withFeatures calls use with the folder of --features, or with one of features
// that the models make of --data, which is removed again.
func (c *console) withFeatures(ctx *cli.Context, models []string, use func(dir string) error) (err error) {
	if dir := ctx.String("features"); dir != "" {
		return use(dir)
	}
	dir, err := os.MkdirTemp("", "dml-reid-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if _, err := c.extract(ctx, models, dir); err != nil {
		return err
	}
	return use(dir)
}

// checkFeatureForm insists on --features or on models with --data, for a command
// of that name. With both, models are for images that are not in the features.
func checkFeatureForm(ctx *cli.Context, name string, models []string, both bool) error {
	switch hasFeatures := ctx.String("features") != ""; {
	case !hasFeatures && len(models) == 0:
		return usagef("%s needs --features F/, or ONNX files with --data", name)
	case hasFeatures && len(models) > 0 && !both:
		return usagef("%s takes features from one place, not from --features and from %s", name, strings.Join(models, " "))
	case !hasFeatures:
		return checkExtractFlags(ctx)
	}
	for _, flag := range extractFlags() {
		flagName := flag.Names()[0]
		shared := slices.Contains([]string{"data", "threads", "quiet"}, flagName)
		query := slices.Contains([]string{"preprocess", "flip", "provider", "pattern"}, flagName) && len(models) > 0
		if ctx.IsSet(flagName) && !shared && !query {
			return usagef("--%s is about making features with ONNX files, and those of --features are made", flagName)
		}
	}
	return checkThreads(ctx)
}

// metricFlag is that of commands that compare features.
func metricFlag() cli.Flag {
	return &cli.StringFlag{Name: "metric", Value: string(reid.Cosine), Usage: "compare by `cosine|euclidean|dot`; dot takes features as they are"}
}

func metricOf(ctx *cli.Context) (reid.Metric, error) {
	m := reid.Metric(ctx.String("metric"))
	if !slices.Contains(reid.Metrics(), m) {
		return "", usagef("--metric: %q is unknown; use cosine, euclidean or dot", m)
	}
	return m, nil
}

// imagesRoot is the folder that the names of a folder of features are relative
// to: that of --data, or of the data that they were made of.
func imagesRoot(ctx *cli.Context, m features.Manifest) (string, error) {
	place := ctx.String("data")
	if place == "" {
		place = m.Data.Path
	}
	info, err := os.Stat(place)
	if err != nil {
		return "", fmt.Errorf("the images to show: %w; say with --data where they are", err)
	}
	if !info.IsDir() {
		return filepath.Dir(place), nil
	}
	return place, nil
}

// partFolders are where Market-1501 has the images of a part, for labels that
// name files without their folder.
var partFolders = map[string]string{features.Query: "query", features.Gallery: "bounding_box_test"}

// itemsOf are rows of features with their images.
func itemsOf(rows []features.Row, root, part string) []ranking.Item {
	items := make([]ranking.Item, len(rows))
	for i, r := range rows {
		path := filepath.FromSlash(r.Name)
		if !filepath.IsAbs(path) {
			path = filepath.Join(root, path)
		}
		open := func() (io.ReadCloser, error) {
			f, err := openRegular(path)
			if errors.Is(err, os.ErrNotExist) {
				if f, again := openRegular(filepath.Join(root, partFolders[part], filepath.Base(path))); again == nil {
					return f, nil
				}
				err = fmt.Errorf("%w; say with --data where the images are", err)
			}
			return f, err
		}
		items[i] = ranking.Item{Image: ranking.Image{Name: r.Name, Open: open}, Label: r.Label}
	}
	return items
}

// openRegular opens a file; other things could block for ever.
func openRegular(path string) (io.ReadCloser, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is a folder or special file", path)
	}
	return os.Open(path)
}

// embedFiles makes the features of image files, some at a time.
func embedFiles(ctx context.Context, e reid.Embedder, paths []string) ([][]float32, error) {
	var out [][]float32
	for some := range slices.Chunk(paths, extract.DefaultBatch) {
		images := make([]image.Image, len(some))
		for i, path := range some {
			var err error
			if images[i], err = decodeFile(path); err != nil {
				return nil, err
			}
		}
		vectors, err := e.EmbedImages(ctx, images...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", strings.Join(some, ", "), err)
		}
		out = append(out, vectors...)
	}
	return out, nil
}

func decodeFile(path string) (image.Image, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	var data bytes.Buffer
	err = pixels.ReadEncoded(&data, f)
	var m image.Image
	if err == nil {
		m, err = pixels.DecodeStandard(data.Bytes())
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// labelOf reads a label from the name of an image, unknown where none fits.
func labelOf(path, pattern string) reid.Label {
	unknown := reid.Label{PID: reid.UnknownPID, Camera: reid.UnknownCamera}
	if pattern == "" {
		return unknown
	}
	p, err := market1501.ParsePattern(pattern)
	if err != nil {
		return unknown
	}
	name, err := p.Parse(filepath.ToSlash(path))
	if err != nil {
		return unknown
	}
	return reid.Label{PID: name.PID, Camera: name.Camera}
}
