package cli

import "github.com/urfave/cli/v2"

func (c *console) reidCommand() *cli.Command {
	return &cli.Command{
		Name:      "reid",
		Usage:     "re-identify persons: make and evaluate features, draw data",
		UsageText: "dml reid COMMAND [arguments] [flags]",
		Subcommands: []*cli.Command{
			c.reidExtractCommand(),
			c.reidEvalCommand(),
			c.reidSynthCommand(),
		},
		Action: func(ctx *cli.Context) error {
			if ctx.Args().Present() {
				return usagef("unknown command \"reid %s\"", ctx.Args().First())
			}
			return cli.ShowSubcommandHelp(ctx)
		},
	}
}
