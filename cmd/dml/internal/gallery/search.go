package gallery

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/cmd/dml/internal/retrieval"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

// unknownWord stands for an unknown identity or camera in flags.
const unknownWord = "unknown"

// filterFlags say which images of a gallery are meant; see galleryFilter.
func filterFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringSliceFlag{Name: "pid", Usage: "images of the identities in `LIST`, as in 3,anna; or " + unknownWord},
		&cli.StringSliceFlag{Name: "not-pid", Usage: "images of identities that are not in `LIST`"},
		&cli.StringSliceFlag{Name: "camera", Usage: "images by the cameras in `LIST`; or " + unknownWord},
		&cli.StringSliceFlag{Name: "not-camera", Usage: "images by cameras that are not in `LIST`"},
		&cli.StringFlag{Name: "since", Usage: "images from `TIME` on"},
		&cli.StringFlag{Name: "until", Usage: "images before `TIME`: 2026-05-01T12:00:00Z, 2026-05-01, or seconds"},
	}
}

func filterNames() []string {
	var out []string
	for _, flag := range filterFlags() {
		out = append(out, flag.Names()...)
	}
	return out
}

// galleryFilter reads the filterFlags.
func galleryFilter(ctx *cli.Context) (f reid.Filter, err error) {
	for _, flag := range []struct {
		name  string
		parse func(string) (reid.ID, error)
		to    *[]reid.ID
	}{
		{"pid", reid.ParseID, &f.PIDs}, {"not-pid", reid.ParseID, &f.NotPIDs},
		{"camera", reid.ParseCamera, &f.Cameras}, {"not-camera", reid.ParseCamera, &f.NotCameras},
	} {
		for text := range strings.SplitSeq(strings.Join(ctx.StringSlice(flag.name), ","), ",") {
			text = strings.TrimSpace(text)
			if text == "" && !ctx.IsSet(flag.name) {
				continue
			}
			id := reid.Unknown
			if text != unknownWord {
				var err error
				if id, err = flag.parse(text); err == nil && id == reid.Unknown {
					err = errors.New("it is empty")
				}
				if err != nil {
					return f, console.Usagef("--%s: %w; give numbers or names, or %q", flag.name, err, unknownWord)
				}
			}
			*flag.to = append(*flag.to, id)
		}
	}
	for _, flag := range []struct {
		name string
		to   *time.Time
	}{{"since", &f.Since}, {"until", &f.Until}} {
		if !ctx.IsSet(flag.name) {
			continue
		}
		if *flag.to, err = features.ParseTime(ctx.String(flag.name)); err != nil {
			return f, console.Usagef("--%s: %w", flag.name, err)
		}
	}
	if err := f.Validate(); err != nil {
		return f, console.Usagef("%w", err)
	}
	return f, nil
}

func searchCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "search",
		Usage:     "find the images nearest to others, by cosine distance",
		UsageText: "dml reid gallery search G MODEL.onnx... IMAGE... [flags]\ndml reid gallery search G --features F/ | --query q.npy [flags]",
		Description: "Every image that fits the flags is compared. IMAGE is a file, or a folder of images.\n" +
			"--features searches for the queries of a folder that dml reid extract made; --query for the\n" +
			"rows of a file, made as the features.json beside it says, or that of --fingerprint-from.\n" +
			"Examples:\n" +
			"  dml reid gallery search G osnet.onnx --preprocess torchreid person.jpg\n" +
			"  dml reid gallery search G osnet.onnx --preprocess torchreid seen/ --not-camera 3 --top 5\n" +
			"  dml reid gallery search G --features F/ --since 2026-05-01 --json",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "features", Usage: "search for the features in folder `F`"},
			&cli.StringFlag{Name: "part", Value: features.Query, Usage: "of these for the images of `query|gallery|multi_query`"},
			&cli.StringFlag{Name: "query", Usage: "search for the rows of `FILE.npy`"},
			&cli.StringFlag{Name: "fingerprint-from", DefaultText: "the folder of FILE.npy", Usage: "folder `F` whose features.json says how these were made"},
			&cli.IntFlag{Name: "top", Value: 10, Usage: "find `N` images for each"},
		}, filterFlags(), retrieval.EmbedderFlags(), []cli.Flag{console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return gallerySearch(c, ctx) },
	}
}

// queries is what to search a gallery for.
type queries struct {
	names       []string
	features    []float32
	fingerprint string
	dim         int
}

// found is what reid gallery search prints for programs.
// found is what a search prints as JSON.
type found struct {
	Gallery     string       `json:"gallery"`
	Fingerprint string       `json:"fingerprint"`
	Images      int          `json:"images"`
	Queries     []foundQuery `json:"queries"`
}

type foundQuery struct {
	Query string     `json:"query"`
	Hits  []foundHit `json:"hits"`
}

type foundHit struct {
	Rank     int     `json:"rank"`
	Name     string  `json:"name"`
	Distance float64 `json:"distance"`
	// PID and Camera are null where they are not known.
	PID    reid.ID   `json:"pid"`
	Camera reid.ID   `json:"camid"`
	Track  string    `json:"track,omitempty"`
	Time   time.Time `json:"time,omitzero"`
	Row    int       `json:"row"`
}

