// Package app is the dml command: it wires the families of verbs together.
// Results go to standard output, progress and remarks to standard error.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/cmd/dml/internal/exporting"
	"github.com/deepmutual/dml/cmd/dml/internal/gallery"
	"github.com/deepmutual/dml/cmd/dml/internal/inference"
	"github.com/deepmutual/dml/cmd/dml/internal/retrieval"
	"github.com/deepmutual/dml/cmd/dml/internal/setup"
	"github.com/deepmutual/dml/cmd/dml/internal/tour"
	"github.com/deepmutual/dml/cmd/dml/internal/training"
)

// Exit codes of Run.
const (
	exitOK      = 0
	exitFailure = 1 // the command could not do what it was asked
	exitUsage   = 2 // the command line is wrong
)

// Run executes the command line args, which starts with the program's name as
// in os.Args, and returns the exit code. When ctx is cancelled, training stops
// in good order after the current step.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &console.Console{Program: args[0], Stdout: stdout, Stderr: stderr}
	err := execute(ctx, c, args[1:])
	if err == nil {
		return exitOK
	}
	switch {
	case errors.Is(err, console.ErrReported):
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(stderr, "dml: interrupted")
	default:
		// Joined faults are one a line; indent all but the first. Names in them may
		// come from anywhere.
		lines := strings.Split(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\t", "    "), "\n")
		for i := range lines {
			lines[i] = console.Plain(lines[i])
		}
		fmt.Fprintf(stderr, "dml: %s\n", strings.Join(lines, "\n  "))
	}
	var usage console.UsageError
	if errors.As(err, &usage) {
		c.SayHelp()
		return exitUsage
	}
	return exitFailure
}

// newApp lists what the command can do.
func newApp(c *console.Console) *cli.App {
	app := &cli.App{
		Name:  "dml",
		Usage: "train students by deep mutual learning, export them to ONNX, infer with them, re-identify people",
		Description: "A first tour, on built-in data:  dml demo\n" +
			"On your data:  dml train --data DIR --student resnet20 --student resnet8\n" +
			"               dml export runs/dml-resnet20-resnet8\n" +
			"               dml infer runs/dml-resnet20-resnet8/onnx/*.onnx image.png\n" +
			"If anything is missing on this machine, 'dml doctor' says what to install.",
		Version:         console.LongVersion(),
		HideHelpCommand: true,
		Suggest:         true,
		// A value with a comma is one value: names may hold commas.
		DisableSliceFlagSeparator: true,
		Writer:                    c.Stdout,
		ErrWriter:                 c.Stderr,
		ExitErrHandler:            func(*cli.Context, error) {}, // Run decides about exit codes
		OnUsageError:              onUsageError,
		Action: func(ctx *cli.Context) error {
			if ctx.Args().Present() {
				return console.Usagef("unknown command %q", ctx.Args().First())
			}
			return cli.ShowAppHelp(ctx)
		},
		Commands: []*cli.Command{
			training.TrainCommand(c), exporting.Command(c), inference.InferCommand(c), training.EvalCommand(c),
			retrieval.Command(c, gallery.Command(c)), training.ModelsCommand(c), setup.DoctorCommand(c), setup.RuntimeCommand(c), tour.Command(c),
		},
	}
	prepare(app.Commands)
	return app
}

func execute(ctx context.Context, c *console.Console, args []string) error {
	app := newApp(c)
	c.Verb = verbOf(app.Commands, args)
	args, err := flagsFirst(app.Commands, args)
	if err != nil {
		return err
	}
	return app.RunContext(ctx, append([]string{"dml"}, args...))
}

// prepare sets what all commands have in common. A family of verbs, named alone,
// lists them.
func prepare(commands []*cli.Command, family ...string) {
	for _, cmd := range commands {
		cmd.OnUsageError = onUsageError
		cmd.HideHelpCommand = true
		if len(cmd.Subcommands) == 0 {
			continue
		}
		words := append(slices.Clone(family), cmd.Name)
		cmd.Action = func(ctx *cli.Context) error {
			if ctx.Args().Present() {
				return console.Usagef("unknown command %q", strings.Join(append(words, ctx.Args().First()), " "))
			}
			return cli.ShowSubcommandHelp(ctx)
		}
		prepare(cmd.Subcommands, words...)
	}
}

// verbOf returns the words that name a command, such as reid, gallery, add.
func verbOf(commands []*cli.Command, args []string) []string {
	for i, arg := range args {
		if strings.HasPrefix(arg, "-") {
			continue
		}
		at := slices.IndexFunc(commands, func(cmd *cli.Command) bool { return cmd.HasName(arg) })
		if at < 0 {
			break
		}
		return append([]string{arg}, verbOf(commands[at].Subcommands, args[i+1:])...)
	}
	return nil
}

// onUsageError writes flags with two dashes, as the help does.
func onUsageError(_ *cli.Context, err error, _ bool) error {
	text := err.Error()
	if name, is := strings.CutPrefix(text, "flag provided but not defined: -"); is {
		return console.Usagef("unknown flag --%s", name)
	}
	return console.Usagef("%w", errors.New(strings.Replace(text, " for flag -", " for flag --", 1)))
}
