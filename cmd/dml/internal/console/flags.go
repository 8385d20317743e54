package console

import (
	"errors"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/internal/files"
	"github.com/deepmutual/dml/train"
)

// Group puts flags under a heading of the help.
func Group(heading string, flags ...cli.Flag) []cli.Flag {
	for _, flag := range flags {
		switch f := flag.(type) {
		case *cli.StringFlag:
			f.Category = heading
		case *cli.StringSliceFlag:
			f.Category = heading
		case *cli.BoolFlag:
			f.Category = heading
		case *cli.IntFlag:
			f.Category = heading
		case *cli.Uint64Flag:
			f.Category = heading
		case *cli.Float64Flag:
			f.Category = heading
		case *cli.GenericFlag:
			f.Category = heading
		}
	}
	return flags
}

// JSONFlag asks for output for programs.
func JSONFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", DisableDefaultText: true, Usage: "print JSON for programs"}
}

// QuietFlag leaves progress out.
func QuietFlag() cli.Flag {
	return &cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, DisableDefaultText: true, Usage: "show no progress"}
}

// NoArguments refuses arguments that are not flags.
func NoArguments(ctx *cli.Context) error {
	if ctx.Args().Present() {
		return Usagef("%s takes no argument, got %q", ctx.Command.Name, ctx.Args().First())
	}
	return nil
}

// ThreadsFlag is the number of threads; see CheckThreads.
func ThreadsFlag() cli.Flag {
	return &cli.IntFlag{Name: "threads", DefaultText: "the processor's cores", Usage: "use `N` threads"}
}

// CheckThreads refuses a number of threads that no machine can start.
func CheckThreads(ctx *cli.Context) error {
	if n := ctx.Int("threads"); n < 0 || n > train.MaxThreads {
		return Usagef("--threads: %d is not between 0 (all cores) and %d", n, train.MaxThreads)
	}
	return nil
}

// CheckOutputs refuses places where there can be no file, before the work that it
// is for. Empty paths are none.
func CheckOutputs(paths ...string) error {
	var faults []error
	for _, path := range paths {
		if path != "" {
			faults = append(faults, files.CheckTarget(path))
		}
	}
	return errors.Join(faults...)
}

// MaxBatch bounds --batch: the students' activations of so many images fill the
// memory of most machines, and no machine is faster with more.
const MaxBatch = 1 << 16