func gallerySearch(c *console.Console, ctx *cli.Context) (err error) {
	path, models, images, err := galleryArgument(ctx)
	if err != nil {
		return err
	}
	if ctx.Int("top") < 1 || ctx.Int("top") > math.MaxInt32 {
		return console.Usagef("--top: %d is not between 1 and %d", ctx.Int("top"), math.MaxInt32)
	}
	filter, err := galleryFilter(ctx)
	if err != nil {
		return err
	}
	q, err := galleryQueries(ctx, models, images)
	if err != nil {
		return err
	}
	g, err := reid.OpenGallery(path, q.fingerprint)
	if err != nil {
		return galleryHint(err)
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if q.dim != g.Dim() {
		return fmt.Errorf("%w: the queries have %d features, the images of %s %d", reid.ErrDimension, q.dim, path, g.Dim())
	}
	opts := reid.SearchOptions{Top: ctx.Int("top"), Filter: filter, Workers: ctx.Int("threads")}
	if len(q.names) >= reid.ManyQueries {
		multiplier, done := retrieval.Multiplier(c, opts.Workers)
		defer done()
		opts.Multiplier = multiplier
	}
	hits, err := g.Search(ctx.Context, q.features, opts)
	if err != nil {
		return err
	}
	out := found{Gallery: path, Fingerprint: q.fingerprint, Images: g.Len(), Queries: make([]foundQuery, len(hits))}
	for i := range hits {
		out.Queries[i] = foundQuery{q.names[i], make([]foundHit, len(hits[i]))}
		for k, h := range hits[i] {
			out.Queries[i].Hits[k] = foundHit{k + 1, h.Name, h.Distance, h.PID, h.Camera, h.Track, h.Time, h.Row}
		}
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, out)
	}
	return printFound(c, out)
}

// galleryQueries reads or makes the features to search for.
func galleryQueries(ctx *cli.Context, models, images []string) (queries, error) {
	var forms []string
	for _, name := range []string{"features", "query"} {
		if ctx.String(name) != "" {
			forms = append(forms, "--"+name)
		}
	}
	if len(models) > 0 || len(images) > 0 {
		forms = append(forms, "images")
	}
	switch {
	case len(forms) == 0:
		return queries{}, console.Usagef("reid gallery search needs what to search for: ONNX files and images, --features F/ or --query FILE.npy")
	case len(forms) > 1:
		return queries{}, console.Usagef("reid gallery search searches for one thing, not for %s", strings.Join(forms, " and "))
	case ctx.IsSet("part") && forms[0] != "--features":
		return queries{}, console.Usagef("--part is about --features, which is not given")
	case ctx.IsSet("fingerprint-from") && forms[0] != "--query":
		return queries{}, console.Usagef("--fingerprint-from is about --query, which is not given")
	}
	if forms[0] == "images" {
		if len(models) == 0 || len(images) == 0 {
			return queries{}, console.Usagef("reid gallery search needs ONNX files (.onnx) and images, or --features or --query")
		}
		return imageQueries(ctx, models, images)
	}
	if err := retrieval.RefuseFlags(ctx, retrieval.EmbedderFlags()); err != nil {
		return queries{}, err
	}
	if forms[0] == "--features" {
		return folderQueries(ctx.String("features"), ctx.String("part"))
	}
	return fileQueries(ctx.String("query"), ctx.String("fingerprint-from"))
}

func imageQueries(ctx *cli.Context, models, places []string) (q queries, err error) {
	if q.names, err = inference.FindImages(places); err != nil {
		return q, err
	}
	e, err := retrieval.OpenEmbedder(ctx, models)
	if err != nil {
		return q, err
	}
	defer func() { err = errors.Join(err, e.Close()) }()
	q.fingerprint, q.dim = e.Fingerprint(), e.Recipe().Dim
	rows, err := retrieval.EmbedFiles(ctx.Context, e, q.names)
	q.features = slices.Concat(rows...)
	return q, err
}

func folderQueries(dir, part string) (queries, error) {
	if !slices.Contains(features.Parts(), part) {
		return queries{}, console.Usagef("--part: %q is unknown; use %s", part, strings.Join(features.Parts(), ", "))
	}
	m, err := retrieval.ReadManifest(dir)
	if err != nil {
		return queries{}, err
	}
	set, rows, err := features.LoadPart(dir, m, part)
	if err != nil {
		return queries{}, err
	}
	q := queries{features: set.Features, fingerprint: m.Fingerprint(), dim: set.Dim}
	for _, r := range rows {
		q.names = append(q.names, r.Name)
	}
	return q, nil
}

func fileQueries(npy, folder string) (queries, error) {
	if folder == "" {
		folder = filepath.Dir(npy)
	}
	manifest, err := features.ReadManifest(folder)
	if err != nil {
		return queries{}, fmt.Errorf("nothing says how %s was made: %w; say with --fingerprint-from", npy, err)
	}
	m, err := features.ReadNPY(npy)
	if err != nil {
		return queries{}, err
	}
	q := queries{features: m.Data, fingerprint: manifest.Fingerprint(), dim: m.Dim}
	for i := range m.Rows {
		q.names = append(q.names, fmt.Sprintf("%s row %d", npy, i))
	}
	return q, nil
}

// printFound prints hits for people.
func printFound(c *console.Console, f found) error {
	cell := func(id reid.ID) string { return cmp.Or(console.Plain(string(id)), "-") }
	for i, q := range f.Queries {
		if i > 0 {
			if _, err := fmt.Fprintln(c.Stdout); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintln(c.Stdout, console.Plain(q.Query)); err != nil {
			return err
		}
		if len(q.Hits) == 0 {
			if _, err := fmt.Fprintln(c.Stdout, "no image of the gallery fits the flags"); err != nil {
				return err
			}
			continue
		}
		rows := [][]string{{"RANK", "DISTANCE", "NAME", "PID", "CAMERA", "TIME"}}
		for _, h := range q.Hits {
			rows = append(rows, []string{strconv.Itoa(h.Rank), fmt.Sprintf("%.4f", h.Distance), h.Name, cell(h.PID), cell(h.Camera), timeCell(h.Time)})
		}
		if err := console.Table(c.Stdout, rows); err != nil {
			return err
		}
	}
	return nil
}
