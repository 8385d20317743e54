package exporting

import (
	"strings"
	"testing"
)

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                              `""`,
		"input":                         "input",
		"\x1b[31mred":                   `\x1b[31mred`,
		strings.Repeat("ä", 102):        strings.Repeat("ä", 100) + "... (102 characters)",
		strings.Repeat("\x07", 1) + "b": `\ab`,
	} {
		if got := shortened(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}
