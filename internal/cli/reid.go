package cli

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/internal/atomicfile"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

func (c *console) reidCommand() *cli.Command {
	return &cli.Command{
		Name:        "reid",
		Usage:       "re-identify persons: evaluate features",
		UsageText:   "dml reid eval --query q.npy --query-labels q.csv --gallery g.npy --gallery-labels g.csv [flags]",
		Subcommands: []*cli.Command{c.reidEvalCommand(), c.reidSynthCommand()},
		Action: func(ctx *cli.Context) error {
			if ctx.Args().Present() {
				return usagef("unknown command \"reid %s\"", ctx.Args().First())
			}
			return cli.ShowSubcommandHelp(ctx)
		},
	}
}

func (c *console) reidEvalCommand() *cli.Command {
	return &cli.Command{
		Name:      "eval",
		Usage:     "rank galleries for queries by the Market-1501 protocol, and score the rankings",
		UsageText: "dml reid eval --query q.npy --query-labels q.csv --gallery g.npy --gallery-labels g.csv [flags]",
		Description: "Prints mAP by rectangles (as torchreid and fast-reid) and by trapezoids (as the original\n" +
			"MATLAB code), mINP, CMC, and how well persons are verified (ROC), as means over the\n" +
			"queries that have a match: an image of their person seen by another camera.\n" +
			"  Features: NumPy matrices (.npy) of float16, float32 or float64, a row an image.\n" +
			"  Labels: CSV files with a row for each, in the same order; the first names the columns:\n" +
			"    name,pid,camid            or path,pid,camid[,split,track,time]\n" +
			"    0002_c1s1_000451_03.jpg,2,1\n" +
			"  pid -1 is junk, which is ignored; 0 is a distractor, which is always wrong.\n" +
			"Images of a query's person by its own camera are left out of its ranking.\n" +
			"Examples:\n" +
			"  dml reid eval --query q.npy --query-labels q.csv --gallery g.npy --gallery-labels g.csv\n" +
			"  ... --rerank                      also after k-reciprocal re-ranking\n" +
			"  ... --multi-query --json          queries pooled by person and camera, for programs\n" +
			"  ... --per-query queries.csv       which queries fail, and what is found instead",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "query", Usage: "features of the queries, from `FILE.npy`"},
			&cli.StringFlag{Name: "query-labels", Usage: "their labels, from `FILE.csv`"},
			&cli.StringFlag{Name: "gallery", Usage: "features of the gallery, from `FILE.npy`"},
			&cli.StringFlag{Name: "gallery-labels", Usage: "their labels, from `FILE.csv`"},
			&cli.StringFlag{Name: "metric", Value: string(reid.Cosine), Usage: "compare by `cosine|euclidean|dot`; dot takes features as they are"},
			&cli.BoolFlag{Name: "multi-query", DisableDefaultText: true, Usage: "pool the rows, of queries and gallery, of a query's person and camera"},
			&cli.IntFlag{Name: "expand", DefaultText: "none", Usage: "average each query with its `N` nearest images first"},
			&cli.BoolFlag{Name: "zero-is-person", DisableDefaultText: true, Usage: "pid 0 is a person, as in MSMT17, and no distractor"},
			&cli.BoolFlag{Name: "rerank", DisableDefaultText: true, Usage: "evaluate also after k-reciprocal re-ranking"},
			&cli.IntFlag{Name: "k1", Value: 20, Usage: "re-ranking: neighbourhoods of `N` images"},
			&cli.IntFlag{Name: "k2", Value: 6, Usage: "re-ranking: average `N` neighbours' encodings"},
			&cli.Float64Flag{Name: "lambda", Value: 0.3, Usage: "re-ranking: `WEIGHT` of the original distance, 0 to 1"},
			&cli.IntFlag{Name: "rerank-top", DefaultText: "all", Usage: "re-rank the `N` nearest images of each query only, by themselves"},
			&cli.BoolFlag{Name: "cameras", DisableDefaultText: true, Usage: "print mAP for each pair of cameras"},
			&cli.StringFlag{Name: "per-query", Usage: "write each query's scores and nearest images to `FILE.csv`"},
			&cli.IntFlag{Name: "best", Value: 10, Usage: "list the `N` nearest images there"},
			&cli.BoolFlag{Name: "float64", DisableDefaultText: true, Usage: "compute distances in float64: slower, and in more memory"},
			threadsFlag(),
			jsonFlag(),
		},
		Action: c.reidEval,
	}
}

