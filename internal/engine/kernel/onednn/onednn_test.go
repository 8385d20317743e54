//go:build cgo && (linux || darwin)

package onednn

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/deepmutual/dml/internal/engine/kernel"
	"github.com/deepmutual/dml/internal/engine/kernel/kerneltest"
)

// open returns the backend, or skips the test where oneDNN is not installed.
func open(t testing.TB) kernel.Backend {
	t.Helper()
	b, err := Open()
	if err != nil {
		if os.Getenv(LibraryVariable) == "" && errors.Is(err, kernel.ErrUnavailable) {
			t.Skipf("oneDNN cannot be tested here: %v", err)
		}
		t.Fatal(err)
	}
	return b
}

func TestConformance(t *testing.T) {
	b := open(t)
	t.Logf("%+v", b.Info())
	kerneltest.Run(t, b, kerneltest.Options{
		AllocFree: true,
		Layouts:   []kernel.Layout{kernel.NHWC, kernel.NChw8c, kernel.NChw16c},
	})
}

// TestConformanceOfOlderProcessors runs the suite again with oneDNN limited to
// older instruction sets, which a process can do only once: in processes of
// their own. Layouts, implementations and our own loops follow the limit.
func TestConformanceOfOlderProcessors(t *testing.T) {
	b := open(t)
	if runtime.GOARCH != "amd64" {
		t.Skipf("limits of the instruction set are for amd64, this is %s", runtime.GOARCH)
	}
	if testing.Short() {
		t.Skip("runs the suite again; not with -short")
	}
	for _, limit := range []struct {
		env, isa string
		bits     int
	}{
		{"AVX2", "avx2", isaAVX2},
		{"SSE41", "sse41", isaSSE41},
	} {
		t.Run(limit.env, func(t *testing.T) {
			if info := b.Info(); info.ISA == limit.isa {
				t.Skipf("this process runs with %s already", info.ISA)
			}
			if !b.(*backend).has(limit.bits) {
				t.Skipf("this processor has no %s", limit.isa)
			}
			cmd := exec.Command(os.Args[0], "-test.run=^TestConformance$|^TestLayout$", "-test.v", "-test.count=1")
			cmd.Env = append(os.Environ(), "ONEDNN_MAX_CPU_ISA="+limit.env)
			t.Logf("running the suite with ONEDNN_MAX_CPU_ISA=%s", limit.env)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, failures(string(out)))
			}
			if !strings.Contains(string(out), "ISA:"+limit.isa) {
				t.Errorf("the limited process did not run with %s:\n%s", limit.isa, out)
			}
		})
	}
}

// TestDynamicThreads runs TestManyThreads in a process that asks OpenMP to choose
// fewer threads than it is told: results must not suffer.
func TestDynamicThreads(t *testing.T) {
	open(t)
	cmd := exec.Command(os.Args[0], "-test.run=^TestManyThreads$", "-test.v", "-test.count=1", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), "OMP_DYNAMIC=true")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("with OMP_DYNAMIC=true: %v\n%s", err, failures(string(out)))
	}
	if !strings.Contains(string(out), "--- PASS: TestManyThreads") {
		t.Errorf("the process did not run the test:\n%s", out)
	}
}

// TestThreadLimit: a process that may not have the threads asked for is told so.
// The limit is read when OpenMP starts, so the refused half runs in a process
// of its own.
func TestThreadLimit(t *testing.T) {
	b := open(t)
	if os.Getenv("OMP_THREAD_LIMIT") == "3" {
		newEngine(t, b, kernel.EngineOptions{Threads: 3})
		e, err := b.NewEngine(kernel.EngineOptions{Threads: 4})
		if err == nil {
			e.Close()
			t.Fatal("4 threads were planned where 3 are allowed")
		}
		if !strings.Contains(err.Error(), "OMP_THREAD_LIMIT") {
			t.Errorf("the error does not name the variable: %v", err)
		}
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestThreadLimit$", "-test.v", "-test.count=1", "-test.timeout=1m")
	cmd.Env = append(os.Environ(), "OMP_THREAD_LIMIT=3")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestThreadLimit") {
		t.Errorf("with OMP_THREAD_LIMIT=3: %v\n%s", err, out)
	}
}

