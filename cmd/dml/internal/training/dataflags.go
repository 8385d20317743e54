package training

import (
	"strings"

	"github.com/deepmutual/dml/dataset"
)

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
