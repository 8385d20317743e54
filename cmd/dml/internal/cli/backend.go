package cli

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/onednn"
	"github.com/deepmutual/dml/internal/engine/kernel/ref"
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
func (c *console) backend(name string) (kernel.Backend, error) {
	switch name {
	case "ref":
		return ref.New(), nil
	case "onednn":
		return onednn.Open()
	case "":
		b, err := onednn.Open()
		if errors.Is(err, kernel.ErrUnavailable) {
			c.say("note: computing with the slow reference kernels: %v", err)
			return ref.New(), nil
		}
		return b, err
	}
	return nil, usagef("--backend: %q is unknown; use onednn or ref", name)
}
