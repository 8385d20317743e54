package retrieval

import (
	"cmp"
	"runtime"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/reid"
)

// Multiplier returns what multiplies features, on so many threads, 0 for all
// cores: oneDNN, or where it is not found nil, which lets package reid take
// gonum's. That is said in one line. done frees it.
func Multiplier(c *console.Console, threads int) (m reid.Multiplier, done func()) {
	one, err := onednn.OpenMultiplier(cmp.Or(threads, runtime.GOMAXPROCS(0)))
	if err != nil {
		c.Say("note: comparing features with gonum, which is slower: %v", err)
		return nil, func() {}
	}
	return one, func() { one.Close() }
}
