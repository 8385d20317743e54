package training

import (
	"slices"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/train"
)

// BackendFlag chooses the kernels; see OpenBackend.
func BackendFlag() cli.Flag {
	return &cli.StringFlag{Name: "backend", DefaultText: "oneDNN where it is found", Usage: "compute with `KERNELS`: onednn or ref"}
}

// OpenBackend returns the kernels of that name; of none, the fastest found. Falling
// back to the slow ones is said in one line.
func OpenBackend(c *console.Console, name string) (*train.Backend, error) {
	if name != "" && !slices.Contains(train.Backends(), name) {
		return nil, console.Usagef("--backend: %q is unknown; use onednn or ref", name)
	}
	b, err := train.OpenBackend(name)
	if err != nil {
		return nil, err
	}
	sayFallback(c, b)
	return b, nil
}

func sayFallback(c *console.Console, b *train.Backend) {
	if b.Fallback != nil {
		c.Say("note: computing with the slow reference kernels: %v", b.Fallback)
	}
}
