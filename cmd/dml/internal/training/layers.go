package training

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/models"
)

// layerInfo is a row of dml models NAME.
type layerInfo struct {
	Name       string       `json:"name"`
	Kind       models.Kind  `json:"kind"`
	Inputs     []string     `json:"inputs"`
	Output     models.Shape `json:"output"`
	Parameters int          `json:"parameters"`
}

// networkInfo is what dml models NAME prints.
type networkInfo struct {
	modelInfo
	Embedding models.Shape `json:"embedding"`
	Layers    []layerInfo  `json:"layers"`
}

// layers prints the layers of one architecture.
func showLayers(c *console.Console, ctx *cli.Context, arch string) error {
	a, err := models.Find(arch)
	if err != nil {
		return err
	}
	input := cmp.Or(a.Input, models.Shape{C: 3, H: 32, W: 32})
	if ctx.IsSet("input") {
		if input, err = parseShape(ctx.String("input")); err != nil {
			return err
		}
	}
	classes := ctx.Int("classes")
	if !ctx.IsSet("classes") && a.Classes != 0 {
		classes = a.Classes
	}
	net, err := a.Build(input, classes)
	if err != nil {
		return err
	}
	info, err := describe(net, a.Summary)
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, info)
	}
	rows := [][]string{{"LAYER", "KIND", "READS", "OUTPUT", "PARAMETERS"}}
	for _, l := range info.Layers {
		parameters := ""
		if l.Parameters > 0 {
			parameters = console.Grouped(l.Parameters)
		}
		rows = append(rows, []string{l.Name, string(l.Kind), strings.Join(l.Inputs, " "), l.Output.String(), parameters})
	}
	if err := console.Table(c.Stdout, rows); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.Stdout, "\n%s for images %v and %d classes: %s parameters, %s multiply-adds, %v features\n",
		info.Name, info.Input, info.Classes, console.Grouped(info.Parameters), console.Grouped(info.MultiplyAdds), info.Embedding)
	return err
}

func describe(net *models.Network, summary string) (networkInfo, error) {
	shapes, err := net.Shapes()
	if err != nil {
		return networkInfo{}, err
	}
	params, err := net.Params()
	if err != nil {
		return networkInfo{}, err
	}
	info := networkInfo{Embedding: shapes[net.Embedding],
		modelInfo: modelInfo{Name: net.Name, Input: net.Input, Classes: net.Classes, Summary: summary}}
	byLayer := make(map[string]int)
	for _, p := range params {
		if p.Trainable() {
			byLayer[p.Layer] += p.Size()
			info.Parameters += p.Size()
		}
	}
	if info.MultiplyAdds, err = net.MultiplyAdds(); err != nil {
		return networkInfo{}, err
	}
	for _, l := range net.Layers {
		info.Layers = append(info.Layers, layerInfo{l.Name, l.Kind, l.Inputs, shapes[l.Name], byLayer[l.Name]})
	}
	return info, nil
}

// parseShape reads channels, height and width.
func parseShape(text string) (models.Shape, error) {
	var extents []int
	for part := range strings.SplitSeq(text, "x") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			break
		}
		extents = append(extents, n)
	}
	if len(extents) != 3 || strings.Count(text, "x") != 2 {
		return models.Shape{}, console.Usagef("--input: %q is not of the form CxHxW, as in 3x32x32", text)
	}
	return models.Shape{C: extents[0], H: extents[1], W: extents[2]}, nil
}
