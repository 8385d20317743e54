package cli

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/train"
)

func backendFlag() cli.Flag {
	return &cli.StringFlag{Name: "backend", DefaultText: "oneDNN where it is found", Usage: "compute with `KERNELS`: onednn or ref"}
}

func threadsFlag() cli.Flag {
	return &cli.IntFlag{Name: "threads", DefaultText: "the processor's cores", Usage: "use `N` threads"}
}

// checkThreads refuses a number of threads that no machine can start.
func checkThreads(ctx *cli.Context) error {
	if n := ctx.Int("threads"); n < 0 || n > train.MaxThreads {
		return usagef("--threads: %d is not between 0 (all cores) and %d", n, train.MaxThreads)
	}
	return nil
}

// backend returns the kernels of that name; of none, the fastest found. Falling
// back to the slow ones is said in one line.
func (c *console) backend(name string) (*train.Backend, error) {
	if name != "" && !slices.Contains(train.Backends(), name) {
		return nil, usagef("--backend: %q is unknown; use onednn or ref", name)
	}
	b, err := train.OpenBackend(name)
	if err == nil && b.Fallback != nil {
		c.say("note: computing with the slow reference kernels: %v", b.Fallback)
	}
	return b, err
}
