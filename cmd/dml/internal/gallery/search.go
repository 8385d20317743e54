package gallery

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
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
		UsageText: "dml reid gallery search G [MODEL.onnx...] IMAGE... [flags]\ndml reid gallery search G FEATURES [flags]",
		Description: "Every image that fits the flags is compared. IMAGE is a file, or a folder of images, prepared\n" +
			"and embedded by the models that G remembers where none are given. A search always finds\n" +
			"something: with --threshold, of dml reid calibrate --search, it says who is near enough, or\n" +
			"that nobody is.\n" +
			retrieval.SourceHelp + retrieval.OwnHelp +
			"How those in .npy files were made says the features.json beside them, or --fingerprint-from.\n" +
			"Examples:\n" +
			"  dml reid gallery search G person.jpg --threshold search.json --group identity\n" +
			"  dml reid gallery search G seen/ --not-camera 3 --top 5\n" +
			"  dml reid gallery search G --features F/ --since 2026-05-01 --json",
		Flags: slices.Concat(retrieval.SourceFlags(), []cli.Flag{
			&cli.StringFlag{Name: "part", Value: features.Query, Usage: "search for the images of `query|gallery|multi_query`"},
			&cli.IntFlag{Name: "top", Value: 10, Usage: "find `N` images for each"},
			&cli.StringFlag{Name: "threshold", Usage: "count images nearer than `FILE.json|VALUE`: a file of dml reid calibrate --search, or a distance"},
			&cli.StringFlag{Name: "group", Usage: "keep the best image of each `identity|track`"},
		}, filterFlags(), []cli.Flag{console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return gallerySearch(c, ctx) },
	}
}

// found is what a search prints as JSON.
type found struct {
	Gallery     string       `json:"gallery"`
	Fingerprint string       `json:"fingerprint"`
	Images      int          `json:"images"`
	Threshold   *float64     `json:"threshold,omitempty"`
	Queries     []foundQuery `json:"queries"`
}

type foundQuery struct {
	Query string `json:"query"`
	// Nobody is set with a threshold: no image is nearer.
	Nobody *bool      `json:"nobody,omitempty"`
	Hits   []foundHit `json:"hits"`
}

type foundHit struct {
	Rank     int     `json:"rank"`
	Name     string  `json:"name"`
	Distance float64 `json:"distance"`
	// Same is set with a threshold: the image is nearer.
	Same *bool `json:"same,omitempty"`
	// PID and Camera are null where they are not known.
	PID    reid.ID   `json:"pid"`
	Camera reid.ID   `json:"camid"`
	Track  string    `json:"track,omitempty"`
	Time   time.Time `json:"time,omitzero"`
	Row    int       `json:"row"`
}

func gallerySearch(c *console.Console, ctx *cli.Context) (err error) {
	path, args, err := galleryArgument(ctx)
	if err != nil {
		return err
	}
	if args, err = recall(ctx, path, args); err != nil {
		return err
	}
	source, err := retrieval.ParseSource(ctx, args, retrieval.SourceOptions{Own: true, Part: true})
	if err != nil {
		return err
	}
	part := ctx.String("part")
	switch {
	case !slices.Contains(features.Parts(), part):
		return console.Usagef("--part: %q is unknown; use %s", part, strings.Join(features.Parts(), ", "))
	case source.Alone() && part != features.Query:
		return console.Usagef("--part: queries of your own have no part %s", part)
	case ctx.Int("top") < 1 || ctx.Int("top") > math.MaxInt32:
		return console.Usagef("--top: %d is not between 1 and %d", ctx.Int("top"), math.MaxInt32)
	}
	filter, err := galleryFilter(ctx)
	if err != nil {
		return err
	}
	group, known := map[string]reid.Group{"": reid.GroupNone, "identity": reid.GroupIdentity, "track": reid.GroupTrack}[ctx.String("group")]
	if !known {
		return console.Usagef("--group: %q is unknown; use identity or track", ctx.String("group"))
	}
	t, err := searchThreshold(ctx)
	if err != nil {
		return err
	}
	set, err := source.Load(c, features.LoadOptions{Parts: []string{part}})
	if err != nil {
		return err
	}
	defer set.Close() // nothing is lost if this fails
	queries := set.Part(part)
	g, err := openGallery(path, set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	if queries.Dim != g.Dim() {
		return fmt.Errorf("%w: the queries have %d features, the images of %s %d", reid.ErrDimension, queries.Dim, path, g.Dim())
	}
	if err := t.fits(c, path, set.Fingerprint(), g.Len()); err != nil {
		return err
	}
	opts := reid.SearchOptions{Top: ctx.Int("top"), Group: group, Filter: filter, Workers: ctx.Int("threads")}
	if len(queries.Rows) >= reid.ManyQueries {
		multiplier, done := retrieval.Multiplier(c, opts.Workers)
		defer done()
		opts.Multiplier = multiplier
	}
	hits, err := g.Search(ctx.Context, queries.Features, opts)
	if err != nil {
		return err
	}
	out := found{Gallery: path, Fingerprint: set.Fingerprint(), Images: g.Len(), Threshold: t.value(), Queries: make([]foundQuery, len(hits))}
	for i := range hits {
		out.Queries[i] = foundQuery{Query: queries.Rows[i].Name, Hits: make([]foundHit, len(hits[i]))}
		for k, h := range hits[i] {
			out.Queries[i].Hits[k] = foundHit{Rank: k + 1, Name: h.Name, Distance: h.Distance, PID: h.PID, Camera: h.Camera, Track: h.Track, Time: h.Time, Row: h.Row}
		}
		t.judge(&out.Queries[i])
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, out)
	}
	return printFound(c, out)
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
		if q.Nobody != nil && *q.Nobody {
			if _, err := fmt.Fprintf(c.Stdout, "nobody: the nearest image is at %.4f, the threshold %.4f\n", q.Hits[0].Distance, *f.Threshold); err != nil {
				return err
			}
		}
		rows := [][]string{{"RANK", "DISTANCE", "NAME", "PID", "CAMERA", "TIME"}}
		for _, h := range q.Hits {
			rows = append(rows, []string{strconv.Itoa(h.Rank), fmt.Sprintf("%.4f", h.Distance), h.Name, cell(h.PID), cell(h.Camera), timeCell(h.Time)})
		}
		if f.Threshold != nil {
			rows[0] = append(rows[0], "SAME PERSON")
			for i, h := range q.Hits {
				rows[i+1] = append(rows[i+1], map[bool]string{true: "yes", false: "no"}[*h.Same])
			}
		}
		if err := console.Table(c.Stdout, rows); err != nil {
			return err
		}
	}
	return nil
}
