package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/run/warmstart"
	"github.com/deepmutual/dml/train"
)

// applyInit takes --init STUDENT=FILE; the students are known by then.
func applyInit(cfg *train.Config, ctx *cli.Context) error {
	students := cfg.WithDefaults().Students
	given := make(map[string]bool)
	for _, spec := range ctx.StringSlice("init") {
		name, file, ok := strings.Cut(spec, "=")
		if !ok || file == "" {
			return usagef("--init: %q is not of the form STUDENT=FILE", spec)
		}
		at := slices.IndexFunc(students, func(s train.StudentConfig) bool { return s.Name == name })
		if at < 0 {
			var names []string
			for _, s := range students {
				names = append(names, s.Name)
			}
			return usagef("--init: there is no student %q; the students are %s", name, strings.Join(names, ", "))
		}
		if given[name] {
			return usagef("--init: student %q has two files", name)
		}
		given[name] = true
		cfg.Students = slices.Clone(cfg.Students)
		cfg.Students[at].Init, cfg.Students[at].InitSHA256 = file, ""
	}
	return nil
}

// warmStart gives students the weights of these files, says so, and returns the
// reports for the run's folder.
func (c *console) warmStart(session *train.Session, sources map[string]*warmstart.Source, full bool) (map[string]any, error) {
	reports, err := warmstart.Apply(session, sources)
	if err != nil {
		return nil, err
	}
	kept := make(map[string]any)
	for _, student := range slices.Sorted(maps.Keys(reports)) {
		r := reports[student]
		kept[student] = r
		c.say("%s: %s", student, r.Summary())
		if !full {
			c.someOf("missing, with their seeded values", r.Missing)
			c.someOf("skipped", r.Skipped)
		}
		for _, warning := range r.Warnings {
			c.say("  warning: %s", warning)
		}
		if full {
			net, _, err := session.Network(student)
			if err != nil {
				return nil, err
			}
			rows, err := r.Rows(net)
			if err != nil {
				return nil, err
			}
			if err := table(c.stderr, append([][]string{{"PARAMETER OR TENSOR", "", "FROM, OR WHY NOT"}}, rows...)); err != nil {
				return nil, err
			}
		}
	}
	return kept, nil
}

// someOf names the first tensors of a list.
func (c *console) someOf(what string, tensors []warmstart.Tensor) {
	if len(tensors) == 0 {
		return
	}
	const most = 6
	var names []string
	for _, t := range tensors[:min(most, len(tensors))] {
		names = append(names, t.Name+" ("+t.Reason+")")
	}
	more := ""
	if len(tensors) > most {
		more = "; " + count(len(tensors)-most, "more tensor") + ", with --init-table"
	}
	c.say("  %s: %s%s", what, strings.Join(names, ", "), more)
}
