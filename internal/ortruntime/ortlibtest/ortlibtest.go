// Package ortlibtest makes stand-ins for ONNX Runtime's library, for tests.
package ortlibtest

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// Library compiles a shared library that says it is ONNX Runtime of that
// version, or says nothing where version is "", and returns the file's bytes.
// It cannot be used otherwise. Where none can be made the test is skipped.
func Library(t testing.TB, version string) []byte {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skipf("skipped: makes an ELF library, which %s does not use", runtime.GOOS)
	}
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("skipped: needs a C compiler to make a stand-in library")
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	out := filepath.Join(dir, "lib.so")
	args := []string{"-shared", "-fPIC", "-nostdlib", "-o", out, write("lib.c", "int OrtGetApiBase(void) { return 0; }\n")}
	if version != "" {
		args = append(args, "-Wl,--version-script="+write("lib.map", "VERS_"+version+" { global: OrtGetApiBase; local: *; };\n"))
	}
	if msg, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, msg)
	}
	data, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
