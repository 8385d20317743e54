package retrieval

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/pages"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

func rankCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "rank",
		Usage:     "look at rankings: queries, and the images that are nearest to them",
		UsageText: "dml reid rank FEATURES [--query IMAGE...] [flags]",
		Description: "Writes one HTML file, which needs no other and no network. Images are framed green where\n" +
			"they show the query's person, red where they do not, grey where the query's own camera saw\n" +
			"that person, which takes no rank; without labels they are neutral.\n" +
			SourceHelp + OwnHelp +
			"Without models --query takes names of the data's queries; without it all of them are ranked.\n" +
			"Identities of your own images are read from names like the data's. Where the images of\n" +
			"--features have moved, --data says where they are.\n" +
			"Examples:\n" +
			"  dml reid rank --features market-osnet/ --sort worst\n" +
			"  dml reid rank runs/NAME/onnx/*.onnx --data Market-1501/ --limit 20 --out ranking.html\n" +
			"  dml reid rank osnet.onnx --preprocess torchreid --features market-osnet/ --query me.jpg",
		Flags: slices.Concat(SourceFlags(), []cli.Flag{
			&cli.StringFlag{Name: "out", Value: "ranking.html", Usage: "write the rankings to `FILE.html`"},
			&cli.IntFlag{Name: "top", Value: 10, Usage: "show the `N` nearest images of each query"},
			&cli.StringFlag{Name: "sort", Value: string(pages.Given), Usage: "order the queries by `worst|best|name|given`: worst has the lowest AP first"},
			&cli.IntFlag{Name: "limit", Value: 100, Usage: "show the first `N` queries, 0 for all"},
			metricFlag(),
			&cli.BoolFlag{Name: "rerank", DisableDefaultText: true, Usage: "rank by distances after k-reciprocal re-ranking"},
			zeroIsIdentityFlag(),
			console.JSONFlag(),
		}),
		Action: func(ctx *cli.Context) error {

			// maxRanked bounds --top: a page of more is not to be looked at.
			return runRank(c, ctx)
		},
	}
}

// maxRanked bounds --top: a page of more is not to be looked at.
const maxRanked = 100

// ranked is the features to rank, and what they are of.
type ranked struct {
	*features.Set
	queries, gallery []pages.Item
	rows             []int // of the gallery that the queries are; nil where they are not of it
	own              bool  // the queries are images of the user
}

func runRank(c *console.Console, ctx *cli.Context) error {
	source, err := ParseSource(ctx, ctx.Args().Slice(), SourceOptions{Own: true, Images: true})
	if err != nil {
		return err
	}
	opts, build, err := rankOptions(ctx)
	if err != nil {
		return err
	}
	out := ctx.String("out")
	if err := console.CheckOutputs(out); err != nil {
		return err
	}
	if err := keepInputs(out, source.Inputs()...); err != nil {
		return err
	}
	data, err := loadRanked(c, ctx, source)
	if err != nil {
		return err
	}
	defer data.Close() // nothing is lost if this fails
	result, err := rankQueries(c, ctx, data, opts)
	if err != nil {
		return err
	}
	page, shown, err := pages.Build(result.Scores, data.queries, data.gallery, data.described(build, result, opts))
	if err != nil {
		return err
	}
	if err := pages.SaveRanking(ctx.Context, out, page); err != nil {
		return err
	}
	info, err := os.Stat(out)
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, rankedJSON(out, info.Size(), data, result, page, shown))
	}
	return printRanked(c, out, info.Size(), page, len(data.queries))
}

// rankOptions reads the flags that say how to rank and what to show.
func rankOptions(ctx *cli.Context) (opts reid.Options, build pages.BuildOptions, err error) {
	if err := pages.CheckName(ctx.String("out")); err != nil {
		return opts, build, console.Usagef("--out: %w", err)
	}
	if top := ctx.Int("top"); top < 1 || top > maxRanked {
		return opts, build, console.Usagef("--top: %d is not between 1 and %d", top, maxRanked)
	}
	build.Order = pages.Order(ctx.String("sort"))
	if !slices.Contains(pages.Orders(), build.Order) {
		return opts, build, console.Usagef("--sort: %q is unknown; use worst, best, name or given", build.Order)
	}
	build.Limit = ctx.Int("limit")
	if build.Limit < 0 {
		return opts, build, console.Usagef("--limit: %d is negative", build.Limit)
	}
	opts = reid.Options{Best: ctx.Int("top"), BestSameCamera: true, ZeroIsIdentity: ctx.Bool("zero-is-identity"), Workers: ctx.Int("threads")}
	if ctx.Bool("rerank") {
		opts.Rerank = &reid.Rerank{}
	}
	opts.Metric, err = metricOf(ctx)
	return opts, build, err
}

// loadRanked loads features, and finds the images to show.
func loadRanked(c *console.Console, ctx *cli.Context, source *Source) (*ranked, error) {
	set, err := source.Load(c, features.LoadOptions{Parts: []string{features.Query, features.Gallery}})
	if err != nil {
		return nil, err
	}
	data := &ranked{Set: set, own: source.Own()}
	if data.queries, err = itemsOf(ctx, set.Query, data.own); err == nil {
		data.gallery, err = itemsOf(ctx, set.Gallery, false)
	}
	if err == nil && set.Query == set.Gallery {
		data.rows = make([]int, len(data.queries))
		for i := range data.rows {
			data.rows[i] = i
		}
	}
	if err == nil && len(source.Names) > 0 {
		err = data.choose(source.Names)
	}
	if err != nil {
		return nil, errors.Join(err, set.Close())
	}
	return data, nil
}

