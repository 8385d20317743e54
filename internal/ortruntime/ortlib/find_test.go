package ortlib

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/deepmutual/dml/internal/ortruntime/ortlibtest"
)

func put(t *testing.T, path string, data []byte) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFindOrder(t *testing.T) {
	good, newer, old, silent := ortlibtest.Library(t, "1.30.0"), ortlibtest.Library(t, "1.31.2"), ortlibtest.Library(t, "1.14.1"), ortlibtest.Library(t, "")
	dir := t.TempDir()
	given := put(t, filepath.Join(dir, "given.so"), newer)
	env := put(t, filepath.Join(dir, "env.so"), silent)
	cache := filepath.Join(dir, "cache")
	cached := put(t, filepath.Join(cache, FileName(runtime.GOOS)), good)
	oldSystem := put(t, filepath.Join(dir, "sys", "libonnxruntime.so"), old)
	system := put(t, filepath.Join(dir, "sys", "libonnxruntime.so.1.31.2"), newer)
	put(t, filepath.Join(dir, "sys", "libonnxruntime.so.txt"), []byte("not a library"))
	patterns := []string{filepath.Join(dir, "sys", "libonnxruntime.so"), filepath.Join(dir, "sys", "libonnxruntime.so.*")}

	for _, tc := range []struct {
		name   string
		finder finder
		path   string
		want   Library
	}{
		{"given", finder{env, cache, patterns}, given, Library{given, "1.31.2", "the path given"}},
		{"environment", finder{env, cache, patterns}, "", Library{env, "", EnvLibrary}},
		{"cache", finder{"", cache, patterns}, "", Library{cached, "1.30.0", "cache"}},
		{"system, past one too old", finder{"", filepath.Join(dir, "none"), patterns}, "", Library{system, "1.31.2", "system"}},
	} {
		if got, err := tc.finder.find(tc.path); err != nil || got != tc.want {
			t.Errorf("%s: %+v, %v, want %+v", tc.name, got, err, tc.want)
		}
	}

	var tooOld *TooOldError
	for _, f := range []finder{{env: oldSystem}, {system: patterns[:1]}} {
		_, err := f.find("")
		if !errors.Is(err, ErrTooOld) || !errors.As(err, &tooOld) || tooOld.Library.Version != "1.14.1" || tooOld.Library.Path != oldSystem {
			t.Errorf("too old: %v", err)
		}
		if err != nil && !strings.Contains(err.Error(), "dml runtime install") {
			t.Errorf("%q does not say what to do", err)
		}
	}
	for name, tc := range map[string]struct {
		finder finder
		path   string
	}{
		"nowhere":         {finder{}, ""},
		"given, missing":  {finder{"", cache, nil}, filepath.Join(dir, "missing.so")},
		"given, a folder": {finder{"", cache, nil}, dir},
		"env, text":       {finder{put(t, filepath.Join(dir, "text.so"), []byte("hello world")), cache, nil}, ""},
	} {
		if _, err := tc.finder.find(tc.path); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTooOld(t *testing.T) {
	for version, want := range map[string]bool{"1.28.9": true, "0.30.0": true, "1.29.0": false, "1.30": false, "2.0.0": false, "": false, "dev": false} {
		if got := TooOld(version); got != want {
			t.Errorf("TooOld(%q) = %v", version, got)
		}
	}
}

// TestNotFoundNamesEachPlaceOnce: a folder is searched for several names.
func TestNotFoundNamesEachPlaceOnce(t *testing.T) {
	dir := t.TempDir()
	f := finder{system: []string{filepath.Join(dir, "a.so"), filepath.Join(dir, "a.so.*"), filepath.Join(dir, "b", "a.so"), filepath.Join(dir, "a.so")}}
	_, err := f.find("")
	if want := "(looked at " + dir + ", " + filepath.Join(dir, "b") + ")"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v, want %q at the end", err, want)
	}
}

func TestCacheDir(t *testing.T) {
	t.Setenv(EnvCache, filepath.FromSlash("/some/where"))
	if got, err := CacheDir(); err != nil || got != filepath.FromSlash("/some/where/onnxruntime/"+Wanted) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestInstalledVersion reads the real library where there is one.
func TestInstalledVersion(t *testing.T) {
	lib, err := Find("")
	if err != nil {
		t.Skipf("skipped: %v", err)
	}
	t.Logf("%+v", lib)
	if lib.Origin == "cache" && lib.Version != Wanted {
		t.Errorf("the cached library says it is %q", lib.Version)
	}
}

func FuzzReadVersion(f *testing.F) {
	f.Add([]byte("\x7fELF\x02\x01\x01"))
	f.Add([]byte("MZ\x90\x00"))
	f.Add([]byte("\xcf\xfa\xed\xfe\x0c\x00\x00\x01"))
	if exe, err := os.Executable(); err == nil {
		if data, err := os.ReadFile(exe); err == nil {
			f.Add(data[:min(len(data), 1<<12)])
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		version, err := readVersion(bytes.NewReader(data))
		if err != nil && !errors.Is(err, ErrNotLibrary) {
			t.Errorf("untyped error %v", err)
		}
		if err != nil && version != "" {
			t.Errorf("version %q with error %v", version, err)
		}
	})
}
