package retrieval

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

func evalCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:  "eval",
		Usage: "rank galleries for queries by the Market-1501 protocol, and score the rankings",
		UsageText: "dml reid eval --features F/ [flags]\n" +
			"dml reid eval MODEL.onnx... --data DIR|LIST.csv [flags]\n" +
			"dml reid eval --query q.npy --query-labels q.csv --gallery g.npy --gallery-labels g.csv [flags]",
		Description: "Prints mAP by rectangles (as torchreid and fast-reid) and by trapezoids (as the original\n" +
			"MATLAB code), mINP, CMC, and how well persons are verified (ROC), as means over the\n" +
			"queries that have a match: an image of their person seen by another camera.\n" +
			"  --features evaluates a folder that dml reid extract made. Where it has multi_query, the\n" +
			"    queries are evaluated one by one and pooled from it; --multi-query does the latter alone.\n" +
			"  MODEL.onnx... --data makes the features first, as dml reid extract does, and keeps none.\n" +
			"    Where nothing says which images are queries, every image of a person is one.\n" +
			"  Features: NumPy matrices (.npy) of float16, float32 or float64, a row an image.\n" +
			"  Labels: CSV files with a row for each, in the same order; the first names the columns:\n" +
			"    name,pid,camid            or path,pid,camid[,split,track,time]\n" +
			"    0002_c1s1_000451_03.jpg,2,1\n" +
			"  pid -1 is junk, which is ignored; 0 is a distractor, which is always wrong.\n" +
			"Images of a query's person by its own camera are left out of its ranking.\n" +
			"Examples:\n" +
			"  dml reid eval --features market-osnet/\n" +
			"  dml reid eval osnet.onnx --preprocess torchreid --data Market-1501/ --flip\n" +
			"  dml reid eval runs/NAME/onnx/*.onnx --data Market-1501/ --json\n" +
			"  dml reid eval --query q.npy --query-labels q.csv --gallery g.npy --gallery-labels g.csv\n" +
			"  ... --rerank                      also after k-reciprocal re-ranking\n" +
			"  ... --multi-query --json          queries pooled by person and camera, for programs\n" +
			"  ... --per-query queries.csv       which queries fail, and what is found instead",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "features", Usage: "evaluate the features in folder `F`"},
			&cli.StringFlag{Name: "query", Usage: "features of the queries, from `FILE.npy`"},
			&cli.StringFlag{Name: "query-labels", Usage: "their labels, from `FILE.csv`"},
			&cli.StringFlag{Name: "gallery", Usage: "features of the gallery, from `FILE.npy`"},
			&cli.StringFlag{Name: "gallery-labels", Usage: "their labels, from `FILE.csv`"},
			metricFlag(),
			&cli.BoolFlag{Name: "multi-query", DisableDefaultText: true, Usage: "pool the rows of a query's person and camera: of multi_query, or else of queries and gallery"},
			&cli.IntFlag{Name: "expand", DefaultText: "none", Usage: "average each query with its `N` nearest images first"},
			zeroIsPersonFlag(),
			&cli.BoolFlag{Name: "rerank", DisableDefaultText: true, Usage: "evaluate also after k-reciprocal re-ranking"},
			&cli.IntFlag{Name: "k1", Value: 20, Usage: "re-ranking: neighbourhoods of `N` images"},
			&cli.IntFlag{Name: "k2", Value: 6, Usage: "re-ranking: average `N` neighbours' encodings"},
			&cli.Float64Flag{Name: "lambda", Value: 0.3, Usage: "re-ranking: `WEIGHT` of the original distance, 0 to 1"},
			&cli.IntFlag{Name: "rerank-top", DefaultText: "all", Usage: "re-rank the `N` nearest images of each query only, by themselves"},
			&cli.BoolFlag{Name: "by-camera", DisableDefaultText: true, Usage: "print mAP for each pair of cameras"},
			&cli.StringFlag{Name: "per-query", Usage: "write each query's scores and nearest images to `FILE.csv`"},
			&cli.IntFlag{Name: "top", Value: 10, Usage: "list the `N` nearest images there"},
			&cli.BoolFlag{Name: "float64", DisableDefaultText: true, Usage: "compute distances in float64: slower, and in more memory"},
		}, ExtractFlags(), []cli.Flag{console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return runEval(c, ctx) },
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

// evaluated is the features to evaluate, and their labels.
type evaluated struct {
	query, gallery         reid.Set
	queryRows, galleryRows []features.Row
	pool                   *reid.Set          // the part multi_query, if there is one
	manifest               *features.Manifest // nil for bare files
}

// bareFlags name bare files of features.
var bareFlags = [...]string{"query", "query-labels", "gallery", "gallery-labels"}

