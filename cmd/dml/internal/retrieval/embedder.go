package retrieval

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/reid/embedder"
)

// EmbedderFlags are those of commands that make features of images; see
// OpenEmbedder.
func EmbedderFlags() []cli.Flag {
	return append([]cli.Flag{
		inference.PreprocessFlag(),
		&cli.BoolFlag{Name: "flip", DisableDefaultText: true, Usage: "average the features of an image and of its mirror image"},
	}, inference.ComputeFlags()...)
}

// OpenEmbedder opens ONNX files as the embedderFlags say.
func OpenEmbedder(ctx *cli.Context, paths []string) (*embedder.Embedder, error) {
	compute, err := inference.ComputeOptions(ctx)
	if err != nil {
		return nil, err
	}
	opts := embedder.Options{Infer: compute, PresetName: ctx.String("preprocess"), Flip: ctx.Bool("flip")}
	if opts.PresetName != "" {
		if opts.Infer.Preset, err = inference.Preset(opts.PresetName); err != nil {
			return nil, err
		}
	}
	e, err := embedder.Open(paths, opts)
	switch {
	case errors.Is(err, infer.ErrNoMetadata):
		err = fmt.Errorf("%w: say with --preprocess how images are prepared", err)
	case errors.Is(err, infer.ErrNoOutput):
		err = fmt.Errorf("%w; export it with --outputs embedding, or for a third-party model give --preprocess torchreid or a .yaml file with output: embedding", err)
	}
	return e, err
}
