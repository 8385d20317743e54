// Package embedder opens ONNX files as what makes features of people: models of
// package infer together with the fingerprint of their features, by which
// galleries, thresholds and folders of features refuse those of other models.
//
//	e, err := embedder.Open([]string{"a.onnx", "b.onnx"}, embedder.Options{})
//	if err != nil { ... }
//	defer e.Close()
//	gallery, err := reid.OpenGallery("people", e.Fingerprint())
//	if err != nil { ... }
//	defer gallery.Close()
//	vectors, err := e.Embed(ctx, infer.FromBytes(upload))
//	if err != nil { ... }
//	hits, err := gallery.Search(ctx, vectors[0], reid.SearchOptions{Top: 5})
//
// These are the features that dml reid extract and dml reid gallery make of the
// same files and settings.
package embedder

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// Options says how to open models. The zero value is what dml reid extract does
// without flags.
type Options struct {
	// Infer opens the models. Its Preset prepares images for models of other
	// origin. Ensemble must be its zero value, as in the command: features are
	// put side by side, in equal weight.
	Infer infer.Options
	// PresetName is what people call that preset, "torchreid" or the name of a
	// file, to be kept in Recipe. It does not change the fingerprint.
	PresetName string
	// Flip takes the mean of the features of an image and of its mirror image.
	Flip bool
}

// Embedder is models that make features together; those of several are put side
// by side. It is a reid.Embedder, and safe for concurrent use.
type Embedder struct {
	images reid.Embedder // the model, mirrored where so asked
	model  *infer.Model
	recipe features.Recipe
}

// Open opens every file. Close the Embedder after use. The error wraps
// infer.ErrNoMetadata where a model needs a preset, infer.ErrNoOutput where one
// has no embedding; see also infer.Open.
func Open(paths []string, opts Options) (*Embedder, error) {
	if e := opts.Infer.Ensemble; e.Logits || e.AverageEmbeddings || len(e.Weights) > 0 {
		return nil, fmt.Errorf("%w: embedder: Infer.Ensemble: features are put side by side, in equal weight", reid.ErrOptions)
	}
	model, err := infer.Open(opts.Infer, paths...)
	if err != nil {
		return nil, err
	}
	recipe, err := recipeOf(model, paths, opts)
	if err != nil {
		return nil, errors.Join(err, model.Close())
	}
	e := &Embedder{images: model, model: model, recipe: recipe}
	if opts.Flip {
		e.images = features.Mirrored(model)
	}
	return e, nil
}

// Recipe is how the features are made; Recipe().Dim is how many an image has.
func (e *Embedder) Recipe() features.Recipe { return e.recipe }

// Fingerprint identifies the recipe: reid.OpenGallery asks for it.
func (e *Embedder) Fingerprint() string { return e.recipe.Fingerprint() }

// EmbedImages returns the features of decoded images, of length 1 (L2).
func (e *Embedder) EmbedImages(ctx context.Context, images ...image.Image) ([][]float32, error) {
	return e.images.EmbedImages(ctx, images...)
}

// Embed is EmbedImages of files or their bytes. Where single images are at fault, the
// error is an *infer.ImagesError, which wraps infer.ErrImage where one cannot be
// decoded, and the others' features are there.
func (e *Embedder) Embed(ctx context.Context, images ...infer.Image) ([][]float32, error) {
	if !e.recipe.Flip {
		return e.model.Embed(ctx, images...)
	}
	out, faults := make([][]float32, len(images)), make([]error, len(images))
	var decoded []image.Image
	var at []int
	for i, m := range images {
		img, err := e.model.Decode(ctx, m)
		switch {
		case ctx.Err() != nil || errors.Is(err, infer.ErrClosed):
			return nil, err
		case err != nil:
			faults[i] = err
		default:
			decoded, at = append(decoded, img), append(at, i)
		}
	}
	if len(decoded) > 0 {
		vectors, err := e.images.EmbedImages(ctx, decoded...)
		var single reid.ImagesError
		if err != nil && !errors.As(err, &single) {
			return nil, err
		}
		for k, i := range at {
			out[i] = vectors[k]
			if single != nil {
				faults[i] = single.ImageErrors()[k]
			}
		}
	}
	if errors.Join(faults...) != nil {
		return out, &infer.ImagesError{Errs: faults}
	}
	return out, nil
}

// Close frees the models when calls under way have finished.
func (e *Embedder) Close() error { return e.model.Close() }

// recipeOf tells how a model of these files makes features.
func recipeOf(model *infer.Model, paths []string, opts Options) (features.Recipe, error) {
	info := model.Info()
	if !info.Images {
		return features.Recipe{}, fmt.Errorf("%s: %w", strings.Join(paths, ", "), infer.ErrNoMetadata)
	}
	if info.Features == 0 {
		return features.Recipe{}, fmt.Errorf("%s: %w %q of a fixed length", strings.Join(paths, ", "), infer.ErrNoOutput, "embedding")
	}
	r := features.Recipe{Normalisation: features.L2, Flip: opts.Flip, Dim: info.Features, Preprocessing: features.Preprocessing{
		Preset: opts.PresetName, Height: info.Height, Width: info.Width, Interpolation: "bilinear",
		Mean: slices.Clone(info.Mean), Std: slices.Clone(info.Std), ChannelOrder: "rgb", Layout: "nchw",
	}}
	p := &r.Preprocessing
	if info.Channels == 1 {
		p.ChannelOrder = "grey"
	}
	if info.Uint8 {
		p.Layout = "nhwc"
	}
	if preset := opts.Infer.Preset; preset != nil {
		p.Interpolation, p.Crop = cmp.Or(preset.Interpolation, p.Interpolation), preset.Crop
		p.ChannelOrder, p.Layout, p.Output = cmp.Or(preset.ChannelOrder, p.ChannelOrder), cmp.Or(preset.Layout, p.Layout), preset.Output
	}
	for len(p.Mean) < info.Channels {
		p.Mean = append(p.Mean, 0)
	}
	for len(p.Std) < info.Channels {
		p.Std = append(p.Std, 1)
	}
	for i, student := range model.Networks() {
		sum, err := fileSHA256(paths[i])
		if err != nil {
			return features.Recipe{}, err
		}
		r.Models = append(r.Models, features.Model{File: filepath.Base(paths[i]), SHA256: sum, Features: student.Features})
	}
	return r, r.Validate()
}

// fileSHA256 is the checksum of a file, in hexadecimal.
func fileSHA256(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close() // opened for reading: nothing is lost if this fails
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
