package exporting

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/export/inspect"
)

// exportCheck says what an ONNX file holds. The file may come from anywhere, so
// ONNX Runtime does not see it.
func exportCheck(c *console.Console, ctx *cli.Context) error {
	if ctx.Args().Len() > 0 {
		return console.Usagef("--check takes one file, and no run")
	}
	for _, flag := range ctx.Command.Flags {
		if name := flag.Names()[0]; ctx.IsSet(name) && name != "check" && name != "json" {
			return console.Usagef("--check writes nothing; leave --%s out", name)
		}
	}
	report, err := inspect.File(ctx.String("check"))
	if err != nil {
		return err
	}
	if ctx.Bool("json") {
		return console.WriteJSON(c.Stdout, report)
	}
	return console.Table(c.Stdout, inspection(report))
}

// inspection lists a report's rows. Texts from the file are quoted: it may hold
// anything.
func inspection(r *inspect.Report) [][]string {
	rows := [][]string{{"file", fmt.Sprintf("%s, %s bytes", r.Path, console.Grouped(r.Bytes))}}
	add := func(what, format string, args ...any) {
		rows = append(rows, []string{what, fmt.Sprintf(format, args...)})
	}
	add("made by", "%s, IR version %d", shortened(r.Producer), r.IRVersion)
	for _, o := range r.Opsets {
		add("operator set", "%d%s", o.Version, ofDomain(o.Domain))
	}
	for _, in := range r.Inputs {
		add("input", "%s", tensorText(in))
	}
	for _, out := range r.Outputs {
		add("output", "%s", tensorText(out))
	}
	for _, op := range r.Operators {
		add("operator", "%d %s%s", op.Count, shortened(op.Name), ofDomain(op.Domain))
	}
	for _, k := range r.Constants {
		add("constants", "%s of %s with %s", console.Count(k.Tensors, "tensor"), k.Type, console.Count(int(k.Values), "value"))
	}
	for _, name := range r.External {
		add("weights in", "%s", shortened(name))
	}
	for _, key := range slices.Sorted(maps.Keys(r.Metadata)) {
		add("metadata", "%s = %s", shortened(key), shortened(r.Metadata[key]))
	}
	add("normalises", "%s: %s", r.Normalisation.Inside, r.Normalisation.Why)
	for _, fault := range r.Faults {
		add("fault", "%s", console.Plain(fault))
	}
	rows = append(rows, supportRows("infer", r.Infer)...)
	return append(rows, supportRows("infer/gorgonia", r.Gorgonia)...)
}

func supportRows(what string, s inspect.Support) [][]string {
	answer := "cannot run it"
	if s.Runs {
		outputs := make([]string, len(s.Outputs))
		for i, name := range s.Outputs {
			outputs[i] = shortened(name)
		}
		answer = "can run it: " + strings.Join(outputs, ", ")
	}
	rows := [][]string{{what, answer}}
	for _, note := range s.Notes {
		rows = append(rows, []string{"", console.Plain(note)})
	}
	return rows
}

func tensorText(t inspect.Tensor) string {
	kind := t.Type
	if kind == "" {
		kind = "no tensor"
	}
	if t.Shape == nil {
		return fmt.Sprintf("%s, %s of any shape", shortened(t.Name), kind)
	}
	return fmt.Sprintf("%s, %s [%s]", shortened(t.Name), kind, console.Plain(strings.Join(t.Shape, ", ")))
}

func ofDomain(domain string) string {
	if domain == "" {
		return ""
	}
	return " of " + shortened(domain)
}

// shortened cuts a long text, and shows one as plain does.
func shortened(text string) string {
	const longest = 100
	if text == "" {
		return `""`
	}
	if runes := []rune(text); len(runes) > longest {
		return fmt.Sprintf("%s... (%s)", console.Plain(string(runes[:longest])), console.Count(len(runes), "character"))
	}
	return console.Plain(text)
}