// failures keeps the lines of a verbose test log that say what went wrong.
func failures(log string) string {
	var kept []string
	for line := range strings.Lines(log) {
		if strings.Contains(line, "--- PASS") || strings.Contains(line, "=== RUN") {
			continue
		}
		if kept = append(kept, line); len(kept) == 60 {
			break
		}
	}
	return strings.Join(kept, "")
}

func TestLayout(t *testing.T) {
	b := open(t)
	e := newEngine(t, b, kernel.EngineOptions{})
	want := kernel.NHWC
	switch isa := b.Info().ISA; {
	case strings.HasPrefix(isa, "avx512"):
		want = kernel.NChw16c
	case isa == "avx2":
		want = kernel.NChw8c
	}
	if got := e.Layout(64, 8, 8); got != want {
		t.Errorf("Layout of 64 channels with %s is %v, want %v", b.Info().ISA, got, want)
	}
	if got := e.Layout(3, 32, 32); got != kernel.NCHW {
		t.Errorf("Layout of 3 channels is %v, want NCHW", got)
	}
}

func newEngine(t testing.TB, b kernel.Backend, opts kernel.EngineOptions) *engine {
	t.Helper()
	runtime.LockOSThread()
	e, err := b.NewEngine(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		runtime.UnlockOSThread()
	})
	return e.(*engine)
}

// cutShort returns the first half of an ELF file, the running test.
func cutShort(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "libdnnl.so.3")
	if err := os.WriteFile(path, whole[:len(whole)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestUnusableLibrary(t *testing.T) {
	text := filepath.Join(t.TempDir(), "libdnnl.so.3")
	if err := os.WriteFile(text, []byte("this is not a library\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, path, want string }{
		{"missing file", filepath.Join(t.TempDir(), "absent.so"), "absent.so"},
		{"not a library", text, text},
	}
	if runtime.GOOS == "linux" {
		tests = append(tests, struct{ name, path, want string }{"another library", "libm.so.6", "is not oneDNN"},
			struct{ name, path, want string }{"cut short", cutShort(t), "not an ELF shared library, or cut short"})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(LibraryVariable, tt.path)
			_, err := Open()
			if !errors.Is(err, kernel.ErrUnavailable) {
				t.Fatalf("Open() = %v, want an error that wraps ErrUnavailable", err)
			}
			for _, want := range []string{LibraryVariable, tt.want, "install"} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not mention %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("the error has several lines: %v", err)
			}
		})
	}
}

// TestOtherThreading loads a library that says it was built for TBB, whose number
// of threads cannot be set.
func TestOtherThreading(t *testing.T) {
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skipf("a library is compiled for this test: %v", err)
	}
	dir := t.TempDir()
	source, library := filepath.Join(dir, "dnnl.c"), filepath.Join(dir, "libdnnl.so.3")
	const text = `
typedef struct { int major, minor, patch; const char *hash; unsigned cpu_runtime, gpu_runtime; } version;
const version *dnnl_version(void) { static const version v = {3, 5, 0, "", 4, 0}; return &v; }
`
	if err := os.WriteFile(source, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(cc, "-shared", "-fPIC", "-o", library, source).CombinedOutput(); err != nil {
		t.Fatalf("compiling: %v\n%s", err, out)
	}
	t.Setenv(LibraryVariable, library)
	_, err = Open()
	if !errors.Is(err, kernel.ErrUnavailable) || !strings.Contains(err.Error(), "oneDNN 3.5.0) was built for TBB") {
		t.Errorf("Open() = %v, want an error that wraps ErrUnavailable and names TBB", err)
	}
}

func TestClosedEngine(t *testing.T) {
	e := newEngine(t, open(t), kernel.EngineOptions{})
	d := kernel.Desc{N: 1, C: 16, H: 4, W: 4}
	add, err := e.Add(kernel.AddSpec{Desc: d})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	x := kernel.NewTensor(d)
	if err := add.Forward(x, x, x); !errors.Is(err, errClosed) {
		t.Errorf("running a kernel of a closed engine: %v, want %v", err, errClosed)
	}
	if _, err := e.Add(kernel.AddSpec{Desc: d}); !errors.Is(err, errClosed) {
		t.Errorf("planning on a closed engine: %v, want %v", err, errClosed)
	}
}
