package setup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/console"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

func TestInstallOneDNN(t *testing.T) {
	for _, tc := range []struct{ goos, release, want string }{
		{"darwin", "", "brew install onednn"},
		{"linux", "ID=debian\nVERSION_ID=\"12\"\n", "libdnnl2"},
		{"linux", "ID=debian\nVERSION_ID=\"13\"\n", "libdnnl3"},
		{"linux", "ID=debian\nPRETTY_NAME=\"sid\"\n", "libdnnl3"},
		{"linux", "ID=ubuntu\nVERSION_ID=\"22.04\"\n", "libdnnl2"},
		{"linux", "ID=ubuntu\nVERSION_ID=\"24.04\"\n", "libdnnl3"},
		{"linux", "ID=other\n", "package manager"},
		{"windows", "", "package manager"},
	} {
		if got := installOneDNN(tc.goos, tc.release, ""); !strings.Contains(got, tc.want) {
			t.Errorf("%s %q: %q, want %q", tc.goos, tc.release, got, tc.want)
		}
	}
}

// TestRuntimeFix: what to type must work where there is no home, or one that takes no
// files.
func TestRuntimeFix(t *testing.T) {
	c := &console.Console{}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		cache, home string
		export      bool
	}{
		{"", "", true}, {filepath.Join(file, "dml"), "", true}, {t.TempDir(), "", false},
		{filepath.Join(t.TempDir(), "not", "there"), "", false}, {"", t.TempDir(), false},
	} {
		t.Setenv(ortlib.EnvCache, tc.cache)
		t.Setenv("XDG_CACHE_HOME", "")
		t.Setenv("HOME", tc.home)
		fix := runtimeFix(c, "")
		if strings.HasPrefix(fix, "export "+ortlib.EnvCache) != tc.export || !strings.HasSuffix(fix, "runtime install") {
			t.Errorf("%+v: %q", tc, fix)
		}
	}
}
