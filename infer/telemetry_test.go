//go:build cgo

package infer

import (
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

// TestNoTelemetry runs a model in a process of its own, since the library
// reads its environment once, and looks for what its telemetry leaves in the
// user's cache folder.
func TestNoTelemetry(t *testing.T) {
	const child = "DML_TEST_TELEMETRY_CHILD"
	if os.Getenv(child) != "" {
		net := exporttest.Network(t, "convnet", models.Shape{C: 1, H: 8, W: 8}, 2)
		m, err := OpenBytes(Options{}, exporttest.Student(t, net, 1, export.Options{}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Run(t.Context(), noise(64, 1), 1); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	needRuntime(t)
	lib, err := ortlib.Find("")
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.Command(os.Args[0], "-test.run=^TestNoTelemetry$", "-test.count=1")
	for _, setting := range os.Environ() {
		if !strings.HasPrefix(setting, "ORT_DISABLE_TELEMETRY=") {
			cmd.Env = append(cmd.Env, setting)
		}
	}
	cmd.Env = append(cmd.Env, child+"=1", ortlib.EnvLibrary+"="+lib.Path, "HOME="+home, "XDG_CACHE_HOME="+filepath.Join(home, "cache"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	entries, err := filepath.Glob(filepath.Join(home, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		t.Errorf("the user's folder holds %s", entry)
	}
}
