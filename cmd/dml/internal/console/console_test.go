package console

import "testing"

// TestAdviceCanBeCopied: command lines are printed with the program as it was
// called, and with quotes where a shell needs them.
func TestAdviceCanBeCopied(t *testing.T) {
	c := &Console{Program: "bin/dml"}
	for want, args := range map[string][]string{
		"bin/dml export runs/a-b_1":         {"export", "runs/a-b_1"},
		"bin/dml export 'my runs/it'\\''s'": {"export", "my runs/it's"},
		"bin/dml infer '' 'a*' Zürich":      {"infer", "", "a*", "Zürich"},
	} {
		if got := c.Command(args...); got != want {
			t.Errorf("%q: %s, want %s", args, got, want)
		}
	}
}
