package app

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
)

// flagsFirst moves the flags of a command line before its other arguments, so
// that "dml export RUN --student NAME" works: the flag library stops reading
// flags at the first argument that is not one. What follows "--" stays as it is.
func flagsFirst(commands []*cli.Command, args []string) ([]string, error) {
	at := slices.IndexFunc(args, func(arg string) bool { return !strings.HasPrefix(arg, "-") })
	if at < 0 {
		return args, nil
	}
	i := slices.IndexFunc(commands, func(cmd *cli.Command) bool { return cmd.HasName(args[at]) })
	if i < 0 {
		return args, nil
	}
	head, rest := args[:at+1], args[at+1:]
	if len(commands[i].Subcommands) > 0 {
		rest, err := flagsFirst(commands[i].Subcommands, rest)
		return slices.Concat(head, rest), err
	}
	var flags, others []string
	for len(rest) > 0 {
		arg := rest[0]
		rest = rest[1:]
		switch {
		case arg == "--":
			others = append(others, rest...)
			rest = nil
		case len(arg) < 2 || arg[0] != '-':
			others = append(others, arg)
		default:
			flags = append(flags, arg)
			if strings.Contains(arg, "=") || !takesValue(commands[i], strings.TrimLeft(arg, "-")) {
				continue
			}
			if len(rest) == 0 {
				return nil, console.Usagef("%s needs a value", arg)
			}
			flags = append(flags, rest[0])
			rest = rest[1:]
		}
	}
	if slices.Contains(flags, "--help") || slices.Contains(flags, "-h") {
		return slices.Concat(head, flags), nil // the library would take the others for topics
	}
	return slices.Concat(head, flags, []string{"--"}, others), nil
}

// takesValue reports whether the flag is one of cmd's that is not a switch.
func takesValue(cmd *cli.Command, name string) bool {
	for _, flag := range cmd.Flags {
		if slices.Contains(flag.Names(), name) {
			_, isSwitch := flag.(*cli.BoolFlag)
			return !isSwitch
		}
	}
	return false
}
