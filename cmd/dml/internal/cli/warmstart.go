package cli

import (
	"maps"
	"slices"
	"strings"

	"github.com/deepmutual/dml/run/warmstart"
	"github.com/deepmutual/dml/train"
)

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
