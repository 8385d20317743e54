package gallery

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/retrieval"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

var existingNames = map[string]reid.Existing{"refuse": reid.RefuseExisting, "skip": reid.SkipExisting, "replace": reid.ReplaceExisting}

func addCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "add",
		Usage:     "add images: all, or none where one is refused",
		UsageText: "dml reid gallery add G FEATURES [flags]",
		Description: "Adds images, by default those of the gallery. Names are those in the data or the labels; a\n" +
			"name that G has already is refused. LIST.csv may have empty pid and camid, and times like\n" +
			"2026-05-01T12:00:00Z, 2026-05-01, or a number of seconds.\n" +
			retrieval.SourceHelp +
			"Examples:\n" +
			"  dml reid gallery add G --features market-osnet/\n" +
			"  dml reid gallery add G osnet.onnx --preprocess torchreid --data today.csv --existing skip",
		Flags: slices.Concat(retrieval.SourceFlags(), []cli.Flag{
			&cli.StringFlag{Name: "part", Value: features.Gallery, Usage: "add the images of `query|gallery|multi_query`"},
			&cli.StringFlag{Name: "existing", Value: "refuse", Usage: "`refuse|skip|replace` images whose name is there already"},
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
	source, err := retrieval.ParseSource(ctx, args, retrieval.SourceOptions{Part: true})
	if err != nil {
		return err
	}
	existing, known := existingNames[ctx.String("existing")]
	if !known {
		return console.Usagef("--existing: %q is unknown; use refuse, skip or replace", ctx.String("existing"))
	}
	part := ctx.String("part")
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
		there, skipped, err = onlyNew(path, opened, part, existing, ctx.String("pool") != "")
		if errors.Is(err, errNothingNew) {
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
	entries, err := set.Part(part).Entries()
	if err != nil {
		return err
	}
	added, err := g.Add(entries, set.Part(part).Features, existing)
	if err != nil {
		return existingHint(err)
	}
	return tellAdded(c, ctx, path, added, skipped+len(entries)-added, g.Len())
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
func onlyNew(path string, src *retrieval.Opened, part string, existing reid.Existing, pooled bool) (there, skipped int, err error) {
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
	if at := slices.IndexFunc(*images, func(r features.Row) bool { return known[r.Name] }); at >= 0 && existing == reid.RefuseExisting {
		return len(known), 0, existingHint(fmt.Errorf("%w: %.80q", reid.ErrDuplicate, (*images)[at].Name))
	}
	all := len(*images)
	*images = slices.DeleteFunc(*images, func(r features.Row) bool { return known[r.Name] })
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
