package app

import (
	"path/filepath"
	"testing"
)

// TestStudentNameWithComma: a comma does not divide a student in two.
func TestStudentNameWithComma(t *testing.T) {
	out := t.TempDir()
	mustRun(t, "train", "--data", mnistFolder(t, 60, 12), "--student", "a,b=convnet", "--mode", "independent",
		"--epochs", "1", "--batch", "16", "--backend", "ref", "--quiet", "--out", out, "--name", "trial")
	exists(t, filepath.Join(out, "trial", "a,b", "last.ckpt"))
}
