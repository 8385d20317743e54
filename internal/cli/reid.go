package cli

import "github.com/urfave/cli/v2"

func (c *console) reidCommand() *cli.Command {
	return &cli.Command{
		Name:      "reid",
		Usage:     "re-identify persons: features, scores, rankings, thresholds, drawn data",
		UsageText: "dml reid COMMAND [arguments] [flags]",
		Subcommands: []*cli.Command{
			c.reidExtractCommand(),
			c.reidEvalCommand(),
			c.reidGalleryCommand(),
			c.reidSynthCommand(),
			c.reidRankCommand(),
			c.reidSameCommand(),
			c.reidCalibrateCommand(),
		},
		Action: func(ctx *cli.Context) error {
			if ctx.Args().Present() {
				return usagef("unknown command \"reid %s\"", ctx.Args().First())
			}
			return cli.ShowSubcommandHelp(ctx)
		},
	}
}
