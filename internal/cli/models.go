package cli

import (
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/models"
)

func (c *console) modelsCommand() *cli.Command {
	return &cli.Command{
		Name:        "models",
		Usage:       "list the architectures a student can have, or the layers of one",
		UsageText:   "dml models [NAME | FILE.json] [--input CxHxW] [--classes N] [--json]",
		Description: "Examples:  dml models --classes 100\n           dml models wrn-16-4 --input 3x160x64",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", DefaultText: "what it was designed for", Usage: "give the layers for images of `CxHxW`"},
			&cli.IntFlag{Name: "classes", Value: 10, Usage: "count parameters for `N` classes"},
			jsonFlag(),
		},
		Action: c.models,
	}
}

// modelInfo is a row of dml models.
type modelInfo struct {
	Name         string       `json:"name"`
	Input        models.Shape `json:"input"`
	Classes      int          `json:"classes"`
	Parameters   int          `json:"parameters"`
	MultiplyAdds int64        `json:"multiply_adds"`
	Summary      string       `json:"summary"`
}

func (c *console) models(ctx *cli.Context) error {
	switch {
	case ctx.NArg() > 1:
		return usagef("models takes one name or file, got %q too", ctx.Args().Get(1))
	case ctx.NArg() == 1:
		return c.layers(ctx, ctx.Args().First())
	case ctx.IsSet("input"):
		return usagef("--input needs the name or file of an architecture")
	}
	var infos []modelInfo
	for _, a := range models.Catalog() {
		net, err := models.Build(a.Name, a.Input, ctx.Int("classes"))
		if err != nil {
			return err
		}
		info := modelInfo{Name: a.Name, Input: a.Input, Classes: ctx.Int("classes"), Summary: a.Summary}
		if info.Parameters, err = net.ParameterCount(); err != nil {
			return err
		}
		if info.MultiplyAdds, err = net.MultiplyAdds(); err != nil {
			return err
		}
		infos = append(infos, info)
	}
	if ctx.Bool("json") {
		return writeJSON(c.stdout, infos)
	}
	rows := [][]string{{"NAME", "INPUT", "CLASSES", "PARAMETERS", "MULTIPLY-ADDS", "WHAT"}}
	for _, i := range infos {
		rows = append(rows, []string{i.Name, i.Input.String(), strconv.Itoa(i.Classes), grouped(i.Parameters), grouped(i.MultiplyAdds), i.Summary})
	}
	return table(c.stdout, rows)
}

func jsonFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print JSON for programs"}
}

func noArguments(ctx *cli.Context) error {
	if ctx.Args().Present() {
		return usagef("%s takes no argument, got %q", ctx.Command.Name, ctx.Args().First())
	}
	return nil
}
