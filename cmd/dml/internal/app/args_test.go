package app

import (
	"reflect"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

func TestFlagsFirst(t *testing.T) {
	commands := []*cli.Command{
		{Name: "verb", Flags: []cli.Flag{&cli.StringFlag{Name: "name", Aliases: []string{"n"}}, &cli.BoolFlag{Name: "yes"}}},
		{Name: "outer", Subcommands: []*cli.Command{{Name: "inner", Flags: []cli.Flag{&cli.IntFlag{Name: "k"}}}}},
	}
	for _, tc := range []struct{ in, want string }{
		{"verb a b", "verb -- a b"},
		{"verb a --name x b", "verb --name x -- a b"},
		{"verb a -n x --yes b", "verb -n x --yes -- a b"},
		{"verb a --name=x b", "verb --name=x -- a b"},
		{"verb a -- --yes", "verb -- a --yes"},
		{"verb - a", "verb -- - a"},
		{"verb a --help", "verb --help"},
		{"outer inner a -h", "outer inner -h"},
		{"--help verb", "--help verb --"},
		{"outer inner a --k 3", "outer inner --k 3 -- a"},
		{"stranger a --yes", "stranger a --yes"},
		{"--version", "--version"},
	} {
		got, err := flagsFirst(commands, strings.Fields(tc.in))
		if err != nil || !reflect.DeepEqual(got, strings.Fields(tc.want)) {
			t.Errorf("%s: %q, %v", tc.in, got, err)
		}
	}
	if _, err := flagsFirst(commands, []string{"verb", "a", "--name"}); err == nil {
		t.Error("a flag without its value passed")
	}
}