func runEval(c *console.Console, ctx *cli.Context) error {
	models := ctx.Args().Slice()
	if err := checkEvalForm(ctx, models); err != nil {
		return err
	}
	opts, err := reidOptions(ctx)
	if err != nil {
		return err
	}
	if err := console.CheckOutputs(ctx.String("per-query")); err != nil {
		return err
	}
	inputs := []string{ctx.String("data")}
	for _, name := range bareFlags {
		inputs = append(inputs, ctx.String(name))
	}
	if err := keepInputs(ctx, ctx.String("per-query"), inputs...); err != nil {
		return err
	}
	var data evaluated
	if ctx.IsSet(bareFlags[0]) {
		data, err = evaluatedFiles(ctx)
	} else {
		err = WithFeatures(c, ctx, models, func(dir string) error {
			data, err = evaluatedFolder(c, ctx, dir)
			return err
		}, nil)
	}
	if err != nil {
		return err
	}
	multiplier, done := Multiplier(c, opts.Workers)
	defer done()
	opts.Multiplier = multiplier
	result, err := data.evaluate(ctx.Context, opts)
	if err != nil {
		return err
	}
	if path := ctx.String("per-query"); path != "" {
		if err := writePerQuery(path, result.Result, data.queryRows, data.galleryRows); err != nil {
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

// checkEvalForm insists on one of the three ways to name features.
func checkEvalForm(ctx *cli.Context, models []string) error {
	bare, hasFeatures := slices.ContainsFunc(bareFlags[:], ctx.IsSet), ctx.String("features") != ""
	var missing []string
	for _, name := range bareFlags {
		if ctx.String(name) == "" {
			missing = append(missing, "--"+name)
		}
	}
	switch {
	case !bare && !hasFeatures && len(models) == 0:
		return console.Usagef("reid eval needs --features F/, or ONNX files with --data, or %s", strings.Join(missing, ", "))
	case !bare:
		return CheckFeatureForm(ctx, "reid eval", models, false)
	case hasFeatures:
		return console.Usagef("reid eval takes features from one place, not from --query and --gallery and from --features")
	case len(models) > 0:
		return console.Usagef("reid eval takes features from one place, not from --query and --gallery and from %s", strings.Join(models, " "))
	case len(missing) > 0:
		return console.Usagef("reid eval needs %s", strings.Join(missing, ", "))
	}
	return RefuseFlags(ctx, ExtractFlags())
}

// evaluatedFiles reads bare files.
func evaluatedFiles(ctx *cli.Context) (data evaluated, err error) {
	if data.query, data.queryRows, err = features.Load(ctx.String("query"), ctx.String("query-labels")); err != nil {
		return data, err
	}
	data.gallery, data.galleryRows, err = features.Load(ctx.String("gallery"), ctx.String("gallery-labels"))
	return data, err
}

// evaluatedFolder reads a folder of features.
func evaluatedFolder(c *console.Console, ctx *cli.Context, dir string) (data evaluated, err error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return data, err
	}
	data.manifest = &m
	if data.gallery, data.galleryRows, err = loadPart(ctx, dir, m, features.Gallery); err != nil {
		return data, err
	}
	if m.Data.Undivided {
		c.Say("note: nothing in %s says which images are queries: every image is one, for the other cameras' images", m.Data.Path)
		data.query, data.queryRows = data.gallery, data.galleryRows
		return data, nil
	}
	if data.query, data.queryRows, err = loadPart(ctx, dir, m, features.Query); err != nil {
		return data, err
	}
	if _, there := m.Part(features.MultiQuery); there {
		pool, _, err := loadPart(ctx, dir, m, features.MultiQuery)
		if err != nil {
			return data, err
		}
		data.pool = &pool
	}
	return data, nil
}

func (d evaluated) evaluate(ctx context.Context, opts reid.Options) (reidEvaluation, error) {
	var out reidEvaluation
	if d.manifest != nil {
		opts.ZeroIsPerson = opts.ZeroIsPerson || d.manifest.Data.ZeroIsPerson
		out.Fingerprint, out.Skipped = d.manifest.Fingerprint(), d.manifest.Skipped
	}
	pooled := opts
	pooled.MultiQuery, pooled.Pool = true, d.pool
	var err error
	if !opts.MultiQuery {
		if out.Result, err = reid.Evaluate(ctx, d.query, d.gallery, opts); err != nil || d.pool == nil {
			return out, err
		}
	}
	multi, err := reid.Evaluate(ctx, d.query, d.gallery, pooled)
	if err != nil {
		return out, err
	}
	if d.pool != nil {
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
		ZeroIsPerson: ctx.Bool("zero-is-person"), Float64: ctx.Bool("float64"), Workers: ctx.Int("threads"),
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
	if opts.Rerank.K1 < 1 || opts.Rerank.K2 < 1 {
		return opts, console.Usagef("--k1 and --k2 are at least 1, not %d and %d", opts.Rerank.K1, opts.Rerank.K2)
	}
	if !(opts.Rerank.Lambda >= 0 && opts.Rerank.Lambda <= 1) {
		return opts, console.Usagef("--lambda: %v is not between 0 and 1", opts.Rerank.Lambda)
	}
	if opts.Rerank.Top < 0 || opts.Rerank.Top > reid.MaxTop {
		return opts, console.Usagef("--rerank-top: %d is not between 0 (all) and %d", opts.Rerank.Top, reid.MaxTop)
	}
	return opts, nil
}
