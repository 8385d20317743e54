package cli

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/extract"
	"github.com/deepmutual/dml/reid/features"
)

// embedderFlags are those of commands that make features of images; see
// openEmbedder.
func embedderFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "preprocess", Usage: "prepare images for models without metadata: `" + strings.Join(infer.PresetNames(), "|") + "|FILE.yaml`"},
		&cli.BoolFlag{Name: "flip", DisableDefaultText: true, Usage: "average the features of an image and of its mirror image"},
		&cli.StringFlag{Name: "provider", DefaultText: "CPU", Usage: "compute by ONNX Runtime's execution provider `NAME[,KEY=VALUE...]`"},
		threadsFlag(),
	}
}

// embedder is ONNX files that make features together: several are a cohort,
// whose features are put side by side. It must be closed.
type embedder struct {
	reid.Embedder
	recipe features.Recipe // whose Fingerprint the features have
	cohort *infer.Cohort
}

// Close frees the models.
func (e *embedder) Close() error { return e.cohort.Close() }

// openEmbedder opens ONNX files as the embedderFlags say.
func openEmbedder(ctx *cli.Context, paths []string) (*embedder, error) {
	if err := checkThreads(ctx); err != nil {
		return nil, err
	}
	opts := infer.Options{Threads: ctx.Int("threads")}
	var err error
	if opts.Provider, err = provider(ctx.String("provider")); err != nil {
		return nil, err
	}
	name := ctx.String("preprocess")
	if name != "" {
		if opts.Preset, err = preset(name); err != nil {
			return nil, err
		}
	}
	cohort, err := infer.OpenCohort(paths, opts)
	if errors.Is(err, infer.ErrNoMetadata) {
		err = fmt.Errorf("%w: say with --preprocess how images are prepared", err)
	}
	if err != nil {
		return nil, err
	}
	recipe, err := recipeOf(cohort, paths, name, opts.Preset)
	if err != nil {
		return nil, errors.Join(err, cohort.Close())
	}
	e := &embedder{Embedder: cohort, recipe: recipe, cohort: cohort}
	if e.recipe.Flip = ctx.Bool("flip"); e.recipe.Flip {
		e.Embedder = extract.Mirrored(cohort)
	}
	return e, nil
}

// recipeOf tells how a cohort of these files makes features.
func recipeOf(cohort *infer.Cohort, paths []string, presetName string, preset *infer.Preset) (features.Recipe, error) {
	info := cohort.Info()
	if info.Features == 0 {
		return features.Recipe{}, fmt.Errorf("%s: %w %q of a fixed length; export it with --outputs embedding, or for a model of other origin give --preprocess torchreid or a .yaml file with output: embedding",
			strings.Join(paths, ", "), infer.ErrNoOutput, "embedding")
	}
	r := features.Recipe{Normalisation: features.L2, Dim: info.Features, Preprocessing: features.Preprocessing{
		Preset: presetName, Height: info.Height, Width: info.Width, Interpolation: "bilinear", Mean: info.Mean, Std: info.Std, ChannelOrder: "rgb", Layout: "nchw",
	}}
	p := &r.Preprocessing
	if info.Channels == 1 {
		p.ChannelOrder = "grey"
	}
	if info.Uint8 {
		p.Layout = "nhwc"
	}
	if preset != nil {
		p.Interpolation, p.Crop = cmp.Or(preset.Interpolation, p.Interpolation), preset.Crop
		p.ChannelOrder, p.Layout, p.Output = cmp.Or(preset.ChannelOrder, p.ChannelOrder), cmp.Or(preset.Layout, p.Layout), preset.Output
	}
	for len(p.Mean) < info.Channels {
		p.Mean = append(p.Mean, 0)
	}
	for len(p.Std) < info.Channels {
		p.Std = append(p.Std, 1)
	}
	for i, student := range cohort.StudentInfo() {
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
