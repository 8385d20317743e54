package training

import (
	"fmt"
	"strconv"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// ModelsCommand is dml models.
func ModelsCommand(c *console.Console) *cli.Command {
	return &cli.Command{
		Name:        "models",
		Usage:       "list the architectures a student can have, or the layers of one",
		UsageText:   "dml models [NAME | FILE.json] [--input CxHxW] [--classes N] [--batch N] [--json]",
		Description: "Examples:  dml models --classes 100\n           dml models wrn-16-4 --input 3x160x64\n           dml models --batch 64\n\n" + memoryRemark,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "input", DefaultText: "what it was designed for", Usage: "give the layers for images of `CxHxW`"},
			&cli.IntFlag{Name: "classes", Value: 10, Usage: "count parameters for `N` classes"},
			&cli.IntFlag{Name: "batch", DefaultText: "no plan", Usage: "plan the memory of training with mini-batches of `N` images"},
			BackendFlag(),
			console.JSONFlag(),
		},
		Action: func(ctx *cli.Context) error { return listModels(c, ctx) },
	}
}

// memoryRemark says what a planned memory holds.
const memoryRemark = "MEMORY is what one student allocates to train with the default optimizer: parameters,\n" +
	"gradients, the activations of a step at its worst moment and of an evaluation, momentum.\n" +
	"Not counted are the scratch memory of the kernels and their library, the losses, and the\n" +
	"mini-batches that wait."

// modelInfo is a row of dml models.
type modelInfo struct {
	Name         string       `json:"name"`
	Input        models.Shape `json:"input"`
	Classes      int          `json:"classes"`
	Parameters   int          `json:"parameters"`
	MultiplyAdds int64        `json:"multiply_adds"`
	Summary      string       `json:"summary"`
	Memory       *memoryInfo  `json:"memory,omitempty"`
}

// memoryInfo is the planned memory of one student, in bytes.
type memoryInfo struct {
	Batch   int    `json:"batch"`
	Backend string `json:"backend"` // it chooses the layouts
	train.Memory
	Total int64 `json:"total"`
}

func listModels(c *console.Console, ctx *cli.Context) error {
	switch {
	case ctx.NArg() > 1:
		return console.Usagef("models takes one name or file, got %q too", ctx.Args().Get(1))
	case ctx.NArg() == 1 && ctx.IsSet("batch"):
		return console.Usagef("--batch plans the listed architectures, and takes no name")
	case ctx.NArg() == 1:
		return showLayers(c, ctx, ctx.Args().First())
	case ctx.IsSet("input"):
		return console.Usagef("--input needs the name or file of an architecture")
	}
	batch := ctx.Int("batch")
	if ctx.IsSet("batch") && (batch < 2 || batch > maxPlannedBatch) {
		return console.Usagef("--batch: %d is not between 2 and %d", batch, maxPlannedBatch)
	}
	var backend *train.Backend
	if batch > 0 {
		var err error
		if backend, err = OpenBackend(c, ctx.String("backend")); err != nil {
			return err
		}
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
		if batch > 0 {
			m, err := train.PlanMemory(net, batch, nil, backend)
			if err != nil {
				return err
			}
			info.Memory = &memoryInfo{batch, backend.Name, m, m.Total()}
		}
		infos = append(infos, info)
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, infos)
	}
	header := []string{"NAME", "INPUT", "CLASSES", "PARAMETERS", "MULTIPLY-ADDS"}
	if batch > 0 {
		header = append(header, "MEMORY MiB", "WEIGHTS", "GRADIENTS", "ACTIVATIONS", "EVALUATION", "MOMENTUM")
	}
	rows := [][]string{append(header, "WHAT")}
	for _, i := range infos {
		row := []string{i.Name, i.Input.String(), strconv.Itoa(i.Classes), console.Grouped(i.Parameters), console.Grouped(i.MultiplyAdds)}
		if m := i.Memory; m != nil {
			row = append(row, mebibytes(m.Total), mebibytes(m.Weights), mebibytes(m.Gradients), mebibytes(m.Activations), mebibytes(m.Evaluation), mebibytes(m.Optimizer))
		}
		rows = append(rows, append(row, i.Summary))
	}
	if batch > 0 {
		c.Say("%s\nPlanned for mini-batches of %d, with the kernels of %s.", memoryRemark, batch, backend.Name)
	}
	return console.Table(c.Stdout, rows)
}

// maxPlannedBatch keeps the arithmetic on sizes far from its limits.
const maxPlannedBatch = 1 << 16

// mebibytes shows a number of bytes in MiB.
func mebibytes(bytes int64) string { return fmt.Sprintf("%.1f", float64(bytes)/(1<<20)) }
