package console

import (
	"strings"
	"testing"
	"time"
)

func TestCounterLines(t *testing.T) {
	var out strings.Builder
	c := NewCounter(&out, false, "drawing", "images")
	c.Set(0, 2000)
	c.Set(1, 2000)
	if out.Len() > 0 {
		t.Errorf("printed at once: %q", &out)
	}
	c.begin, c.clock.begin = c.begin.Add(-time.Minute), c.clock.begin.Add(-time.Minute)
	c.Set(500, 2000)
	c.Set(501, 2000) // at once: no further line
	c.Finish()
	if out.String() != "drawing: 500 of 2,000 images, 3m0s left\n" {
		t.Errorf("printed %q", &out)
	}
	quiet := NewCounter(&out, true, "drawing", "images")
	quiet.begin = c.begin
	out.Reset()
	quiet.Set(500, 2000)
	quiet.Finish()
	if out.Len() > 0 {
		t.Errorf("printed when quiet: %q", &out)
	}
}
