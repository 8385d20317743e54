package cli

import (
	"errors"
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/reid/embedder"
)

// embedderFlags are those of commands that make features of images; see
// openEmbedder.
func embedderFlags() []cli.Flag {
	return []cli.Flag{
		preprocessFlag(),
		&cli.BoolFlag{Name: "flip", DisableDefaultText: true, Usage: "average the features of an image and of its mirror image"},
		&cli.StringFlag{Name: "provider", DefaultText: "CPU", Usage: "compute by ONNX Runtime's execution provider `NAME[,KEY=VALUE...]`"},
		threadsFlag(),
	}
}

func preprocessFlag() cli.Flag {
	return &cli.StringFlag{Name: "preprocess", Usage: "prepare images for models without metadata by `HOW`: " + strings.Join(infer.PresetNames(), ", ") + ", or a .yaml file"}
}

// openEmbedder opens ONNX files as the embedderFlags say.
func openEmbedder(ctx *cli.Context, paths []string) (*embedder.Embedder, error) {
	if err := checkThreads(ctx); err != nil {
		return nil, err
	}
	opts := embedder.Options{Infer: infer.Options{Threads: ctx.Int("threads")}, PresetName: ctx.String("preprocess"), Flip: ctx.Bool("flip")}
	var err error
	if opts.Infer.Provider, err = provider(ctx.String("provider")); err != nil {
		return nil, err
	}
	if opts.PresetName != "" {
		if opts.Infer.Preset, err = preset(opts.PresetName); err != nil {
			return nil, err
		}
	}
	e, err := embedder.Open(paths, opts)
	switch {
	case errors.Is(err, infer.ErrNoMetadata):
		err = fmt.Errorf("%w: say with --preprocess how images are prepared", err)
	case errors.Is(err, infer.ErrNoOutput):
		err = fmt.Errorf("%w; export it with --outputs embedding, or for a model of other origin give --preprocess torchreid or a .yaml file with output: embedding", err)
	}
	return e, err
}
