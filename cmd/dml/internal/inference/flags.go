package inference

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/infer/gorgonia"
	"github.com/deepmutual/dml/internal/files"
)

// inferOptions reads the flags of infer for so many models.
func inferOptions(ctx *cli.Context, models int) (infer.Options, error) {
	opts, err := ComputeOptions(ctx)
	if err != nil {
		return opts, err
	}
	opts.TopK = ctx.Int("top")
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
				return opts, console.Usagef("--weights: %q is not a positive number", field)
			}
			opts.Ensemble.Weights = append(opts.Ensemble.Weights, w)
		}
		if n := len(opts.Ensemble.Weights); n != models {
			return opts, console.Usagef("--weights: %d weights for %d models", n, models)
		}
	}
	if name := ctx.String("preprocess"); name != "" {
		opts.Preset, err = Preset(name)
	}
	return opts, err
}

// ComputeFlags say what computes ONNX files; see ComputeOptions.
func ComputeFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "engine", Value: runtimeEngine, Usage: "compute by `" + runtimeEngine + "|" + goEngine + "`; " + goEngine + " needs no library, is slow, and reads plain convolutional networks only"},
		&cli.StringFlag{Name: "provider", DefaultText: "CPU", Usage: "compute by ONNX Runtime's execution provider `NAME[,KEY=VALUE...]`"},
		console.ThreadsFlag(),
	}
}

// The values of --engine.
const (
	runtimeEngine = "onnxruntime"
	goEngine      = "onnx-go"
)

// ComputeOptions reads the ComputeFlags.
func ComputeOptions(ctx *cli.Context) (infer.Options, error) {
	opts := infer.Options{Threads: ctx.Int("threads")}
	if err := console.CheckThreads(ctx); err != nil {
		return opts, err
	}
	var err error
	if opts.Provider, err = provider(ctx.String("provider")); err != nil {
		return opts, err
	}
	switch name := ctx.String("engine"); name {
	case runtimeEngine:
	case goEngine:
		if ctx.IsSet("provider") || ctx.IsSet("threads") {
			return opts, console.Usagef("--provider and --threads are ONNX Runtime's: leave them out with --engine %s", goEngine)
		}
		opts.Engine = gorgonia.Engine{}
	default:
		return opts, console.Usagef("--engine: %q is neither %s nor %s", name, runtimeEngine, goEngine)
	}
	return opts, nil
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

// PreprocessFlag says how to prepare images for models without metadata; see Preset.
func PreprocessFlag() cli.Flag {
	return &cli.StringFlag{Name: "preprocess", Usage: "prepare images for models without metadata by `HOW`: " + strings.Join(infer.PresetNames(), ", ") + ", or a .yaml file"}
}

// IsModel tells ONNX files from other arguments.
func IsModel(path string) bool { return strings.EqualFold(filepath.Ext(path), ".onnx") }
