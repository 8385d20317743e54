// Package gallery holds the verbs of dml reid gallery.
package gallery

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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

// Command is dml reid gallery.
func Command(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "gallery",
		Usage:     "keep features of images on disk, to search for people",
		UsageText: "dml reid gallery create|add|search|list|label|rm|compact|info G [arguments] [flags]",
		Description: "A gallery G is a folder of features by one model and one preprocessing. Others are refused.\n" +
			"What was added stays, whatever happens to the process or the machine afterwards.\n" +
			"Examples:\n" +
			"  dml reid gallery create G osnet.onnx --preprocess torchreid\n" +
			"  dml reid gallery add G --data images/\n" +
			"  dml reid gallery search G person.jpg --threshold search.json\n" +
			"  dml reid gallery label G --name images/7.jpg --set-pid anna\n" +
			"  dml reid gallery rm G --name images/old.jpg\n" +
			"  dml reid gallery info G --verify",
		Subcommands: []*cli.Command{createCommand(c), addCommand(c), searchCommand(c), listCommand(c), labelCommand(c), removeCommand(c), compactCommand(c), infoCommand(c)},
	}
}

// galleryArgument takes the gallery off the arguments.
func galleryArgument(ctx *cli.Context) (gallery string, others []string, err error) {
	args := ctx.Args().Slice()
	if len(args) == 0 || args[0] == "" {
		return "", nil, console.Usagef("reid gallery %s needs the gallery's folder", ctx.Command.Name)
	}
	if inference.IsModel(args[0]) {
		return "", nil, console.Usagef("reid gallery %s: the gallery's folder comes first, not %s", ctx.Command.Name, args[0])
	}
	return args[0], args[1:], nil
}

// noMore refuses arguments that a command has no use for.
func noMore(ctx *cli.Context, rest []string) error {
	if len(rest) > 0 {
		return console.Usagef("reid gallery %s: unexpected argument %q", ctx.Command.Name, rest[0])
	}
	return nil
}

func createCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "create",
		Usage:     "make an empty gallery for the features of one model or cohort",
		UsageText: "dml reid gallery create G MODEL.onnx... [flags]\ndml reid gallery create G --fingerprint-from F/",
		Description: "The gallery remembers the models and how images are prepared; later verbs need neither.\n" +
			"Examples:\n" +
			"  dml reid gallery create G osnet.onnx --preprocess torchreid\n" +
			"  dml reid gallery create G --fingerprint-from market-osnet/     as dml reid extract made F/",
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "fingerprint-from", Usage: "take features like those in folder `F`"},
		}, retrieval.EmbedderFlags(), []cli.Flag{console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return galleryCreate(c, ctx) },
	}
}

func galleryCreate(c *console.Console, ctx *cli.Context) (err error) {
	path, models, err := galleryArgument(ctx)
	if err == nil {
		err = noMore(ctx, slices.DeleteFunc(slices.Clone(models), inference.IsModel))
	}
	if err != nil {
		return err
	}
	var recipe features.Recipe
	var made memory
	switch from := ctx.String("fingerprint-from"); {
	case (from == "") == (len(models) == 0):
		return console.Usagef("reid gallery create needs either ONNX files or --fingerprint-from F/")
	case from != "":
		m, err := features.ReadManifest(from)
		if err != nil {
			return err
		}
		recipe = m.Recipe
	default:
		e, err := retrieval.OpenEmbedder(ctx, models)
		if err != nil {
			return err
		}
		recipe = e.Recipe()
		if err := e.Close(); err != nil {
			return err
		}
		if made, err = memoryOf(ctx, models, recipe); err != nil {
			return err
		}
	}
	if err := reid.CreateGallery(path, recipe.Dim, recipe.Fingerprint()); err != nil {
		return err
	}
	if len(made.Models) > 0 {
		note, err := json.Marshal(made)
		if err != nil {
			return err
		}
		if err := change(ctx, path, func(g *reid.Gallery) error { return g.SetNote(note) }); err != nil {
			return err
		}
	}
	return tellGallery(c, ctx, path, "created for %d features an image", recipe.Dim)
}

