package retrieval

import (
	"context"
	"fmt"
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

func evalCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "eval",
		Usage:     "rank galleries for queries by the Market-1501 protocol, and score the rankings",
		UsageText: "dml reid eval FEATURES [flags]",
		Description: "Prints mAP by rectangles (as torchreid and fast-reid) and by trapezoids (as the original\n" +
			"MATLAB code), mINP, CMC, and how well people are verified (ROC), as means over the queries\n" +
			"that have a match: an image of their person seen by another camera.\n" +
			SourceHelp +
			"Where there is a part multi_query, the queries are evaluated one by one and pooled from it;\n" +
			"--multi-query does the latter alone. Where nothing says which images are queries, every\n" +
			"image of a person is one. pid -1 is junk, which is ignored; 0 is a distractor, which is\n" +
			"always wrong. Images of a query's person by its own camera are left out of its ranking.\n" +
			"Examples:\n" +
			"  dml reid eval --features market-osnet/\n" +
			"  dml reid eval osnet.onnx --preprocess torchreid --data Market-1501/ --flip\n" +
			"  dml reid eval runs/NAME/onnx/*.onnx --data Market-1501/ --json\n" +
			"  dml reid eval --query q.npy --gallery g.npy\n" +
			"  ... --rerank                      also after k-reciprocal re-ranking\n" +
			"  ... --multi-query --json          queries pooled by person and camera, for programs\n" +
			"  ... --per-query queries.csv       which queries fail, and what is found instead",
		Flags: slices.Concat(SourceFlags(), []cli.Flag{
			metricFlag(),
			&cli.BoolFlag{Name: "multi-query", DisableDefaultText: true, Usage: "pool the rows of a query's person and camera: of multi_query, or else of queries and gallery"},
			&cli.IntFlag{Name: "expand", DefaultText: "none", Usage: "average each query with its `N` nearest images first"},
			zeroIsIdentityFlag(),
			&cli.BoolFlag{Name: "rerank", DisableDefaultText: true, Usage: "evaluate also after k-reciprocal re-ranking"},
			&cli.IntFlag{Name: "k1", Value: 20, Usage: "re-ranking: neighbourhoods of `N` images"},
			&cli.IntFlag{Name: "k2", Value: 6, Usage: "re-ranking: average `N` neighbours' encodings"},
			&cli.Float64Flag{Name: "lambda", Value: 0.3, Usage: "re-ranking: `WEIGHT` of the original distance, 0 to 1"},
			&cli.IntFlag{Name: "rerank-top", DefaultText: "all", Usage: "re-rank the `N` nearest images of each query only, by themselves"},
			&cli.BoolFlag{Name: "by-camera", DisableDefaultText: true, Usage: "print mAP for each pair of cameras"},
			&cli.StringFlag{Name: "per-query", Usage: "write each query's scores and nearest images to `FILE.csv`"},
			&cli.IntFlag{Name: "top", Value: 10, Usage: "list the `N` nearest images there"},
			&cli.BoolFlag{Name: "float64", DisableDefaultText: true, Usage: "compute in float64, of features in float64 where they are: slower, and in more memory"},
			console.JSONFlag(),
		}),
		Action: func(ctx *cli.Context) error {

			// reidEvaluation is what dml reid eval prints for programs: the scores of the first
			// protocol, and what else there is.
			return runEval(c, ctx)
		},
	}
}

// reidEvaluation is what dml reid eval prints for programs: the scores of the first
// protocol, and what else there is.
type reidEvaluation struct {
	*reid.Result
	// MultiQuery are the scores of the same queries, pooled from the part
	// multi_query.
	MultiQuery *reid.Result `json:"multi_query,omitempty"`
	// Fingerprint of the features, and the images that are missing among them.
	Fingerprint string             `json:"fingerprint,omitempty"`
	Skipped     []features.Skipped `json:"skipped,omitempty"`
}

