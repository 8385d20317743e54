package setup

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/internal/ortruntime/ortinstall"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

// RuntimeCommand is dml runtime.
func RuntimeCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:      "runtime",
		Usage:     "manage ONNX Runtime's library",
		UsageText: "dml runtime install",
		Subcommands: []*cli.Command{{
			Name:      "install",
			Usage:     "fetch ONNX Runtime's library into the cache folder",
			UsageText: "dml runtime install [--dir DIR] [--sha256 SUM] [--quiet]",
			Description: "Tries npm, then pip, then the official release archive, and accepts only a\n" +
				"library whose checksum is known. Fetches nothing where it is installed already, or\n" +
				"where " + ortlib.EnvLibrary + " names one.",
			Flags: []cli.Flag{
				&cli.StringFlag{Name: "dir", Usage: "fill `DIR` instead of the cache folder"},
				&cli.StringFlag{Name: "sha256", Usage: "also accept a library with this `SUM`, which you have checked"},
				&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, DisableDefaultText: true, Usage: "do not say what is tried"},
			},
			Action: func(ctx *cli.Context) error { return runtimeInstall(c, ctx) },
		}},
	}
}

func runtimeInstall(c *console.Console, ctx *cli.Context) error {
	if err := console.NoArguments(ctx); err != nil {
		return err
	}
	opts := ortinstall.Options{Dir: ctx.String("dir"), SHA256: ctx.String("sha256")}
	if !ctx.Bool("quiet") {
		opts.Log = func(line string) { c.Say("%s", line) }
	}
	lib, err := ortinstall.Install(ctx.Context, opts)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Stdout, "ONNX Runtime %s: %s\n", lib.Version, lib.Path)
	return err
}
