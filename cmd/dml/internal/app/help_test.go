package app

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
)

// leftovers are marks that are for the flag library, and defaults that say
// nothing.
var leftovers = regexp.MustCompile("`|default: false|default: \"\"|%!")

// TestEveryCommandIsDescribed asks every verb for its help: it says what the
// verb does, how it is typed, with an example where there is a choice, and what
// each flag means.
func TestEveryCommandIsDescribed(t *testing.T) {
	verbs := 0
	var visit func(commands []*cli.Command, family ...string)
	visit = func(commands []*cli.Command, family ...string) {
		for _, cmd := range commands {
			words := append(append([]string{"dml"}, family...), cmd.Name)
			name := strings.Join(words, " ")
			var stdout, stderr bytes.Buffer
			if code := Run(t.Context(), append(words, "--help"), &stdout, &stderr); code != exitOK || stderr.Len() > 0 {
				t.Errorf("%s --help: exit code %d, %s", name, code, &stderr)
			}
			help := stdout.String()
			if cmd.Usage == "" || !strings.Contains(help, cmd.Usage) {
				t.Errorf("%s: the help does not say what it does:\n%s", name, help)
			}
			for usage := range strings.SplitSeq(cmd.UsageText, "\n") {
				if !strings.HasPrefix(usage, name) || !strings.Contains(help, usage) {
					t.Errorf("%s: the help does not say how it is typed: %q", name, usage)
				}
			}
			if mark := leftovers.FindString(help); mark != "" {
				t.Errorf("%s: %q in the help:\n%s", name, mark, help)
			}
			for _, flag := range cmd.Flags {
				if f, ok := flag.(cli.DocGenerationFlag); ok && f.GetUsage() == "" {
					t.Errorf("%s: --%s is not explained", name, flag.Names()[0])
				}
			}
			if len(cmd.Subcommands) > 0 {
				visit(cmd.Subcommands, append(family, cmd.Name)...)
				continue
			}
			verbs++
			if len(cmd.Flags) > 3 && strings.Count(cmd.Description, name) == 0 {
				t.Errorf("%s: the help has no example", name)
			}
		}
	}
	visit(newApp(&console.Console{Program: "dml"}).Commands)
	if verbs < 15 {
		t.Errorf("only %d verbs", verbs)
	}
}