// tellGallery prints what happened to a gallery: for programs, how it is now.
func tellGallery(c *console.Console, ctx *cli.Context, path, format string, args ...any) error {
	if !ctx.Bool("json") {
		_, err := fmt.Fprintf(c.Stdout, "%s: "+format+"\n", append([]any{path}, args...)...)
		return err
	}
	info, err := reid.ReadGalleryInfo(path)
	if err != nil {
		return err
	}
	return console.WriteJSON(c.Stdout, info)
}

func removeCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "rm",
		Usage:     "remove the images that fit all flags",
		UsageText: "dml reid gallery rm G --name NAME... | --pid N... | --camera N... | --until TIME [flags]",
		Description: "Removed images are not found any more; their room on disk is not used again, and their\n" +
			"features stay readable there, until dml reid gallery compact.\n" +
			"Examples:\n" +
			"  dml reid gallery rm G --name a.jpg --name b.jpg\n" +
			"  dml reid gallery rm G --pid 17\n" +
			"  dml reid gallery rm G --camera 2,3 --until 2026-01-01",
		Flags:  slices.Concat([]cli.Flag{nameFlag()}, filterFlags(), []cli.Flag{waitFlag(), console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return galleryRemove(c, ctx) },
	}
}

func galleryRemove(c *console.Console, ctx *cli.Context) (err error) {
	path, others, err := galleryArgument(ctx)
	if err == nil {
		err = noMore(ctx, others)
	}
	if err != nil {
		return err
	}
	filter, err := namedFilter(ctx)
	if err == nil {
		err = insistOnFilter(ctx)
	}
	if err != nil {
		return err
	}
	return change(ctx, path, func(g *reid.Gallery) error {
		removed, err := g.Remove(filter)
		if err != nil {
			return err
		}
		if removed == 0 {
			return fmt.Errorf("%s: no image is as the flags say; nothing was removed", path)
		}
		return tellGallery(c, ctx, path, "%s removed, %s left", console.Count(removed, "image"), console.Grouped(g.Len()))
	})
}

func infoCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "info",
		Usage:     "describe a gallery",
		UsageText: "dml reid gallery info G [--verify]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "verify", DisableDefaultText: true, Usage: "read everything and check it against its checksums"},
			console.JSONFlag(),
		},
		Action: func(ctx *cli.Context) error { return galleryInfo(c, ctx) },
	}
}

func galleryInfo(c *console.Console, ctx *cli.Context) error {
	path, others, err := galleryArgument(ctx)
	if err == nil {
		err = noMore(ctx, others)
	}
	if err != nil {
		return err
	}
	info, err := reid.ReadGalleryInfo(path)
	if err != nil {
		return err
	}
	if ctx.Bool("verify") {
		if err := verifyGallery(ctx.Context, path, info.Fingerprint); err != nil {
			return err
		}
	}
	made := remembered(info.Note)
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, struct {
			reid.GalleryInfo
			memory
		}{info, made})
	}
	cameras := make([]string, len(info.Cameras))
	for i, n := range info.Cameras {
		cameras[i] = string(n)
	}
	rows := [][]string{
		{"gallery", path},
		{"images", console.Grouped(info.Images)},
		{"removed", console.Grouped(info.Removed)},
		{"identities", console.Grouped(info.Identities)},
		{"cameras", strings.Join(cameras, " ")},
		{"first", timeCell(info.First)},
		{"last", timeCell(info.Last)},
		{"features", console.Grouped(info.Dim)},
		{"fingerprint", info.Fingerprint},
		{"bytes", console.Grouped(info.Bytes)},
	}
	for _, m := range made.Models {
		rows = append(rows, []string{"model", fmt.Sprintf("%s (SHA-256 %.12s)", console.Plain(m.Path), m.SHA256)})
	}
	if made.Preprocess != "" {
		rows = append(rows, []string{"preprocess", console.Plain(made.Preprocess)})
	}
	if made.Flip {
		rows = append(rows, []string{"flip", "yes"})
	}
	if ctx.Bool("verify") {
		rows = append(rows, []string{"checksums", "right"})
	}
	return console.Table(c.Stdout, rows)
}

func verifyGallery(ctx context.Context, path, fingerprint string) (err error) {
	g, err := reid.OpenGallery(path, fingerprint)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	return g.Verify(ctx)
}

// timeCell writes a time for people, "-" for an unknown one.
func timeCell(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.Format(time.RFC3339Nano)
}
