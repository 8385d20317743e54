package cli

import (
	"strings"
	"testing"
)

// TestTableOfStrangeNames: names cannot break a table, nor reach the terminal as
// commands.
func TestTableOfStrangeNames(t *testing.T) {
	var out strings.Builder
	if err := table(&out, [][]string{{"NAME", "N"}, {"a\nb\tc\x1b[31m\u009b", "1"}, {"é日本 \"q\" \\", "2"}, {"a\u202eb\xff", "3"}}); err != nil {
		t.Fatal(err)
	}
	want := "NAME                   N\n" +
		`a\nb\tc\x1b[31m\u009b  1` + "\n" +
		`é日本 "q" \              2` + "\n" +
		`a\u202eb\xff           3` + "\n"
	if out.String() != want {
		t.Errorf("%s\n%q, want\n%q", out.String(), out.String(), want)
	}
}
