package gallery

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/cmd/dml/internal/retrieval"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

var existingNames = map[string]reid.Existing{"refuse": reid.RefuseExisting, "skip": reid.SkipExisting, "replace": reid.ReplaceExisting}

func addCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "add",
		Usage:     "add images: all, or none where one is refused",
		UsageText: "dml reid gallery add G FEATURES [flags]\ndml reid gallery add G [MODEL.onnx...] IMAGE... [--identity X --camera Y --time T] [flags]",
		Description: "Adds images, by default those of the gallery. Names are those in the data or the labels; a\n" +
			"name that G has already is refused. LIST.csv may have empty pid and camid, and times like\n" +
			"2026-05-01T12:00:00Z, 2026-05-01, or a number of seconds.\n" +
			"IMAGE is a file, or a folder of images; its name is its path. Models that are not given are\n" +
			"those that G remembers.\n" +
			retrieval.SourceHelp +
			"Examples:\n" +
			"  dml reid gallery add G --features market-osnet/\n" +
			"  dml reid gallery add G --data today.csv --existing skip\n" +
			"  dml reid gallery add G a.jpg b.jpg --identity anna --camera door-2 --time 2026-05-01T12:00:00Z",
		Flags: slices.Concat(retrieval.SourceFlags(), []cli.Flag{
			&cli.StringFlag{Name: "part", Value: features.Gallery, Usage: "add the images of `query|gallery|multi_query`"},
			&cli.StringFlag{Name: "existing", Value: "refuse", Usage: "`refuse|skip|replace` images whose name is there already"},
			&cli.StringFlag{Name: "identity", Usage: "IMAGE... show `X`, a number or a name"},
			&cli.StringFlag{Name: "camera", Usage: "IMAGE... were taken by `Y`, a number or a name"},
			&cli.StringFlag{Name: "time", Usage: "IMAGE... were taken at `T`"},
			&cli.StringFlag{Name: "name-prefix", Usage: "write `PREFIX` before the names of IMAGE..."},
			waitFlag(),
			console.JSONFlag(),
		}),
		Action: func(ctx *cli.Context) error { return galleryAdd(c, ctx) },
	}
}

