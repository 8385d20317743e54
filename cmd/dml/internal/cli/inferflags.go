package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/regular"
)

// inferOptions reads the flags of infer for so many models.
func inferOptions(ctx *cli.Context, models int) (infer.Options, error) {
	opts := infer.Options{TopK: ctx.Int("top"), Threads: ctx.Int("threads")}
	switch ctx.String("ensemble") {
	case "probabilities":
	case "logits":
		opts.Ensemble.Logits = true
	default:
		return opts, usagef("--ensemble: %q is neither probabilities nor logits", ctx.String("ensemble"))
	}
	if text := ctx.String("weights"); text != "" {
		for field := range strings.SplitSeq(text, ",") {
			w, err := strconv.ParseFloat(strings.TrimSpace(field), 64)
			if err != nil || !(w > 0) {
				return opts, usagef("--weights: %q is no positive number", field)
			}
			opts.Ensemble.Weights = append(opts.Ensemble.Weights, w)
		}
		if n := len(opts.Ensemble.Weights); n != models {
			return opts, usagef("--weights: %d weights for %d models", n, models)
		}
	}
	var err error
	if opts.Provider, err = provider(ctx.String("provider")); err != nil {
		return opts, err
	}
	if name := ctx.String("preprocess"); name != "" {
		opts.Preset, err = preset(name)
	}
	return opts, err
}

// provider reads NAME[,KEY=VALUE...].
func provider(text string) (infer.Provider, error) {
	name, rest, found := strings.Cut(text, ",")
	p := infer.Provider{Name: name}
	if !found {
		return p, nil
	}
	p.Options = make(map[string]string)
	for field := range strings.SplitSeq(rest, ",") {
		key, value, found := strings.Cut(field, "=")
		if !found || key == "" || name == "" {
			return p, usagef("--provider: %q is not NAME,KEY=VALUE,...", text)
		}
		p.Options[key] = value
	}
	return p, nil
}

// preset returns one of package infer's, or that of a YAML file.
func preset(name string) (*infer.Preset, error) {
	if ext := strings.ToLower(filepath.Ext(name)); ext != ".yaml" && ext != ".yml" {
		p, err := infer.PresetByName(name)
		if err != nil {
			return nil, usagef("--preprocess: %v, or give a .yaml file", err)
		}
		return &p, nil
	}
	data, err := regular.Read(name)
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
func (c *console) embed(ctx *cli.Context, predictor infer.Predictor, models, images []string) error {
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
		err = writeJSON(c.stdout, struct {
			Models []string   `json:"models"`
			Images []embedded `json:"images"`
		}{models, results})
	} else {
		for _, r := range results {
			if _, err = fmt.Fprintln(c.stdout, plain(r.Image), strings.Trim(fmt.Sprint(r.Embedding), "[]")); err != nil {
				break
			}
		}
	}
	return errors.Join(append(unreadable, err)...)
}
