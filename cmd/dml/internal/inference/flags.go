package inference

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/files"
)

// inferOptions reads the flags of infer for so many models.
func inferOptions(ctx *cli.Context, models int) (infer.Options, error) {
	opts := infer.Options{TopK: ctx.Int("top"), Threads: ctx.Int("threads")}
	switch ctx.String("ensemble") {
	case "probabilities":
	case "logits":
		opts.Ensemble.Logits = true
	default:
		return opts, console.Usagef("--ensemble: %q is neither probabilities nor logits", ctx.String("ensemble"))
	}
	if text := ctx.String("weights"); text != "" {
		for field := range strings.SplitSeq(text, ",") {
			w, err := strconv.ParseFloat(strings.TrimSpace(field), 64)
			if err != nil || !(w > 0) {
				return opts, console.Usagef("--weights: %q is no positive number", field)
			}
			opts.Ensemble.Weights = append(opts.Ensemble.Weights, w)
		}
		if n := len(opts.Ensemble.Weights); n != models {
			return opts, console.Usagef("--weights: %d weights for %d models", n, models)
		}
	}
	var err error
	if opts.Provider, err = Provider(ctx.String("provider")); err != nil {
		return opts, err
	}
	if name := ctx.String("preprocess"); name != "" {
		opts.Preset, err = Preset(name)
	}
	return opts, err
}

// Provider reads NAME[,KEY=VALUE...].
func Provider(text string) (infer.Provider, error) {
	name, rest, found := strings.Cut(text, ",")
	p := infer.Provider{Name: name}
	if !found {
		return p, nil
	}
	p.Options = make(map[string]string)
	for field := range strings.SplitSeq(rest, ",") {
		key, value, found := strings.Cut(field, "=")
		if !found || key == "" || name == "" {
			return p, console.Usagef("--provider: %q is not NAME,KEY=VALUE,...", text)
		}
		p.Options[key] = value
	}
	return p, nil
}

// Preset returns one of package infer's, or that of a YAML file.
func Preset(name string) (*infer.Preset, error) {
	if ext := strings.ToLower(filepath.Ext(name)); ext != ".yaml" && ext != ".yml" {
		p, err := infer.PresetByName(name)
		if err != nil {
			return nil, console.Usagef("--preprocess: %v, or give a .yaml file", err)
		}
		return &p, nil
	}
	data, err := files.Read(name)
	if err != nil {
		return nil, err
	}
	p := new(infer.Preset)
	if err := yaml.UnmarshalWithOptions(data, p, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// embedded is the answer of --embed for one image.
type embedded struct {
	Image     string    `json:"image"`
	Embedding []float32 `json:"embedding"`
}

// embed prints the images' embeddings.
func embed(c *console.Console, ctx *cli.Context, predictor *infer.Model, models, images []string) error {
	ask := func(ctx context.Context, images []infer.Image, paths []string) ([]embedded, error) {
		vectors, err := predictor.Embed(ctx, images...)
		if err != nil {
			return nil, err
		}
		out := make([]embedded, len(paths))
		for i, v := range vectors {
			out[i] = embedded{paths[i], v}
		}
		return out, nil
	}
	results, unreadable, err := eachReadable(ctx.Context, ask, images)
	if err != nil {
		return err
	}
	if ctx.Bool("json") && len(results) > 0 {
		err = console.WriteJSON(c.Stdout, struct {
			Models []string   `json:"models"`
			Images []embedded `json:"images"`
		}{models, results})
	} else {
		for _, r := range results {
			if _, err = fmt.Fprintln(c.Stdout, console.Plain(r.Image), strings.Trim(fmt.Sprint(r.Embedding), "[]")); err != nil {
				break
			}
		}
	}
	return errors.Join(append(unreadable, err)...)
}

// PreprocessFlag says how to prepare images for models without metadata; see Preset.
func PreprocessFlag() cli.Flag {
	return &cli.StringFlag{Name: "preprocess", Usage: "prepare images for models without metadata by `HOW`: " + strings.Join(infer.PresetNames(), ", ") + ", or a .yaml file"}
}

// IsModel tells ONNX files from other arguments.
func IsModel(path string) bool { return strings.EqualFold(filepath.Ext(path), ".onnx") }
