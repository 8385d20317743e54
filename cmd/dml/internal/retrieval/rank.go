package retrieval

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
	"github.com/deepmutual/dml/reid/ranking"
)

func rankCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:  "rank",
		Usage: "look at rankings: queries, and the images that are nearest to them",
		UsageText: "dml reid rank --features F/ [--query NAME...] [flags]\n" +
			"dml reid rank MODEL.onnx... --data DIR|LIST.csv [--query IMAGE...] [flags]\n" +
			"dml reid rank MODEL.onnx... --features F/ --query IMAGE... [flags]",
		Description: "Writes one HTML file, which needs no other and no network, or one PNG file. Images are\n" +
			"framed green where they show the query's person, red where they do not, grey where the\n" +
			"query's own camera saw that person, which takes no rank; without labels they are neutral.\n" +
			"  --features takes a folder that dml reid extract made, and shows the images that it was\n" +
			"    made of; where these have moved, --data says where they are.\n" +
			"  --query takes image files, or folders of them, or, without models, names of the data's\n" +
			"    queries; persons are read from the names where they are like the data's. Without it all\n" +
			"    queries of the data are ranked.\n" +
			"Examples:\n" +
			"  dml reid rank --features market-osnet/ --sort worst\n" +
			"  dml reid rank runs/NAME/onnx/*.onnx --data Market-1501/ --limit 20 --out ranking.png\n" +
			"  dml reid rank osnet.onnx --preprocess torchreid --features market-osnet/ --query me.jpg",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "out", Value: "ranking.html", Usage: "write the rankings to `FILE.html|FILE.png`"},
			&cli.StringFlag{Name: "features", Usage: "rank the features in folder `F`"},
			&cli.StringSliceFlag{Name: "query", Usage: "rank for `IMAGE`; more may follow"},
			&cli.IntFlag{Name: "top", Value: 10, Usage: "show the `N` nearest images of each query"},
			&cli.StringFlag{Name: "sort", Value: string(ranking.Given), Usage: "order the queries by `worst|best|name|given`: worst has the lowest AP first"},
			&cli.IntFlag{Name: "limit", DefaultText: "100 in HTML, 20 in PNG", Usage: "show the first `N` queries, 0 for all"},
			metricFlag(),
			&cli.BoolFlag{Name: "rerank", DisableDefaultText: true, Usage: "rank by distances after k-reciprocal re-ranking"},
			zeroIsPersonFlag(),
		}, ExtractFlags(), []cli.Flag{console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return runRank(c, ctx) },
	}
}

// maxRanked bounds --top: a page of more is not to be looked at.
const maxRanked = 100

// ranked is the features to rank, and what they are of.
type ranked struct {
	query, gallery           reid.Set
	queryItems, galleryItems []ranking.Item
	manifest                 features.Manifest
	rows                     []int // of the gallery that the queries are; nil where they are not of it
	own                      bool  // the queries are images of the user
}

func runRank(c *console.Console, ctx *cli.Context) error {
	models, queries := rankArguments(ctx)
	opts, build, err := rankOptions(ctx)
	if err != nil {
		return err
	}
	if slices.Contains(queries, "") {
		return console.Usagef("--query is empty")
	}
	if ctx.Args().Len() > len(models) && !ctx.IsSet("query") {
		return console.Usagef("unexpected argument %q; images to look for are given by --query", queries[0])
	}
	if err := CheckFeatureForm(ctx, "reid rank", models, len(queries) > 0, "data"); err != nil {
		return err
	}
	if err := console.CheckOutputs(ctx.String("out")); err != nil {
		return err
	}
	var data ranked
	err = WithFeatures(c, ctx, models, func(dir string) error {
		data, err = loadRanked(c, ctx, dir, models, queries)
		return err
	}, nil)
	if err != nil {
		return err
	}
	result, err := rankQueries(c, ctx, data, opts)
	if err != nil {
		return err
	}
	page, shown, err := ranking.Build(result.Scores, data.queryItems, data.galleryItems, data.described(build, result, opts))
	if err != nil {
		return err
	}
	out := ctx.String("out")
	if err := ranking.Save(ctx.Context, out, page); err != nil {
		return err
	}
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, rankedJSON(out, info.Size(), data, result, page, shown))
	}
	return printRanked(c, out, info.Size(), page, len(data.queryItems))
}

