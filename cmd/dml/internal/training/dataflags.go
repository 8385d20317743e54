package training

import (
	"strings"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/dataset"
)

// sayData says what data was taken for.
func sayData(c *console.Console, r dataset.Report) {
	if r.Kind != dataset.Auto {
		c.Say("data: %v", r)
	}
}

// kindUsage is the help of a flag that takes a kind of data.
func kindUsage() string {
	kinds := dataset.Kinds()
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	last := len(names) - 1
	return "`FORMAT` of the data: " + strings.Join(names[:last], ", ") + " or " + names[last]
}
