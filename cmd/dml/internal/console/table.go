package console

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf8"
)

// Table prints rows of cells in aligned columns, the first row being the
// header.
func Table(w io.Writer, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(tw, "\t")
			}
			fmt.Fprint(tw, Plain(cell))
		}
		fmt.Fprintln(tw)
	}
	return tw.Flush()
}

// Plain shows a name as Go writes it where it has what does not print: a line's
// end would break a table, an escape sequence do anything to a terminal, and a
// change of direction show another name.
func Plain(name string) string {
	if utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return name
	}
	quoted := strconv.Quote(name)
	return quoted[1 : len(quoted)-1]
}

// WriteJSON prints v for programs.
func WriteJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// Grouped writes n with a comma between thousands.
func Grouped[T int | int64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Percent shows a fraction of 1.
func Percent(fraction float64) string { return fmt.Sprintf("%.2f %%", 100*fraction) }

// Count writes "1 image", "2 images", "3 queries".
func Count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	if stem, y := strings.CutSuffix(noun, "y"); y {
		noun = stem + "ie"
	}
	return Grouped(n) + " " + noun + "s"
}
