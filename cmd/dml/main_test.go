package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/app"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

// asProgram makes the test binary the program itself, as its name dml does.
const asProgram = "DML_TEST_AS_PROGRAM"

// limitFiles, in the program, obeys fileLimit where that can be.
var limitFiles = func() {}

// scratch is a folder for what several tests use: the program by its name, and
// runs that were prepared.
var scratch string

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" || strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") == "dml" {
		os.Args[0] = filepath.Base(os.Args[0])
		limitFiles()
		main()
	}
	os.Exit(func() int {
		var err error
		if scratch, err = os.MkdirTemp("", "dml-test-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(scratch)
		self, err := os.Executable()
		if err != nil {
			panic(err)
		}
		if err := os.Symlink(self, program()); err != nil {
			panic(err)
		}
		return m.Run()
	}())
}

// program is the path of dml.
func program() string { return filepath.Join(scratch, "dml") }

// result is what a command line did.
type result struct {
	code           int
	stdout, stderr string
}

// dml runs a command line as the program does, in this process.
func dml(t *testing.T, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := app.Run(t.Context(), append([]string{"dml"}, args...), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// mustRun fails the test where the command line does not succeed.
func mustRun(t *testing.T, args ...string) result {
	t.Helper()
	r := dml(t, args...)
	if r.code != 0 {
		t.Fatalf("dml %s: exit code %d\n%s", strings.Join(args, " "), r.code, r.stderr)
	}
	return r
}

// refused checks the form of a failure, and that its message has these words.
func refused(t *testing.T, r result, wants ...string) {
	t.Helper()
	for _, fault := range r.faults(1) {
		t.Error(fault)
	}
	for _, want := range wants {
		if !strings.Contains(r.stderr, want) {
			t.Errorf("the message lacks %q: %s", want, r.stderr)
		}
	}
}

// faults says what is wrong about a failure: it has that exit code, prints
// nothing on standard output, and one message, without a trace of a panic. Of a
// wrong command line it says where the right ones are described.
func (r result) faults(code int) (faults []string) {
	if r.code != code {
		faults = append(faults, "exit code "+string(rune('0'+r.code)))
	}
	if r.stdout != "" {
		faults = append(faults, "standard output: "+r.stdout)
	}
	if strings.Count(r.stderr, "dml: ") != 1 || !strings.HasPrefix(r.stderr, "dml: ") {
		faults = append(faults, "not one message: "+r.stderr)
	}
	for _, bad := range []string{"goroutine", "panic", ".go:"} {
		if strings.Contains(r.stderr, bad) {
			faults = append(faults, "the message has "+bad+": "+r.stderr)
		}
	}
	if code == 2 && !strings.Contains(r.stderr, "--help") {
		faults = append(faults, "no hint at --help: "+r.stderr)
	}
	return faults
}

// needRuntime skips a test that cannot do without ONNX Runtime.
func needRuntime(t *testing.T) {
	t.Helper()
	if _, err := ortlib.Find(""); err != nil {
		t.Skipf("skipped: %v", err)
	}
}

// runIn runs a command line as a process of its own, in a folder.
func runIn(dir string, args ...string) error {
	cmd := exec.CommandContext(context.Background(), program(), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return &fs.PathError{Op: "dml " + strings.Join(args, " ") + "\n" + string(out), Path: dir, Err: err}
	}
	return nil
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := write(path, data); err != nil {
		t.Fatal(err)
	}
}

// write writes a file and the folders that it is in.
func write(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}

// isEmpty checks that nothing was left in a folder.
func isEmpty(t *testing.T, dir string) {
	t.Helper()
	for _, e := range must(os.ReadDir(dir)) {
		t.Errorf("left behind: %s", filepath.Join(dir, e.Name()))
	}
}

// small is a command line that trains two students on data in a second.
func small(data, out string, more ...string) []string {
	return append([]string{"train", "--data", data, "--student", "convnet", "--student", "second=convnet",
		"--epochs", "3", "--batch", "16", "--lr", "0.05", "--backend", "ref", "--out", out, "--name", "trial"}, more...)
}
