package cli

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/internal/kernel"
	"github.com/deepmutual/dml/internal/kernel/onednn"
	"github.com/deepmutual/dml/internal/kernel/ref"
)

func backendFlag() cli.Flag {
	return &cli.StringFlag{Name: "backend", DefaultText: "oneDNN where it is found", Usage: "compute with `KERNELS`: onednn or ref"}
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