// rankArguments divides the arguments into ONNX files and images.
func rankArguments(ctx *cli.Context) (models, queries []string) {
	queries = slices.Clone(ctx.StringSlice("query"))
	for _, arg := range ctx.Args().Slice() {
		if inference.IsModel(arg) {
			models = append(models, arg)
		} else {
			queries = append(queries, arg)
		}
	}
	return models, queries
}

// rankOptions reads the flags that say how to rank and what to show.
func rankOptions(ctx *cli.Context) (opts reid.Options, build ranking.BuildOptions, err error) {
	kind, err := ranking.Kind(ctx.String("out"))
	if err != nil {
		return opts, build, console.Usagef("--out: %w", err)
	}
	if top := ctx.Int("top"); top < 1 || top > maxRanked {
		return opts, build, console.Usagef("--top: %d is not between 1 and %d", top, maxRanked)
	}
	build.Order = ranking.Order(ctx.String("sort"))
	if !slices.Contains(ranking.Orders(), build.Order) {
		return opts, build, console.Usagef("--sort: %q is unknown; use worst, best, name or given", build.Order)
	}
	build.Limit = map[string]int{"html": 100, "png": 20}[kind]
	if ctx.IsSet("limit") {
		build.Limit = ctx.Int("limit")
	}
	if build.Limit < 0 {
		return opts, build, console.Usagef("--limit: %d is negative", build.Limit)
	}
	opts = reid.Options{Best: ctx.Int("top"), BestSameCamera: true, ZeroIsPerson: ctx.Bool("zero-is-person"), Workers: ctx.Int("threads")}
	if ctx.Bool("rerank") {
		opts.Rerank = &reid.Rerank{}
	}
	opts.Metric, err = metricOf(ctx)
	return opts, build, err
}

// loadRanked reads a folder of features, and makes those of the user's images.
func loadRanked(c *console.Console, ctx *cli.Context, dir string, models, queries []string) (data ranked, err error) {
	if data.manifest, err = ReadManifest(dir); err != nil {
		return data, err
	}
	root, err := imagesRoot(ctx, data.manifest)
	if err != nil {
		return data, err
	}
	var rows []features.Row
	if data.gallery, rows, err = loadPart(ctx, dir, data.manifest, features.Gallery); err != nil {
		return data, err
	}
	data.galleryItems = itemsOf(rows, root, features.Gallery)
	if len(queries) > 0 && len(models) > 0 {
		data.own = true
		return data, data.embed(ctx, models, queries)
	}
	if data.manifest.Data.Undivided {
		data.query, data.queryItems = data.gallery, data.galleryItems
		for i := range data.queryItems {
			data.rows = append(data.rows, i)
		}
	} else {
		if data.query, rows, err = loadPart(ctx, dir, data.manifest, features.Query); err != nil {
			return data, err
		}
		data.queryItems = itemsOf(rows, root, features.Query)
	}
	if len(queries) == 0 {
		return data, nil
	}
	return data, data.choose(dir, queries)
}

// embed makes the features of the user's images the queries.
func (d *ranked) embed(ctx *cli.Context, models, places []string) (err error) {
	images, err := inference.FindImages(places)
	if err != nil {
		return err
	}
	e, err := OpenEmbedder(ctx, models)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	if err := d.manifest.Match(cmp.Or(ctx.String("features"), ctx.String("data")), e.Recipe(), strings.Join(models, ", ")); err != nil {
		return err
	}
	vectors, err := EmbedFiles(ctx.Context, e, images)
	if err != nil {
		return err
	}
	d.query = reid.Set{Name: "the images of --query", Dim: e.Recipe().Dim}
	pattern := cmp.Or(ctx.String("pattern"), d.manifest.Data.Pattern)
	for i, path := range images {
		d.query.Features = append(d.query.Features, vectors[i]...)
		label := labelOf(path, pattern)
		d.query.Labels = append(d.query.Labels, label)
		d.queryItems = append(d.queryItems, ranking.Item{Image: ranking.File(path), Label: label})
	}
	return nil
}

