package training

import (
	"errors"
	"fmt"
	"strings"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/run/warmstart"
)

// sayInitial says where students' initial weights come from.
func sayInitial(c *console.Console, initial []run.Initial, full bool) error {
	for _, i := range initial {
		c.Say("%s: %s", i.Student, i.Report.Summary())
		if !full {
			someOf(c, "missing, with their seeded values", i.Report.Missing)
			someOf(c, "skipped", i.Report.Skipped)
		}
		for _, warning := range i.Report.Warnings {
			c.Say("  warning: %s", warning)
		}
		if full {
			rows, err := i.Report.Rows(i.Network)
			if err != nil {
				return err
			}
			if err := console.Table(c.Stderr, append([][]string{{"PARAMETER OR TENSOR", "", "FROM, OR WHY NOT"}}, rows...)); err != nil {
				return err
			}
		}
	}
	return nil
}

// adviseInit says what to do about a file that does not fit.
func adviseInit(err error) error {
	if !errors.Is(err, warmstart.ErrPartial) && !errors.Is(err, warmstart.ErrOutputs) {
		return err
	}
	return fmt.Errorf("%w. Choose the architecture of the file, or say --init-partial to begin with it all the same", err)
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