func galleryAdd(c *console.Console, ctx *cli.Context) (err error) {
	path, args, err := galleryArgument(ctx)
	if err != nil {
		return err
	}
	if args, err = recall(ctx, path, args); err != nil {
		return err
	}
	own := slices.ContainsFunc(args, func(arg string) bool { return !inference.IsModel(arg) })
	source, err := retrieval.ParseSource(ctx, args, retrieval.SourceOptions{Part: true, Own: own})
	if err != nil {
		return err
	}
	label, err := imageLabel(ctx, own)
	if err != nil {
		return err
	}
	existing, known := existingNames[ctx.String("existing")]
	if !known {
		return console.Usagef("--existing: %q is unknown; use refuse, skip or replace", ctx.String("existing"))
	}
	part := ctx.String("part")
	if own {
		if !source.Alone() || ctx.IsSet("part") {
			return console.Usagef("reid gallery add takes images that are arguments, or others, not both")
		}
		part = features.Query // as which images of your own are read
	}
	if !slices.Contains(features.Parts(), part) {
		return console.Usagef("--part: %q is unknown; use %s", part, strings.Join(features.Parts(), ", "))
	}
	opened, err := source.Open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	var there, skipped int
	if opened.Images != nil { // before the work of making features that would be refused
		there, skipped, err = onlyNew(path, opened, part, existing, ctx.String("pool") != "", ctx.String("name-prefix"))
		if errors.Is(err, errNothingNew) {
			// That they are there may be the work of a process that does not know
			// whether it is durable: a writer makes sure.
			if err := change(ctx, path, func(g *reid.Gallery) error { _, err := g.Add(nil, nil, existing); return err }); err != nil {
				return err
			}
			return tellAdded(c, ctx, path, 0, skipped, there)
		}
		if err != nil {
			return err
		}
	}
	set, err := opened.Load(c, ctx, features.LoadOptions{Parts: []string{part}})
	if err != nil {
		return err
	}
	defer set.Close() // nothing is lost if this fails
	g, err := openGallery(path, set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	g.WaitForOthers(ctx.Duration("wait"))
	entries, err := set.Part(part).Entries()
	if err != nil {
		return err
	}
	for i := range entries {
		if own {
			entries[i] = label.of(entries[i])
		}
	}
	added, err := g.Add(entries, set.Part(part).Features, existing)
	if err != nil {
		return existingHint(err)
	}
	return tellAdded(c, ctx, path, added, skipped+len(entries)-added, g.Len())
}

// label is what images that are arguments are called, and what they show.
type label struct {
	reid.Label
	time   time.Time
	prefix string
}

func (l label) of(e reid.Entry) reid.Entry {
	return reid.Entry{Name: l.prefix + filepath.ToSlash(e.Name), Label: l.Label, Time: l.time}
}

// imageLabel reads the flags about images that are arguments.
func imageLabel(ctx *cli.Context, own bool) (l label, err error) {
	for _, name := range []string{"identity", "camera", "time", "name-prefix"} {
		if ctx.IsSet(name) && !own {
			return l, console.Usagef("--%s is about images that are given as arguments, and there are none", name)
		}
	}
	l.prefix = ctx.String("name-prefix")
	if ctx.IsSet("identity") {
		if l.PID, err = idFlag(ctx, "identity", reid.ParseID); err != nil {
			return l, err
		}
	}
	if ctx.IsSet("camera") {
		if l.Camera, err = idFlag(ctx, "camera", reid.ParseCamera); err != nil {
			return l, err
		}
	}
	if ctx.IsSet("time") {
		if l.time, err = features.ParseTime(ctx.String("time")); err != nil {
			return l, console.Usagef("--time: %w", err)
		}
	}
	return l, nil
}

// openGallery opens a gallery for features of a set.
func openGallery(path string, set *features.Set) (*reid.Gallery, error) {
	if set.Recipe == nil {
		return nil, fmt.Errorf("nothing says how the features were made, and so that %s is for them: say with --fingerprint-from", path)
	}
	g, err := reid.OpenGallery(path, set.Fingerprint())
	return g, galleryHint(err)
}

var errNothingNew = errors.New("all images are there already")

// onlyNew leaves of a source the images of a part whose features are needed, and
// counts those of it that are there already and shall be skipped, and all that are
// there. Where rows are pooled one takes the name of any of its images.
func onlyNew(path string, src *retrieval.Opened, part string, existing reid.Existing, pooled bool, prefix string) (there, skipped int, err error) {
	at := slices.IndexFunc(src.Images.Parts, func(p features.ImagesPart) bool { return p.Name == part })
	if at < 0 {
		return 0, 0, fmt.Errorf("%s: %w of a part %s; --part names another", src.Images.Data.Path, reid.ErrEmpty, part)
	}
	src.Images.Parts = src.Images.Parts[at : at+1]
	images := &src.Images.Parts[0].Images
	if _, err := features.Entries(src.Images.Data.Path, *images); err != nil {
		return 0, 0, err
	}
	g, err := reid.OpenGallery(path, src.Fingerprint())
	if err != nil {
		return 0, 0, galleryHint(err)
	}
	known := make(map[string]bool)
	for _, name := range g.Names() {
		known[name] = true
	}
	if err := g.Close(); err != nil || pooled || existing == reid.ReplaceExisting {
		return len(known), 0, err
	}
	if at := slices.IndexFunc(*images, func(r features.Row) bool { return known[prefix+r.Name] }); at >= 0 && existing == reid.RefuseExisting {
		return len(known), 0, existingHint(fmt.Errorf("%w: %.80q", reid.ErrDuplicate, prefix+(*images)[at].Name))
	}
	all := len(*images)
	*images = slices.DeleteFunc(*images, func(r features.Row) bool { return known[prefix+r.Name] })
	if len(*images) == 0 {
		err = errNothingNew
	}
	return len(known), all - len(*images), err
}

// existingHint says what to do about images that are there already.
func existingHint(err error) error {
	if errors.Is(err, reid.ErrDuplicate) {
		return fmt.Errorf("%w; --existing skip keeps such images, --existing replace takes the new ones", err)
	}
	if errors.Is(err, reid.ErrGalleryUncertain) {
		return fmt.Errorf("%w; the same command with --existing skip adds what is not there", err)
	}
	return err
}

// galleryHint says what to do about a gallery of other features.
func galleryHint(err error) error {
	if errors.Is(err, reid.ErrFingerprint) {
		return fmt.Errorf("%w; use the model, --preprocess and --flip that the gallery was created with, or create another one", err)
	}
	return err
}

// tellAdded prints how many images a gallery was given, and has now.
func tellAdded(c *console.Console, ctx *cli.Context, path string, added, skipped, now int) error {
	there := ""
	if skipped > 0 {
		there = fmt.Sprintf(", %s skipped that are there already", console.Grouped(skipped))
	}
	return tellGallery(c, ctx, path, "%s added%s, %s now", console.Count(added, "image"), there, console.Grouped(now))
}
