package folder

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoGluedLines: what was left of a line is cut before the next is written,
// whatever the file's length.
func TestNoGluedLines(t *testing.T) {
	const next = `{"event":"resumed","epoch":2,"step":3}` + "\n"
	for _, whole := range []string{"", "{}\n", strings.Repeat(strings.Repeat("x", 99)+"\n", 90)} {
		for _, left := range []string{"", "{", strings.Repeat("y", 4095), strings.Repeat("y", 4096), strings.Repeat("y", 20_000)} {
			d := saved(t)
			path := filepath.Join(d.Path(), EventsFile)
			if err := os.WriteFile(path, []byte(whole+left), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := d.Record(json.RawMessage(next)); err != nil {
				t.Fatal(err)
			}
			if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, []byte(whole+next)) {
				t.Errorf("%d bytes of lines, %d of a partial one: now %d, %v", len(whole), len(left), len(got), err)
			}
		}
	}
}
