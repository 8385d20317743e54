package cli

import (
	"strings"
	"testing"
	"time"
)

func TestCounterLines(t *testing.T) {
	var out strings.Builder
	c := newCounter(&out, false, "drawing", "images")
	c.set(1, 2000)
	if out.Len() > 0 {
		t.Errorf("printed at once: %q", &out)
	}
	c.begin = c.begin.Add(-time.Minute)
	c.set(500, 2000)
	c.set(501, 2000) // at once: no further line
	c.finish()
	if out.String() != "drawing: 500 of 2,000 images, 3m0s left\n" {
		t.Errorf("printed %q", &out)
	}
	quiet := newCounter(&out, true, "drawing", "images")
	quiet.begin = c.begin
	out.Reset()
	quiet.set(500, 2000)
	quiet.finish()
	if out.Len() > 0 {
		t.Errorf("printed when quiet: %q", &out)
	}
}
