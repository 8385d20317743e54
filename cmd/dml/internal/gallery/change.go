package gallery

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/reid"
	"github.com/deepmutual/dml/reid/features"
)

func labelCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "label",
		Usage:     "set or clear what is known of the images that fit all flags",
		UsageText: "dml reid gallery label G --name NAME... | --pid N... [filter flags] --set-pid X --set-camera Y --set-time T",
		Description: "What is not set stays as it is; " + unknownWord + " clears it.\n" +
			"Examples:\n" +
			"  dml reid gallery label G --name a.jpg --name b.jpg --set-pid anna\n" +
			"  dml reid gallery label G --pid 17 --set-pid 23\n" +
			"  dml reid gallery label G --camera 3 --until 2026-05-01 --set-camera " + unknownWord,
		Flags: slices.Concat([]cli.Flag{
			&cli.StringFlag{Name: "set-pid", Usage: "their identity is `X`, a number or a name, or " + unknownWord},
			&cli.StringFlag{Name: "set-camera", Usage: "their camera is `Y`, a number or a name, or " + unknownWord},
			&cli.StringFlag{Name: "set-time", Usage: "their time is `T`, or " + unknownWord},
			nameFlag(),
		}, filterFlags(), []cli.Flag{waitFlag(), console.JSONFlag()}),
		Action: func(ctx *cli.Context) error { return galleryLabel(c, ctx) },
	}
}

func galleryLabel(c *console.Console, ctx *cli.Context) (err error) {
	path, others, err := galleryArgument(ctx)
	if err == nil {
		err = noMore(ctx, others)
	}
	if err != nil {
		return err
	}
	filter, err := namedFilter(ctx)
	if err != nil {
		return err
	}
	if err := insistOnFilter(ctx); err != nil {
		return err
	}
	var to reid.NewLabel
	for _, flag := range []struct {
		name  string
		parse func(string) (reid.ID, error)
		to    **reid.ID
	}{{"set-pid", reid.ParseID, &to.PID}, {"set-camera", reid.ParseCamera, &to.Camera}} {
		if !ctx.IsSet(flag.name) {
			continue
		}
		id, err := idFlag(ctx, flag.name, flag.parse)
		if err != nil {
			return err
		}
		*flag.to = &id
	}
	if ctx.IsSet("set-time") {
		var at time.Time
		if text := ctx.String("set-time"); text != unknownWord {
			if at, err = features.ParseTime(text); err != nil {
				return console.Usagef("--set-time: %w", err)
			}
		}
		to.Time = &at
	}
	if to == (reid.NewLabel{}) {
		return console.Usagef("reid gallery label needs what the images are: --set-pid, --set-camera or --set-time")
	}
	return change(ctx, path, func(g *reid.Gallery) error {
		n, err := g.Relabel(filter, to)
		if err != nil {
			return err
		}
		if n == 0 {
			return fmt.Errorf("%s: no image is as the flags say; nothing was changed", path)
		}
		return tellGallery(c, ctx, path, "%s labelled", console.Count(n, "image"))
	})
}

// idFlag reads an identity or a camera, or unknownWord.
func idFlag(ctx *cli.Context, name string, parse func(string) (reid.ID, error)) (reid.ID, error) {
	text := ctx.String(name)
	if text == unknownWord {
		return reid.Unknown, nil
	}
	id, err := parse(text)
	if err == nil && id == reid.Unknown {
		err = errors.New("it is empty")
	}
	if err != nil {
		return id, console.Usagef("--%s: %w; give a number, a name, or %q", name, err, unknownWord)
	}
	return id, nil
}

// insistOnFilter refuses to take all images because no flag says which.
func insistOnFilter(ctx *cli.Context) error {
	if !slices.ContainsFunc(append(filterNames(), "name"), ctx.IsSet) {
		return console.Usagef("reid gallery %s needs a flag that says which images: --name, --pid, --camera, --until ...", ctx.Command.Name)
	}
	return nil
}

func compactCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "compact",
		Usage:     "give back the room of removed images, and make their features unreadable",
		UsageText: "dml reid gallery compact G",
		Description: "Writes the gallery's files anew, at once or not at all, and needs the room of the images that\n" +
			"stay meanwhile. Searches go on. Rows get other numbers, names and labels stay.",
		Flags:  []cli.Flag{waitFlag(), console.JSONFlag()},
		Action: func(ctx *cli.Context) error { return galleryCompact(c, ctx) },
	}
}

func galleryCompact(c *console.Console, ctx *cli.Context) (err error) {
	path, others, err := galleryArgument(ctx)
	if err == nil {
		err = noMore(ctx, others)
	}
	if err != nil {
		return err
	}
	return change(ctx, path, func(g *reid.Gallery) error {
		before, err := g.Info()
		if err != nil {
			return err
		}
		if err := g.Compact(ctx.Context); err != nil {
			return err
		}
		after, err := g.Info()
		if err != nil {
			return err
		}
		return tellGallery(c, ctx, path, "%s left the files, %s stay; %s bytes, %s before", console.Count(before.Removed, "removed image"),
			console.Grouped(after.Images), console.Grouped(after.Bytes), console.Grouped(before.Bytes))
	})
}
