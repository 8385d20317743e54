// Package retrieval holds the verbs of dml reid, but for those of galleries.
package retrieval

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/extract"
	"github.com/deepmutual/dml/reid/features"
)

// Command is dml reid, with commands of other packages below it.
func Command(c *console.Console, more ...*cli.Command) *cli.Command {
	return &cli.Command{
		Name:        "reid",
		Usage:       "re-identify persons: features, scores, rankings, thresholds, drawn data",
		UsageText:   "dml reid COMMAND [arguments] [flags]",
		Subcommands: append([]*cli.Command{extractCommand(c), evalCommand(c), rankCommand(c), calibrateCommand(c), sameCommand(c), synthCommand(c)}, more...),
	}
}

// metricFlag is that of commands that compare features.
func metricFlag() cli.Flag {
	return &cli.StringFlag{Name: "metric", Value: string(reid.Cosine), Usage: "compare by `cosine|euclidean|dot`; dot takes features as they are"}
}

func metricOf(ctx *cli.Context) (reid.Metric, error) {
	m := reid.Metric(ctx.String("metric"))
	if !slices.Contains(reid.Metrics(), m) {
		return "", console.Usagef("--metric: %q is unknown; use cosine, euclidean or dot", m)
	}
	return m, nil
}

// zeroIsPersonFlag is that of commands that go by the protocol.
func zeroIsPersonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "zero-is-person", DisableDefaultText: true, Usage: "pid 0 is a person, as in MSMT17, and no distractor"}
}

// CheckFeatureForm insists on --features or on models with --data, for a command
// of that name. With both, models are for images that are not in the features.
// Of the flags about making features only those of also go with --features.
func CheckFeatureForm(ctx *cli.Context, name string, models []string, both bool, also ...string) error {
	switch hasFeatures := ctx.String("features") != ""; {
	case !hasFeatures && len(models) == 0:
		return console.Usagef("%s needs --features F/, or ONNX files with --data", name)
	case hasFeatures && len(models) > 0 && !both:
		return console.Usagef("%s takes features from one place, not from --features and from %s", name, strings.Join(models, " "))
	case !hasFeatures:
		return checkExtractFlags(ctx)
	}
	if len(models) > 0 {
		also = append(slices.Clone(also), "preprocess", "flip", "provider", "pattern")
	}
	return RefuseFlags(ctx, ExtractFlags(), also...)
}

// RefuseFlags refuses flags about making features, where there are some, other
// than these.
func RefuseFlags(ctx *cli.Context, flags []cli.Flag, but ...string) error {
	but = append(slices.Clone(but), "threads", "quiet")
	for _, flag := range flags {
		if name := flag.Names()[0]; ctx.IsSet(name) && !slices.Contains(but, name) {
			return console.Usagef("--%s is about making features with ONNX files, and these are made", name)
		}
	}
	return console.CheckThreads(ctx)
}

// WithFeatures calls use with the folder of --features, or with one of features
// that the models make of --data, which is removed again; only may take images out
// of that before.
func WithFeatures(c *console.Console, ctx *cli.Context, models []string, use func(dir string) error, only func(*extract.Source) error) (err error) {
	if dir := ctx.String("features"); dir != "" {
		return use(dir)
	}
	dir, err := os.MkdirTemp("", "dml-reid-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if _, err := makeFeatures(c, ctx, models, dir, only); err != nil {
		return err
	}
	return use(dir)
}

// ReadManifest reads that of a folder of features, and says what to do about one
// that is not there.
func ReadManifest(dir string) (features.Manifest, error) {
	m, err := features.ReadManifest(dir)
	switch {
	case !errors.Is(err, os.ErrNotExist):
		return m, err
	case extract.Interrupted(dir):
		return m, fmt.Errorf("%s: its extraction was interrupted; run it again, and it goes on", dir)
	}
	return m, fmt.Errorf("%w; make it with dml reid extract", err)
}

// loadPart reads a part of the folder that withFeatures has. Where that is removed
// again, errors name the data.
func loadPart(ctx *cli.Context, dir string, m features.Manifest, part string) (reid.Set, []features.Row, error) {
	s, rows, err := features.LoadPart(dir, m, part)
	if ctx.String("features") == "" {
		s.Name = "the " + part + " part of " + m.Data.Path
	}
	return s, rows, err
}

// keepInputs refuses an output that is one of the files that are read: those of
// the folder --features, and others. Empty paths are none.
func keepInputs(ctx *cli.Context, output string, inputs ...string) error {
	out, err := os.Stat(output)
	if err != nil {
		return nil // it is no file yet, and writes over none
	}
	if dir := ctx.String("features"); dir != "" {
		inputs = append(inputs, filepath.Join(dir, features.ManifestFile))
		for _, part := range features.Parts() {
			inputs = append(inputs, filepath.Join(dir, part+".csv"), filepath.Join(dir, part+".npy"))
		}
	}
	for _, path := range inputs {
		if in, err := os.Stat(path); err == nil && os.SameFile(in, out) {
			return fmt.Errorf("%s is an input, and would be written over: choose another file", output)
		}
	}
	return nil
}