// choose keeps the queries of these names, with or without their folders.
func (d *ranked) choose(dir string, names []string) error {
	var places []int
	for _, name := range names {
		at := slices.IndexFunc(d.queryItems, func(i ranking.Item) bool { return i.Name == filepath.ToSlash(name) })
		if at < 0 {
			at = slices.IndexFunc(d.queryItems, func(i ranking.Item) bool { return filepath.Base(filepath.FromSlash(i.Name)) == filepath.Base(name) })
		}
		if at < 0 {
			return fmt.Errorf("%s: none of the queries in %s has this name; to look for an image of your own, give the ONNX files as well", name, dir)
		}
		places = append(places, at)
	}
	chosen := reid.Set{Name: d.query.Name, Dim: d.query.Dim}
	var items []ranking.Item
	var rows []int
	for _, at := range places {
		if d.rows != nil {
			rows = append(rows, d.rows[at])
		}
		chosen.Features = append(chosen.Features, d.query.Features[at*d.query.Dim:(at+1)*d.query.Dim]...)
		chosen.Labels = append(chosen.Labels, d.query.Labels[at])
		items = append(items, d.queryItems[at])
	}
	d.query, d.queryItems, d.rows = chosen, items, rows
	return nil
}

// rank ranks, and leaves each query itself out.
func rankQueries(c *console.Console, ctx *cli.Context, data ranked, opts reid.Options) (*reid.Result, error) {
	opts.ZeroIsPerson = opts.ZeroIsPerson || data.manifest.Data.ZeroIsPerson
	top := opts.Best
	if data.rows != nil {
		opts.Best++
	}
	multiplier, done := Multiplier(c, opts.Workers)
	defer done()
	opts.Multiplier = multiplier
	result, err := reid.Rank(ctx.Context, data.query, data.gallery, opts)
	if err != nil {
		return nil, err
	}
	if result.Rerank != nil {
		result.Scores = result.Rerank.Scores
	}
	for q, row := range data.rows {
		result.PerQuery[q].Best = withoutItself(result.PerQuery[q].Best, row, top)
	}
	return result, nil
}

// withoutItself drops a row of the gallery, and what follows the top ones.
func withoutItself(best []reid.Match, row, top int) []reid.Match {
	ranks := 0
	best = slices.DeleteFunc(best, func(m reid.Match) bool { return m.Gallery == row })
	for i, m := range best {
		if m.SameCamera {
			continue
		}
		if ranks++; ranks > top {
			return best[:i]
		}
	}
	return best
}

// described completes the options of the page.
func (d ranked) described(build ranking.BuildOptions, r *reid.Result, opts reid.Options) ranking.BuildOptions {
	build.ZeroIsPerson = opts.ZeroIsPerson || d.manifest.Data.ZeroIsPerson
	build.Title = "Rankings in " + filepath.Base(filepath.Clean(d.manifest.Data.Path))
	if d.own {
		build.Title = "Nearest images in " + filepath.Base(filepath.Clean(d.manifest.Data.Path))
	}
	var files []string
	for _, m := range d.manifest.Models {
		files = append(files, m.File)
	}
	distance := "distance"
	if r.Rerank != nil {
		distance = "distance after re-ranking"
	}
	build.Remarks = []string{
		fmt.Sprintf("Features of %s (fingerprint %.12s), %s %s. Gallery of %s.", strings.Join(files, ", "), d.manifest.Fingerprint(), opts.Metric, distance, console.Count(r.Gallery, "image")),
	}
	if r.Junk > 0 {
		build.Remarks = append(build.Remarks, fmt.Sprintf("Left out: %s of no usable person (identity -1).", console.Count(r.Junk, "image")))
	}
	return build
}

