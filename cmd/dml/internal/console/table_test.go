package console

import (
	"strings"
	"testing"
)

// TestTableOfStrangeNames: names cannot break a table, nor reach the terminal as
// commands.
func TestTableOfStrangeNames(t *testing.T) {
	var out strings.Builder
	if err := Table(&out, [][]string{{"NAME", "N"}, {"a\nb\tc\x1b[31m\u009b", "1"}, {"é日本 \"q\" \\", "2"}, {"a\u202eb\xff", "3"}}); err != nil {
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

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 464154: "464,154", -123456: "-123,456", 1234567890: "1,234,567,890"} {
		if got := Grouped(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
