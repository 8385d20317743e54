// Package cli is the dml command: it reads flags and files, wires the packages
// of the toolkit together and prints. Results go to standard output, progress
// and remarks to standard error.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/urfave/cli/v2"
)

// Exit codes of Run.
const (
	exitOK      = 0
	exitFailure = 1 // the command could not do what it was asked
	exitUsage   = 2 // the command line is wrong
)

// console is where a command prints.
type console struct {
	program        string   // as it was called, for command lines to copy
	verb           []string // the command's words, as far as they are known ones
	stdout, stderr io.Writer
}

// Run executes the command line args, which starts with the program's name as
// in os.Args, and returns the exit code. When ctx is cancelled, training stops
// in good order after the current step.
func Run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	c := &console{program: args[0], stdout: stdout, stderr: stderr}
	err := c.run(ctx, args[1:])
	if err == nil {
		return exitOK
	}
	switch {
	case errors.Is(err, errReported):
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(stderr, "dml: interrupted")
	default:
		// Joined faults are one a line; indent all but the first. Names in them may
		// come from anywhere.
		lines := strings.Split(strings.ReplaceAll(strings.TrimSpace(err.Error()), "\t", "    "), "\n")
		for i := range lines {
			lines[i] = plain(lines[i])
		}
		fmt.Fprintf(stderr, "dml: %s\n", strings.Join(lines, "\n  "))
	}
	var usage usageError
	if errors.As(err, &usage) {
		c.sayHelp()
		return exitUsage
	}
	return exitFailure
}

// sayHelp says where the use of the command is described.
func (c *console) sayHelp() {
	if len(c.verb) > 0 {
		c.say("Run '%s' to see how it is used.", c.command(append(slices.Clone(c.verb), "--help")...))
		return
	}
	c.say("Run '%s', or '%s', to see how it is used.", c.command("--help"), c.command("COMMAND", "--help"))
}

// errReported marks a failure that the command's own output has described.
var errReported = errors.New("reported")

// usageError is a fault of the command line itself.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func (c *console) run(ctx context.Context, args []string) error {
	app := &cli.App{
		Name:  "dml",
		Usage: "train students by deep mutual learning, export them to ONNX, serve them, find persons",
		Description: "A first tour, on built-in data:  dml demo\n" +
			"On your data:  dml train --data DIR --student resnet20 --student resnet8\n" +
			"               dml export runs/dml-resnet20-resnet8\n" +
			"               dml infer runs/dml-resnet20-resnet8/onnx/*.onnx image.png\n" +
			"If anything is missing on this machine, 'dml doctor' says what to install.",
		Version:         longVersion(),
		HideHelpCommand: true,
		Suggest:         true,
		// A value with a comma is one value: names may hold commas.
		DisableSliceFlagSeparator: true,
		Writer:                    c.stdout,
		ErrWriter:                 c.stderr,
		ExitErrHandler:            func(*cli.Context, error) {}, // Run decides about exit codes
		OnUsageError:              onUsageError,
		Commands: []*cli.Command{
			c.trainCommand(), c.exportCommand(), c.inferCommand(), c.evalCommand(), c.reidCommand(),
			c.modelsCommand(), c.doctorCommand(), c.runtimeCommand(), c.demoCommand(),
		},
	}
	app.Action = func(ctx *cli.Context) error {
		if ctx.Args().Present() {
			return usagef("unknown command %q", ctx.Args().First())
		}
		return cli.ShowAppHelp(ctx)
	}
	prepare(app.Commands)
	c.verb = verbOf(app.Commands, args)
	args, err := flagsFirst(app.Commands, args)
	if err != nil {
		return err
	}
	return app.RunContext(ctx, append([]string{"dml"}, args...))
}

// prepare sets what all commands have in common.
func prepare(commands []*cli.Command) {
	for _, cmd := range commands {
		cmd.OnUsageError = onUsageError
		cmd.HideHelpCommand = true
		prepare(cmd.Subcommands)
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
		return usagef("unknown flag --%s", name)
	}
	return usageError{errors.New(strings.Replace(text, " for flag -", " for flag --", 1))}
}

// command writes a command line of this program that can be copied.
func (c *console) command(args ...string) string {
	words := []string{quoted(c.program)}
	for _, arg := range args {
		words = append(words, quoted(arg))
	}
	return strings.Join(words, " ")
}

// quoted puts a word into quotes where a shell would not take it as it is.
func quoted(word string) string {
	special := func(r rune) bool {
		return r < utf8.RuneSelf && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./:=,+@%", r) && r != filepath.Separator
	}
	if word != "" && strings.IndexFunc(word, special) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// version is that of the module the binary was built from.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

// longVersion is version with the revision of the source where the binary
// knows it and version does not contain it.
func longVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return version()
	}
	return version() + revision(version(), info.Settings)
}

// revision returns what build settings add to a version.
func revision(version string, settings []debug.BuildSetting) string {
	const length = 12 // as in the versions that Go makes
	var revision, modified string
	for _, s := range settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(length, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = ", modified"
		}
	}
	if revision == "" || strings.Contains(version, revision) {
		return ""
	}
	return " (revision " + revision + modified + ")"
}

// say prints one remark for people.
func (c *console) say(format string, args ...any) { fmt.Fprintf(c.stderr, format+"\n", args...) }