func (c *console) reidEval(ctx *cli.Context) error {
	if err := noArguments(ctx); err != nil {
		return err
	}
	var missing []string
	for _, name := range []string{"query", "query-labels", "gallery", "gallery-labels"} {
		if ctx.String(name) == "" {
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) > 0 {
		return usagef("reid eval needs %s", strings.Join(missing, ", "))
	}
	if err := checkThreads(ctx); err != nil {
		return err
	}
	opts, err := reidOptions(ctx)
	if err != nil {
		return err
	}
	query, queryRows, err := features.Load(ctx.String("query"), ctx.String("query-labels"))
	if err != nil {
		return err
	}
	gallery, galleryRows, err := features.Load(ctx.String("gallery"), ctx.String("gallery-labels"))
	if err != nil {
		return err
	}
	multiplier, done := c.multiplier(opts.Workers)
	defer done()
	opts.Multiplier = multiplier
	result, err := reid.Evaluate(ctx.Context, query, gallery, opts)
	if err != nil {
		return err
	}
	if path := ctx.String("per-query"); path != "" {
		if err := writePerQuery(path, result, queryRows, galleryRows); err != nil {
			return err
		}
	}
	if ctx.Bool("json") {
		return writeJSON(c.stdout, result)
	}
	return printReID(c.stdout, result, ctx.Bool("cameras"))
}

// reidOptions reads the flags that say how to evaluate.
func reidOptions(ctx *cli.Context) (reid.Options, error) {
	opts := reid.Options{
		Metric: reid.Metric(ctx.String("metric")), MultiQuery: ctx.Bool("multi-query"), Expand: ctx.Int("expand"),
		ZeroIsPerson: ctx.Bool("zero-is-person"), Float64: ctx.Bool("float64"), Workers: ctx.Int("threads"),
	}
	if !slices.Contains(reid.Metrics(), opts.Metric) {
		return opts, usagef("--metric: %q is unknown; use cosine, euclidean or dot", opts.Metric)
	}
	if opts.Expand < 0 {
		return opts, usagef("--expand: %d is negative", opts.Expand)
	}
	perQuery := ctx.String("per-query") != ""
	if ctx.IsSet("best") && !perQuery {
		return opts, usagef("--best is about the file of --per-query, which is not given")
	}
	if ctx.Int("best") < 0 || ctx.Int("best") > 1000 {
		return opts, usagef("--best: %d is not between 0 and 1000", ctx.Int("best"))
	}
	if perQuery {
		opts.Best = ctx.Int("best")
	}
	if !ctx.Bool("rerank") {
		for _, name := range []string{"k1", "k2", "lambda", "rerank-top"} {
			if ctx.IsSet(name) {
				return opts, usagef("--%s is about --rerank, which is not given", name)
			}
		}
		return opts, nil
	}
	opts.Rerank = &reid.Rerank{K1: ctx.Int("k1"), K2: ctx.Int("k2"), Lambda: ctx.Float64("lambda"), Top: ctx.Int("rerank-top")}
	opts.Rerank.JaccardOnly = opts.Rerank.Lambda == 0
	if opts.Rerank.K1 < 1 || opts.Rerank.K2 < 1 {
		return opts, usagef("--k1 and --k2 are at least 1, not %d and %d", opts.Rerank.K1, opts.Rerank.K2)
	}
	if !(opts.Rerank.Lambda >= 0 && opts.Rerank.Lambda <= 1) {
		return opts, usagef("--lambda: %v is not between 0 and 1", opts.Rerank.Lambda)
	}
	if opts.Rerank.Top < 0 || opts.Rerank.Top > reid.MaxTop {
		return opts, usagef("--rerank-top: %d is not between 0 (all) and %d", opts.Rerank.Top, reid.MaxTop)
	}
	return opts, nil
}

// printReID prints scores for people.
func printReID(w io.Writer, r *reid.Result, cameras bool) error {
	protocol := "single query"
	if r.Protocol == reid.MultiQuery {
		protocol = "multiple queries, pooled from " + r.Pooling
	}
	if r.Expand > 0 {
		protocol += fmt.Sprintf(", expanded by %d", r.Expand)
	}
	if _, err := fmt.Fprintf(w, "%s distance, %s\n%s of %s queries valid; skipped %s without a match by another camera\ngallery of %s: %s junk, %s\n\n",
		r.Metric, protocol, grouped(r.ValidQueries), grouped(r.Queries), grouped(r.SkippedQueries),
		count(r.Gallery, "image"), grouped(r.Junk), count(r.Distractors, "distractor")); err != nil {
		return err
	}
	columns := []reid.Scores{r.Scores}
	head := []string{"METRIC", "RANKED"}
	if r.Rerank != nil {
		columns = append(columns, r.Rerank.Scores)
		head = append(head, "RE-RANKED")
	}
	rows := [][]string{head}
	add := func(name string, value func(reid.Scores) float64) {
		row := []string{name}
		for _, s := range columns {
			row = append(row, percent(value(s)))
		}
		rows = append(rows, row)
	}
	add("mAP (rectangles)", func(s reid.Scores) float64 { return s.MAP })
	add("mAP (trapezoids)", func(s reid.Scores) float64 { return s.MAPTrapezoidal })
	add("mINP", func(s reid.Scores) float64 { return s.MINP })
	for _, k := range sortedRanks(r.CMC) {
		add(fmt.Sprintf("rank %d", k), func(s reid.Scores) float64 { return s.CMC[k] })
	}
	for i, p := range r.ROC {
		add(fmt.Sprintf("TPR at FPR %g", p.FPR), func(s reid.Scores) float64 { return s.ROC[i].TPR })
	}
	if err := table(w, rows); err != nil || !cameras {
		return err
	}
	if _, err := fmt.Fprintln(w, "\nmAP (rectangles) of queries by a camera, down, in the gallery of another, across:"); err != nil {
		return err
	}
	return table(w, cameraTable(r.Cameras))
}

// cameraTable has a row for each camera of queries, a column for each of the
// gallery.
func cameraTable(pairs []reid.CameraPair) [][]string {
	var queries, gallery []int
	cells := make(map[[2]int]string)
	for _, p := range pairs {
		queries, gallery = append(queries, p.Query), append(gallery, p.Gallery)
		cells[[2]int{p.Query, p.Gallery}] = percent(p.MAP)
	}
	slices.Sort(queries)
	slices.Sort(gallery)
	gallery = slices.Compact(gallery)
	head := []string{"CAMERA"}
	for _, g := range gallery {
		head = append(head, strconv.Itoa(g))
	}
	rows := [][]string{head}
	for _, q := range slices.Compact(queries) {
		row := []string{strconv.Itoa(q)}
		for _, g := range gallery {
			row = append(row, cmp.Or(cells[[2]int{q, g}], "-"))
		}
		rows = append(rows, row)
	}
	return rows
}

func sortedRanks(cmc map[int]float64) []int {
	var ranks []int
	for k := range cmc {
		ranks = append(ranks, k)
	}
	slices.Sort(ranks)
	return ranks
}

// writePerQuery writes a row for each query: its scores, those after re-ranking
// if there are any, and the nearest images of the last ranking. The file is
// whole or absent.
func writePerQuery(path string, r *reid.Result, query, gallery []features.Row) error {
	head := []string{"name", "pid", "camid", "valid", "matches", "first_match", "AP", "AP_trapezoidal", "INP"}
	last := r.Scores
	if r.Rerank != nil {
		head = append(head, "rerank_first_match", "rerank_AP", "rerank_AP_trapezoidal", "rerank_INP")
		last = r.Rerank.Scores
	}
	nearest := 0
	for _, q := range last.PerQuery {
		nearest = max(nearest, len(q.Best))
	}
	for k := range nearest {
		head = append(head, fmt.Sprintf("nearest_%d", k+1), fmt.Sprintf("distance_%d", k+1), fmt.Sprintf("match_%d", k+1))
	}
	var text bytes.Buffer
	out := csv.NewWriter(&text)
	rows := [][]string{head}
	for i, q := range query {
		s := r.PerQuery[i]
		row := []string{q.Name, strconv.Itoa(q.PID), strconv.Itoa(q.Camera), strconv.FormatBool(s.Valid), strconv.Itoa(s.Matches)}
		row = append(row, queryScores(s)...)
		if r.Rerank != nil {
			row = append(row, queryScores(r.Rerank.PerQuery[i])...)
		}
		for _, m := range last.PerQuery[i].Best {
			row = append(row, gallery[m.Gallery].Name, fmt.Sprintf("%.6g", m.Distance), strconv.FormatBool(m.Good))
		}
		rows = append(rows, append(row, make([]string, len(head)-len(row))...))
	}
	if err := out.WriteAll(rows); err != nil {
		return err
	}
	return atomicfile.WriteFile(path, text.Bytes(), 0o644)
}

// queryScores are cells, empty for a query that is not valid.
func queryScores(q reid.QueryResult) []string {
	if !q.Valid {
		return make([]string, 4)
	}
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	return []string{strconv.Itoa(q.First), number(q.AP), number(q.APTrapezoidal), number(q.INP)}
}
