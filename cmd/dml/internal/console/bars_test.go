package console

import "testing"

func TestClock(t *testing.T) {
	var c Clock
	if got := c.Left(); got != "?" {
		t.Errorf("before the first step: %q left", got)
	}
	for i := range 4 {
		c.Set(i+1, 4)
	}
	if got := c.Left(); got != "0s" {
		t.Errorf("after the last step: %q left", got)
	}
	var one Clock
	one.Set(1, 2)
	if got := one.Left(); got != "?" {
		t.Errorf("after the first step: %q left", got)
	}
	one = Clock{}
	one.Set(1, 1)
	if got := one.Left(); got != "0s" {
		t.Errorf("after the only step: %q left", got)
	}
}
