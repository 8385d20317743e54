package retrieval

import (
	"errors"
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/reid/embedder"
)

// EmbedderFlags are those of commands that make features of images; see
// OpenEmbedder.
func EmbedderFlags() []cli.Flag {
	return []cli.Flag{
		inference.PreprocessFlag(),
		&cli.BoolFlag{Name: "flip", DisableDefaultText: true, Usage: "average the features of an image and of its mirror image"},
		&cli.StringFlag{Name: "provider", DefaultText: "CPU", Usage: "compute by ONNX Runtime's execution provider `NAME[,KEY=VALUE...]`"},
		console.ThreadsFlag(),
	}
}

// OpenEmbedder opens ONNX files as the embedderFlags say.
func OpenEmbedder(ctx *cli.Context, paths []string) (*embedder.Embedder, error) {
	if err := console.CheckThreads(ctx); err != nil {
		return nil, err
	}
	opts := embedder.Options{Infer: infer.Options{Threads: ctx.Int("threads")}, PresetName: ctx.String("preprocess"), Flip: ctx.Bool("flip")}
	var err error
	if opts.Infer.Provider, err = inference.Provider(ctx.String("provider")); err != nil {
		return nil, err
	}
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