// itemsOf are the images of a part, which --data says where they are.
func itemsOf(ctx *cli.Context, p *features.SetPart, own bool) ([]pages.Item, error) {
	if data := ctx.String("data"); data != "" && !own {
		p.Root = data
		if info, err := os.Stat(data); err == nil && !info.IsDir() {
			p.Root = filepath.Dir(data)
		}
	}
	if _, err := os.Stat(cmp.Or(p.Root, ".")); err != nil {
		return nil, fmt.Errorf("the images to show: %w; say with --data where they are", err)
	}
	items := make([]pages.Item, len(p.Rows))
	for i, r := range p.Rows {
		open := func() (io.ReadCloser, error) {
			f, err := p.Open(i)
			if errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%w; say with --data where the images are", err)
			}
			return f, err
		}
		items[i] = pages.Item{Image: pages.Image{Name: r.Name, Open: open}, Label: r.Label}
	}
	return items, nil
}

// choose keeps the queries of these names, with or without their folders.
func (d *ranked) choose(names []string) error {
	chosen := &features.SetPart{Set: reid.Set{Name: d.Query.Name, Dim: d.Query.Dim}}
	var items []pages.Item
	var rows []int
	for _, name := range names {
		at := slices.IndexFunc(d.queries, func(i pages.Item) bool { return i.Name == filepath.ToSlash(name) })
		if at < 0 {
			at = slices.IndexFunc(d.queries, func(i pages.Item) bool { return filepath.Base(filepath.FromSlash(i.Name)) == filepath.Base(name) })
		}
		if at < 0 {
			return fmt.Errorf("%s: none of the queries of %s has this name; to look for an image of your own, give the ONNX files as well", name, d.Query.Name)
		}
		if d.rows != nil {
			rows = append(rows, d.rows[at])
		}
		chosen.Features = append(chosen.Features, d.Query.Features[at*d.Query.Dim:(at+1)*d.Query.Dim]...)
		chosen.Labels, chosen.Rows = append(chosen.Labels, d.Query.Labels[at]), append(chosen.Rows, d.Query.Rows[at])
		items = append(items, d.queries[at])
	}
	d.Query, d.queries, d.rows = chosen, items, rows
	return nil
}

// rank ranks, and leaves each query itself out.
func rankQueries(c *console.Console, ctx *cli.Context, data *ranked, opts reid.Options) (*reid.Result, error) {
	opts.ZeroIsIdentity = opts.ZeroIsIdentity || data.Data.ZeroIsIdentity
	top := opts.Best
	if data.rows != nil {
		opts.Best++
	}
	multiplier, done := Multiplier(c, opts.Workers)
	defer done()
	opts.Multiplier = multiplier
	result, err := reid.Rank(ctx.Context, data.Query.Set, data.Set.Gallery.Set, opts)
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
func (d *ranked) described(build pages.BuildOptions, r *reid.Result, opts reid.Options) pages.BuildOptions {
	build.ZeroIsIdentity = opts.ZeroIsIdentity || d.Data.ZeroIsIdentity
	build.Title = "Rankings in " + placeOf(d.Set)
	if d.own {
		build.Title = "Nearest images in " + placeOf(d.Set)
	}
	distance := "distance"
	if r.Rerank != nil {
		distance = "distance after re-ranking"
	}
	made := "Features"
	if d.Recipe != nil {
		made = describedRecipe(*d.Recipe)
	}
	build.Remarks = []string{fmt.Sprintf("%s, %s %s. Gallery of %s.", made, opts.Metric, distance, console.Count(r.Gallery, "image"))}
	if r.Junk > 0 {
		build.Remarks = append(build.Remarks, fmt.Sprintf("Left out: %s of no usable person (identity -1).", console.Count(r.Junk, "image")))
	}
	return build
}

// describedRecipe says in few words how features were made.
func describedRecipe(r features.Recipe) string {
	var files []string
	for _, m := range r.Models {
		files = append(files, m.File)
	}
	return fmt.Sprintf("Features of %s (fingerprint %.12s)", strings.Join(files, ", "), r.Fingerprint())
}

// placeOf is the name of the data of a set, or of its file.
func placeOf(s *features.Set) string {
	return filepath.Base(filepath.Clean(cmp.Or(s.Data.Path, s.Gallery.Name)))
}

// printRanked lists the first queries of the page, and says where it is.
func printRanked(c *console.Console, out string, size int64, page pages.Page, queries int) error {
	const listed = 10
	rows := [][]string{{"QUERY", "AP", "FIRST MATCH", "MATCHES", "NEAREST", "DISTANCE"}}
	for _, q := range page.Queries[:min(listed, len(page.Queries))] {
		row := []string{q.Image.Name, "-", "-", "-", "-", "-"}
		if q.Scored {
			row[1], row[2], row[3] = console.Percent(q.AP), "rank "+console.Grouped(q.First), console.Grouped(q.Matches)
		}
		if i := slices.IndexFunc(q.Results, func(r pages.Result) bool { return r.Rank == 1 }); i >= 0 {
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

func rankedJSON(out string, size int64, data *ranked, r *reid.Result, page pages.Page, shown []int) rankingJSON {
	j := rankingJSON{File: out, Bytes: size, Fingerprint: data.Fingerprint(), Metric: r.Metric, Reranked: r.Rerank != nil, Queries: r.Queries, Valid: r.ValidQueries}
	if r.ValidQueries > 0 {
		j.MAP = &r.MAP
	}
	for i, q := range page.Queries {
		row := queryRankingJSON{Query: data.queries[shown[i]].Name, Matches: q.Matches, Results: []rankedResultJSON{}}
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