func runEval(c *console.Console, ctx *cli.Context) error {
	source, err := ParseSource(ctx, ctx.Args().Slice(), SourceOptions{})
	if err != nil {
		return err
	}
	opts, err := reidOptions(ctx)
	if err != nil {
		return err
	}
	perQuery := ctx.String("per-query")
	if err := console.CheckOutputs(perQuery); err != nil {
		return err
	}
	if err := keepInputs(perQuery, source.Inputs()...); err != nil {
		return err
	}
	set, err := source.Load(c, features.LoadOptions{Labelled: true, Float64: opts.Float64})
	if err != nil {
		return err
	}
	defer set.Close() // nothing is lost if this fails
	multiplier, done := Multiplier(c, opts.Workers)
	defer done()
	opts.Multiplier = multiplier
	result, err := evaluate(ctx.Context, set, opts)
	if err != nil {
		return err
	}
	if perQuery != "" {
		if err := writePerQuery(perQuery, result.Result, set.Query.Rows, set.Gallery.Rows); err != nil {
			return err
		}
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, result)
	}
	if err := printReID(c.Stdout, result.Result, ctx.Bool("by-camera")); err != nil || result.MultiQuery == nil {
		return err
	}
	if _, err := fmt.Fprintln(c.Stdout); err != nil {
		return err
	}
	return printReID(c.Stdout, result.MultiQuery, ctx.Bool("by-camera"))
}

// evaluate scores the queries, and, where there is a part multi_query, those that
// are pooled from it.
func evaluate(ctx context.Context, set *features.Set, opts reid.Options) (reidEvaluation, error) {
	out := reidEvaluation{Fingerprint: set.Fingerprint(), Skipped: set.Skipped}
	opts.ZeroIsIdentity = opts.ZeroIsIdentity || set.Data.ZeroIsIdentity
	pooled := opts
	pooled.MultiQuery = true
	if set.MultiQuery != nil {
		pooled.Pool = &set.MultiQuery.Set
	}
	var err error
	if !opts.MultiQuery {
		if out.Result, err = reid.Evaluate(ctx, set.Query.Set, set.Gallery.Set, opts); err != nil || pooled.Pool == nil {
			return out, err
		}
	}
	multi, err := reid.Evaluate(ctx, set.Query.Set, set.Gallery.Set, pooled)
	if err != nil {
		return out, err
	}
	if pooled.Pool != nil {
		multi.Pooling = features.MultiQuery
	}
	if opts.MultiQuery {
		out.Result = multi
	} else {
		out.MultiQuery = multi
	}
	return out, nil
}

// reidOptions reads the flags that say how to evaluate.
func reidOptions(ctx *cli.Context) (reid.Options, error) {
	opts := reid.Options{
		MultiQuery: ctx.Bool("multi-query"), Expand: ctx.Int("expand"),
		ZeroIsIdentity: ctx.Bool("zero-is-identity"), Float64: ctx.Bool("float64"), Workers: ctx.Int("threads"),
	}
	var err error
	if opts.Metric, err = metricOf(ctx); err != nil {
		return opts, err
	}
	if opts.Expand < 0 {
		return opts, console.Usagef("--expand: %d is negative", opts.Expand)
	}
	perQuery := ctx.String("per-query") != ""
	if ctx.IsSet("top") && !perQuery {
		return opts, console.Usagef("--top is about the file of --per-query, which is not given")
	}
	if ctx.Int("top") < 0 || ctx.Int("top") > 1000 {
		return opts, console.Usagef("--top: %d is not between 0 and 1000", ctx.Int("top"))
	}
	if perQuery {
		opts.Best = ctx.Int("top")
	}
	if !ctx.Bool("rerank") {
		for _, name := range []string{"k1", "k2", "lambda", "rerank-top"} {
			if ctx.IsSet(name) {
				return opts, console.Usagef("--%s is about --rerank, which is not given", name)
			}
		}
		return opts, nil
	}
	opts.Rerank = &reid.Rerank{K1: ctx.Int("k1"), K2: ctx.Int("k2"), Lambda: ctx.Float64("lambda"), Top: ctx.Int("rerank-top")}
	opts.Rerank.JaccardOnly = opts.Rerank.Lambda == 0
	for _, name := range []string{"k1", "k2"} {
		if k := ctx.Int(name); k < 1 || k > reid.MaxTop {
			return opts, console.Usagef("--%s: %d is not between 1 and %d", name, k, reid.MaxTop)
		}
	}
	if !(opts.Rerank.Lambda >= 0 && opts.Rerank.Lambda <= 1) {
		return opts, console.Usagef("--lambda: %v is not between 0 and 1", opts.Rerank.Lambda)
	}
	if opts.Rerank.Top < 0 || opts.Rerank.Top > reid.MaxTop {
		return opts, console.Usagef("--rerank-top: %d is not between 0 (all) and %d", opts.Rerank.Top, reid.MaxTop)
	}
	return opts, nil
}