// printRanked lists the first queries of the page, and says where it is.
func printRanked(c *console.Console, out string, size int64, page ranking.Page, queries int) error {
	const listed = 10
	rows := [][]string{{"QUERY", "AP", "FIRST MATCH", "MATCHES", "NEAREST", "DISTANCE"}}
	for _, q := range page.Queries[:min(listed, len(page.Queries))] {
		row := []string{q.Image.Name, "-", "-", "-", "-", "-"}
		if q.Scored {
			row[1], row[2], row[3] = console.Percent(q.AP), "rank "+console.Grouped(q.First), console.Grouped(q.Matches)
		}
		if i := slices.IndexFunc(q.Results, func(r ranking.Result) bool { return r.Rank == 1 }); i >= 0 {
			row[4], row[5] = q.Results[i].Image.Name, strconv.FormatFloat(q.Results[i].Distance, 'f', 4, 64)
		}
		rows = append(rows, row)
	}
	if err := console.Table(c.Stdout, rows); err != nil {
		return err
	}
	if more := len(page.Queries) - listed; more > 0 {
		if _, err := fmt.Fprintf(c.Stdout, "and %s more\n", console.Grouped(more)); err != nil {
			return err
		}
	}
	note := ""
	if queries > len(page.Queries) {
		note = "; --limit shows more"
	}
	_, err := fmt.Fprintf(c.Stdout, "\n%s: %s of %s, %.1f MB%s\n", out, console.Grouped(len(page.Queries)), console.Count(queries, "query"), float64(size)/1e6, note)
	return err
}

// rankingJSON is what dml reid rank prints for programs.
type rankingJSON struct {
	File        string             `json:"file"`
	Bytes       int64              `json:"bytes"`
	Fingerprint string             `json:"fingerprint"`
	Metric      reid.Metric        `json:"metric"`
	Reranked    bool               `json:"reranked"`
	Queries     int                `json:"queries"`
	Valid       int                `json:"valid_queries"`
	MAP         *float64           `json:"mAP"` // null where no query has a match
	Rankings    []queryRankingJSON `json:"rankings"`
}

// queryRankingJSON is a query that the page shows.
type queryRankingJSON struct {
	Query   string             `json:"query"`
	AP      *float64           `json:"AP"` // null, as those below, without a match
	First   *int               `json:"first_match"`
	Matches int                `json:"matches"`
	Results []rankedResultJSON `json:"results"`
}

// rankedResultJSON is one image that a query found.
type rankedResultJSON struct {
	Image    string  `json:"image"`
	Rank     *int    `json:"rank"` // null for an image of the same camera
	Distance float64 `json:"distance"`
	Relation string  `json:"relation"` // right, wrong, same camera or unknown
}

func rankedJSON(out string, size int64, data ranked, r *reid.Result, page ranking.Page, shown []int) rankingJSON {
	j := rankingJSON{File: out, Bytes: size, Fingerprint: data.manifest.Fingerprint(), Metric: r.Metric, Reranked: r.Rerank != nil, Queries: r.Queries, Valid: r.ValidQueries}
	if r.ValidQueries > 0 {
		j.MAP = &r.MAP
	}
	for i, q := range page.Queries {
		row := queryRankingJSON{Query: data.queryItems[shown[i]].Name, Matches: q.Matches, Results: []rankedResultJSON{}}
		if q.Scored {
			row.AP, row.First = &q.AP, &q.First
		}
		for _, found := range q.Results {
			result := rankedResultJSON{Image: found.Image.Name, Distance: found.Distance, Relation: found.Relation.String()}
			if found.Rank > 0 {
				result.Rank = &found.Rank
			}
			row.Results = append(row.Results, result)
		}
		j.Rankings = append(j.Rankings, row)
	}
	return j
}
