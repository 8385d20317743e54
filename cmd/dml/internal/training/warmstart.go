package training

import (
	"maps"
	"slices"
	"strings"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/run/warmstart"
	"github.com/deepmutual/dml/train"
)

// warmStart gives students the weights of these files, says so, and returns the
// reports for the run's folder.
func warmStart(c *console.Console, session *train.Session, sources map[string]*warmstart.Source, full bool) (map[string]any, error) {
	reports, err := warmstart.Apply(session, sources)
	if err != nil {
		return nil, err
	}
	kept := make(map[string]any)
	for _, student := range slices.Sorted(maps.Keys(reports)) {
		r := reports[student]
		kept[student] = r
		c.Say("%s: %s", student, r.Summary())
		if !full {
			someOf(c, "missing, with their seeded values", r.Missing)
			someOf(c, "skipped", r.Skipped)
		}
		for _, warning := range r.Warnings {
			c.Say("  warning: %s", warning)
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
			if err := console.Table(c.Stderr, append([][]string{{"PARAMETER OR TENSOR", "", "FROM, OR WHY NOT"}}, rows...)); err != nil {
				return nil, err
			}
		}
	}
	return kept, nil
}

// someOf names the first tensors of a list.
func someOf(c *console.Console, what string, tensors []warmstart.Tensor) {
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
		more = "; " + console.Count(len(tensors)-most, "more tensor") + ", with --init-table"
	}
	c.Say("  %s: %s%s", what, strings.Join(names, ", "), more)
}
