package retrieval

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

	"github.com/deepmutual/dml/dataset/identities"
	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/internal/pixels"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/extract"
	"github.com/deepmutual/dml/reid/features"
	"github.com/deepmutual/dml/reid/ranking"
)

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

// itemsOf are rows of features with their images.
func itemsOf(rows []features.Row, root, part string) []ranking.Item {
	items := make([]ranking.Item, len(rows))
	for i, r := range rows {
		path := filepath.FromSlash(r.Name)
		if !filepath.IsAbs(path) {
			path = filepath.Join(root, path)
		}
		open := func() (io.ReadCloser, error) {
			f, err := files.Open(path)
			if errors.Is(err, os.ErrNotExist) {
				// Labels may name files without their folder.
				if f, again := files.Open(filepath.Join(root, identities.Part(part).Folder(), filepath.Base(path))); again == nil {
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

// EmbedFiles makes the features of image files, some at a time.
func EmbedFiles(ctx context.Context, e reid.Embedder, paths []string) ([][]float32, error) {
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
	f, err := files.Open(path)
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
	var unknown reid.Label
	if pattern == "" {
		return unknown
	}
	p, err := identities.ParsePattern(pattern)
	if err != nil {
		return unknown
	}
	name, err := p.Parse(filepath.ToSlash(path))
	if err != nil {
		return unknown
	}
	return reid.Label{PID: reid.Number(name.PID), Camera: reid.Number(name.Camera)}
}
