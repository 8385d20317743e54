package gallery

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/retrieval"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/extract"
	"github.com/deepmutual/dml/reid/features"
)

var existingNames = map[string]reid.Existing{"refuse": reid.RefuseExisting, "skip": reid.SkipExisting, "replace": reid.ReplaceExisting}

func addCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "add",
		Usage:     "add images: all, or none where one is refused",
		UsageText: "dml reid gallery add G --features F/ [flags]\ndml reid gallery add G MODEL.onnx... --data DIR|LIST.csv [flags]",
		Description: "Adds the images of a folder that dml reid extract made, or makes their features first. Of\n" +
			"data with queries and a gallery, the gallery is added. Names are those in DIR or LIST.csv; a\n" +
			"name that G has already is refused. LIST.csv may have empty pid and camid, and times like\n" +
			"2026-05-01T12:00:00Z, 2026-05-01, or a number of seconds.\n" +
			"Examples:\n" +
			"  dml reid gallery add G --features market-osnet/\n" +
			"  dml reid gallery add G osnet.onnx --preprocess torchreid --data today.csv --existing skip",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "features", Usage: "add the features in folder `F`"},
			&cli.StringFlag{Name: "part", Value: features.Gallery, Usage: "add the images of `query|gallery|multi_query`"},
			&cli.StringFlag{Name: "existing", Value: "refuse", Usage: "`refuse|skip|replace` images whose name is there already"},
		}, retrieval.ExtractFlags(), []cli.Flag{console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return galleryAdd(c, ctx) },
	}
}

func galleryAdd(c *console.Console, ctx *cli.Context) error {
	path, models, others, err := galleryArgument(ctx)
	if err == nil {
		err = noMore(ctx, others)
	}
	if err == nil {
		err = retrieval.CheckFeatureForm(ctx, "reid gallery add", models, false)
	}
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
	var there []string
	if len(models) > 0 { // before the work of making features that would be refused
		if err := checkTimes(ctx.String("data"), part); err != nil {
			return err
		}
		if there, err = namesFor(ctx, path, models); err != nil {
			return err
		}
	}
	skipped := 0
	err = retrieval.WithFeatures(c, ctx, models, func(dir string) error {
		return addFolder(c, ctx, path, dir, part, existing, skipped)
	}, func(src *extract.Source) (err error) {
		if ctx.String("pool") != "" { // a row takes the name of any of its images
			there = nil
		}
		skipped, err = onlyNew(src, part, there, existing)
		return err
	})
	if errors.Is(err, errNothingNew) {
		return tellAdded(c, ctx, path, 0, skipped, len(there))
	}
	return err
}

var errNothingNew = errors.New("all images are there already")

// onlyNew leaves of a source the images of a part whose features are needed, and
// counts those of it that are there already and shall be skipped.
func onlyNew(src *extract.Source, part string, there []string, existing reid.Existing) (skipped int, err error) {
	src.Parts = slices.DeleteFunc(src.Parts, func(p extract.Part) bool { return p.Name != part })
	if len(src.Parts) == 0 {
		return 0, fmt.Errorf("%s: %w of a part %s; --part names another", src.Data.Path, reid.ErrEmpty, part)
	}
	if existing == reid.ReplaceExisting {
		return 0, nil
	}
	known := make(map[string]bool, len(there))
	for _, name := range there {
		known[name] = true
	}
	images := &src.Parts[0].Images
	at := slices.IndexFunc(*images, func(r features.Row) bool { return known[r.Name] })
	if at >= 0 && existing == reid.RefuseExisting {
		return 0, existingHint(fmt.Errorf("%w: %.80q", reid.ErrDuplicate, (*images)[at].Name))
	}
	all := len(*images)
	*images = slices.DeleteFunc(*images, func(r features.Row) bool { return known[r.Name] })
	if len(*images) == 0 {
		err = errNothingNew
	}
	return all - len(*images), err
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

// checkTimes refuses a list whose times for a part cannot be read. Folders have
// none.
func checkTimes(data, part string) error {
	info, err := os.Stat(data)
	if err != nil || info.IsDir() {
		return err
	}
	rows, err := features.ReadList(data)
	if err != nil {
		return err
	}
	_, err = features.Entries(data, slices.DeleteFunc(rows, func(r features.Row) bool { return r.Split != "" && r.Split != part }))
	return err
}

// namesFor returns the names of a gallery's images, and refuses models that do
// not fit it.
func namesFor(ctx *cli.Context, path string, models []string) ([]string, error) {
	e, err := retrieval.OpenEmbedder(ctx, models)
	if err != nil {
		return nil, err
	}
	defer e.Close() // nothing is lost if this fails
	g, err := reid.OpenGallery(path, e.Fingerprint())
	if err != nil {
		return nil, galleryHint(err)
	}
	return g.Names(), g.Close()
}

// galleryHint says what to do about a gallery of other features.
func galleryHint(err error) error {
	if errors.Is(err, reid.ErrFingerprint) {
		return fmt.Errorf("%w; use the model, --preprocess and --flip that the gallery was created with, or create another one", err)
	}
	return err
}

func addFolder(c *console.Console, ctx *cli.Context, path, dir, part string, existing reid.Existing, skipped int) (err error) {
	m, err := retrieval.ReadManifest(dir)
	if err != nil {
		return err
	}
	g, err := reid.OpenGallery(path, m.Fingerprint())
	if err != nil {
		return galleryHint(err)
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	set, rows, err := features.LoadPart(dir, m, part)
	if err != nil {
		return err
	}
	entries, err := features.Entries(filepath.Join(dir, part+".csv"), rows)
	if err != nil {
		return err
	}
	added, err := g.Add(entries, set.Features, existing)
	if err != nil {
		return existingHint(err)
	}
	return tellAdded(c, ctx, path, added, skipped+len(entries)-added, g.Len())
}

// tellAdded prints how many images a gallery was given, and has now.
func tellAdded(c *console.Console, ctx *cli.Context, path string, added, skipped, now int) error {
	there := ""
	if skipped > 0 {
		there = fmt.Sprintf(", %s skipped that are there already", console.Grouped(skipped))
	}
	return tellGallery(c, ctx, path, "%s added%s, %s now", console.Count(added, "image"), there, console.Grouped(now))
}
