//go:build cgo && linux

package infer

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/models"
)

// oldLibrary compiles a library that, like an old ONNX Runtime, does not have
// the API asked for. It tells its version in its symbols where that is given.
func oldLibrary(t *testing.T, version string) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("skipped: needs a C compiler to make a stand-in library")
	}
	const code = `
typedef struct { const void *(*api)(unsigned); const char *(*version)(void); } Base;
static const void *api(unsigned v) { return v > 14 ? 0 : "x"; }
static const char *version(void) { return "1.14.1"; }
static Base base = { api, version };
Base *OrtGetApiBase(void) { return &base; }
`
	dir := t.TempDir()
	out := filepath.Join(dir, "libonnxruntime.so")
	args := []string{"-shared", "-fPIC", "-o", out, saved(t, "old.c", []byte(code))}
	if version != "" {
		args = append(args, "-Wl,--version-script="+saved(t, "old.map", []byte("VERS_"+version+" { global: OrtGetApiBase; local: *; };\n")))
	}
	if msg, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, msg)
	}
	return out
}

// otherLibrary compiles a library that is not ONNX Runtime.
func otherLibrary(t *testing.T) string {
	t.Helper()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("skipped: needs a C compiler to make a stand-in library")
	}
	out := filepath.Join(t.TempDir(), "libother.so")
	if msg, err := exec.Command(cc, "-shared", "-fPIC", "-o", out, saved(t, "other.c", []byte("int other;\n"))).CombinedOutput(); err != nil {
		t.Fatalf("cc: %v\n%s", err, msg)
	}
	return out
}

func TestRuntimeTooOld(t *testing.T) {
	data := exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2), 1, export.Options{})
	for version, want := range map[string]string{"1.14.1": "1.14.1", "": "unknown"} {
		path := oldLibrary(t, version)
		_, err := OpenBytes(Options{Library: path}, data)
		var old *RuntimeTooOldError
		if !errors.Is(err, ErrRuntimeTooOld) || !errors.As(err, &old) || old.Path != path || old.Version != want || old.Needed != "1.29" {
			t.Errorf("version %q: %v", version, err)
		}
		if err != nil && !strings.Contains(err.Error(), "dml runtime install") {
			t.Errorf("%q does not say what to do", err)
		}
	}
}

func TestBrokenLibrary(t *testing.T) {
	data := exporttest.Student(t, exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2), 1, export.Options{})
	whole, err := os.ReadFile(oldLibrary(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"text": []byte("not a library"), "truncated": whole[:len(whole)/3]} {
		path := saved(t, name+".so", content)
		if _, err := OpenBytes(Options{Library: path}, data); !errors.Is(err, ErrNoRuntime) || !strings.Contains(err.Error(), path) ||
			!strings.HasSuffix(err.Error(), "fetches one") {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := otherLibrary(t)
	if _, err := OpenBytes(Options{Library: other}, data); !errors.Is(err, ErrNoRuntime) || !strings.Contains(err.Error(), other+" (the path given) is another library: ") {
		t.Errorf("a library of something else: %v", err)
	}
	t.Setenv(ortlib.EnvLibrary, other)
	if _, err := OpenBytes(Options{}, data); !errors.Is(err, ErrNoRuntime) || !strings.Contains(err.Error(), "is another library: unset "+ortlib.EnvLibrary) {
		t.Errorf("a library of something else in the environment: %v", err)
	}
	t.Setenv(ortlib.EnvLibrary, oldLibrary(t, ""))
	if _, err := OpenBytes(Options{}, data); !errors.Is(err, ErrRuntimeTooOld) || !strings.Contains(err.Error(), "is needed: unset "+ortlib.EnvLibrary) {
		t.Errorf("an old library in the environment: %v", err)
	}
}
