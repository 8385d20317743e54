// Package console is where the command meets people: remarks, tables, progress,
// faults of use, and the flags that many verbs share.
package console

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Console is where a command prints.
type Console struct {
	Program        string   // as it was called, for command lines to copy
	Verb           []string // the command's words, as far as they are known ones
	Stdout, Stderr io.Writer
}

// SayHelp says where the use of the command is described.
func (c *Console) SayHelp() {
	if len(c.Verb) > 0 {
		c.Say("Run '%s' to see how it is used.", c.Command(append(slices.Clone(c.Verb), "--help")...))
		return
	}
	c.Say("Run '%s', or '%s', to see how it is used.", c.Command("--help"), c.Command("COMMAND", "--help"))
}

// Say prints one remark for people.
func (c *Console) Say(format string, args ...any) { fmt.Fprintf(c.Stderr, format+"\n", args...) }

// Command writes a command line of this program that can be copied.
func (c *Console) Command(args ...string) string {
	words := []string{quoted(c.Program)}
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

// ErrReported marks a failure that the command's own output has described.
var ErrReported = errors.New("reported")

// UsageError is a fault of the command line itself.
type UsageError struct{ error }

// Usagef makes a UsageError.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }
