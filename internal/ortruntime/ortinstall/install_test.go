package ortinstall

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
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

func tarball(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	gz := gzip.NewWriter(&buf)
	tw := tar.NewWriter(gz)
	for name, data := range files {
		if err := tw.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := tw.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(tw.Close(), gz.Close()); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func zipball(t *testing.T, files map[string][]byte) []byte {
	t.Helper()
	var buf bytes.Buffer
	zw := zip.NewWriter(&buf)
	for name, data := range files {
		w, err := zw.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// stage is a machine whose npm, pip and release server are stand-ins.
type stage struct {
	dir, bin string
	cache    string
	lib      []byte
	hits     atomic.Int32
	log      []string
	opts     Options
}

func newStage(t *testing.T) *stage {
	t.Helper()
	t.Setenv(ortlib.EnvLibrary, "")
	s := &stage{dir: t.TempDir(), lib: ortlibtest.Library(t, ortlib.Wanted)}
	s.bin, s.cache = filepath.Join(s.dir, "bin"), filepath.Join(s.dir, "cache")
	r, err := releaseFor("linux", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	r.npmSum, r.pipSum = sum(s.lib), sum(s.lib)
	s.opts = Options{Dir: s.cache, release: &r, Log: func(line string) { s.log = append(s.log, line) }}
	if err := os.MkdirAll(s.bin, 0o755); err != nil {
		t.Fatal(err)
	}
	// Only the stand-ins and the shell's own tools are on the path.
	t.Setenv("PATH", s.bin+string(os.PathListSeparator)+"/usr/bin"+string(os.PathListSeparator)+"/bin")
	s.script(t, "npm", "exit 1")
	s.script(t, "pip3", "exit 1")
	s.serve(t, nil)
	return s
}

// script puts a shell script on the path; it counts its runs.
func (s *stage) script(t *testing.T, name, body string) {
	t.Helper()
	put(t, filepath.Join(s.bin, name), []byte("#!/bin/sh\necho \"$@\" >> "+s.dir+"/"+name+".calls\n"+body+"\n"))
}

func (s *stage) calls(name string) []string {
	data, err := os.ReadFile(filepath.Join(s.dir, name+".calls"))
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(data)), "\n")
}

// serve answers for the release archive, or with 404 where it is nil.
func (s *stage) serve(t *testing.T, archive []byte) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.hits.Add(1)
		if archive == nil || r.URL.Path != "/v"+ortlib.Wanted+"/onnxruntime-linux-x64-"+ortlib.Wanted+".tgz" {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(archive)
	}))
	t.Cleanup(server.Close)
	s.opts.ReleaseURL = server.URL
}

func (s *stage) deliver(t *testing.T, tool, name string, package_ []byte) {
	t.Helper()
	path := put(t, filepath.Join(s.dir, "packages", name), package_)
	// The target folder is the argument after the option that names it.
	s.script(t, tool, `while [ $# -gt 0 ]; do case "$1" in --pack-destination|--dest) cp `+path+` "$2"/;; esac; shift; done`)
}

func (s *stage) install(t *testing.T) (ortlib.Library, error) {
	t.Helper()
	s.log = nil
	return Install(context.Background(), s.opts)
}

// leftovers lists the cache's files.
func (s *stage) leftovers(t *testing.T) []string {
	t.Helper()
	var out []string
	entries, err := os.ReadDir(s.cache)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestInstallByNPM(t *testing.T) {
	s := newStage(t)
	s.deliver(t, "npm", "onnxruntime-node-1.30.0.tgz", tarball(t, map[string][]byte{
		"package/README.md": []byte("x"), s.opts.release.npmFile: s.lib, "package/bin/napi-v6/win32/x64/onnxruntime.dll": []byte("MZ"),
	}))
	want := ortlib.Library{Path: filepath.Join(s.cache, ortlib.FileName(runtime.GOOS)), Version: ortlib.Wanted, Origin: "cache"}
	for range 2 { // the second time nothing is fetched
		lib, err := s.install(t)
		if err != nil || lib != want {
			t.Fatalf("%+v, %v, want %+v", lib, err, want)
		}
	}
	calls := s.calls("npm")
	if len(calls) != 1 || !strings.HasPrefix(calls[0], "pack onnxruntime-node@1.30.0 ") || s.calls("pip3") != nil || s.hits.Load() != 0 {
		t.Errorf("npm %q, pip %q, %d downloads", calls, s.calls("pip3"), s.hits.Load())
	}
	if got := s.leftovers(t); len(got) != 1 {
		t.Errorf("the cache holds %v", got)
	}
	data, err := os.ReadFile(want.Path)
	if err != nil || !bytes.Equal(data, s.lib) {
		t.Errorf("the library has other bytes (%v)", err)
	}

	// A damaged file is fetched again.
	put(t, want.Path, s.lib[:100])
	if _, err := s.install(t); err != nil || len(s.calls("npm")) != 2 {
		t.Errorf("after damage: %v, npm ran %d times", err, len(s.calls("npm")))
	}
}

func TestInstallByPip(t *testing.T) {
	s := newStage(t)
	s.deliver(t, "pip3", "onnxruntime-1.30.0-cp311-cp311-manylinux_2_28_x86_64.whl", zipball(t, map[string][]byte{
		"onnxruntime/__init__.py": []byte("x"), s.opts.release.pipFile: s.lib,
	}))
	lib, err := s.install(t)
	if err != nil || lib.Version != ortlib.Wanted {
		t.Fatalf("%+v, %v", lib, err)
	}
	calls := s.calls("pip3")
	if len(calls) != 1 || !strings.Contains(calls[0], "download onnxruntime==1.30.0 --no-deps") || !strings.Contains(calls[0], "--platform manylinux_2_28_x86_64") {
		t.Errorf("pip %q", calls)
	}
	if len(s.calls("npm")) != 1 || s.hits.Load() != 0 {
		t.Errorf("npm %q, %d downloads", s.calls("npm"), s.hits.Load())
	}
}

func TestInstallByArchive(t *testing.T) {
	s := newStage(t)
	other := append(bytes.Clone(s.lib), 0) // separately built: other bytes, the same version
	s.serve(t, tarball(t, map[string][]byte{"./" + s.opts.release.archFile: other}))

	// Its checksum is unknown: refused until somebody vouches for it.
	_, err := s.install(t)
	if !errors.Is(err, ErrInstall) || !errors.Is(err, ErrChecksum) || !strings.Contains(err.Error(), sum(other)) {
		t.Fatalf("unknown checksum: %v", err)
	}
	if got := s.leftovers(t); len(got) != 0 {
		t.Errorf("the cache holds %v", got)
	}
	s.opts.SHA256 = sum(other)
	for range 2 {
		if lib, err := s.install(t); err != nil || lib.Version != ortlib.Wanted {
			t.Fatalf("%+v, %v", lib, err)
		}
	}
	if s.hits.Load() != 2 {
		t.Errorf("%d downloads", s.hits.Load())
	}

	// An archive whose library equals a known one needs no word.
	s.opts.SHA256, s.opts.Dir = "", filepath.Join(s.dir, "cache2")
	s.serve(t, tarball(t, map[string][]byte{s.opts.release.archFile: s.lib}))
	if lib, err := s.install(t); err != nil || lib.Version != ortlib.Wanted {
		t.Errorf("%+v, %v", lib, err)
	}
}

func TestInstallZipArchive(t *testing.T) {
	s := newStage(t)
	s.opts.release.archive, s.opts.release.archFile = "ort-win.zip", "ort-win/lib/onnxruntime.dll"
	archive := zipball(t, map[string][]byte{"ort-win/lib/onnxruntime.dll": s.lib})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive) }))
	defer server.Close()
	s.opts.ReleaseURL = server.URL + "/"
	if lib, err := s.install(t); err != nil || lib.Version != ortlib.Wanted {
		t.Errorf("%+v, %v", lib, err)
	}
}

func TestInstallAllFail(t *testing.T) {
	s := newStage(t)
	s.script(t, "npm", "echo npm ERR network; exit 7")
	s.deliver(t, "pip3", "a.whl", zipball(t, map[string][]byte{"onnxruntime/other.so": s.lib}))
	_, err := s.install(t)
	if !errors.Is(err, ErrInstall) {
		t.Fatal(err)
	}
	for _, want := range []string{"npm: exit status 7: npm ERR network", "pip: a.whl does not hold", "release archive: http", "404",
		"Install Node.js", ortlib.EnvLibrary} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	if got := s.leftovers(t); len(got) != 0 {
		t.Errorf("the cache holds %v", got)
	}
}

func TestInstallRefusesWrongBytes(t *testing.T) {
	s := newStage(t)
	bad := append(bytes.Clone(s.lib), 1)
	s.deliver(t, "npm", "onnxruntime-node-1.30.0.tgz", tarball(t, map[string][]byte{s.opts.release.npmFile: bad}))
	if _, err := s.install(t); !errors.Is(err, ErrChecksum) {
		t.Errorf("got %v", err)
	}
	whole := tarball(t, map[string][]byte{s.opts.release.npmFile: s.lib})
	s.deliver(t, "npm", "onnxruntime-node-1.30.0.tgz", whole[:len(whole)-20]) // a download cut short
	if _, err := s.install(t); !errors.Is(err, ErrInstall) {
		t.Errorf("got %v", err)
	}
	if got := s.leftovers(t); len(got) != 0 {
		t.Errorf("the cache holds %v", got)
	}
}

func TestInstallHonoursEnvironment(t *testing.T) {
	s := newStage(t)
	path := put(t, filepath.Join(s.dir, "mine.so"), s.lib)
	t.Setenv(ortlib.EnvLibrary, path)
	if lib, err := s.install(t); err != nil || lib.Path != path {
		t.Errorf("%+v, %v", lib, err)
	}
	t.Setenv(ortlib.EnvLibrary, path+".missing")
	if _, err := s.install(t); !errors.Is(err, ortlib.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if s.calls("npm") != nil {
		t.Error("npm ran")
	}
}

func TestInstallCancelled(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Install(ctx, s.opts); !errors.Is(err, context.Canceled) || s.hits.Load() != 0 {
		t.Errorf("%v, %d downloads", err, s.hits.Load())
	}
}

func TestInstallOptionFaults(t *testing.T) {
	for _, bad := range []string{"x", strings.Repeat("A", 64), strings.Repeat("a", 63)} {
		if _, err := Install(context.Background(), Options{SHA256: bad}); err == nil || errors.Is(err, ErrInstall) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestReleases(t *testing.T) {
	seen := map[string]string{}
	for _, platform := range []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64", "windows/arm64"} {
		goos, goarch, _ := strings.Cut(platform, "/")
		r, err := releaseFor(goos, goarch)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range []string{r.npmSum, r.pipSum} {
			if raw, err := hex.DecodeString(s); err != nil || len(raw) != sha256.Size {
				t.Errorf("%s: %q is no SHA-256", platform, s)
			}
			if other, dup := seen[s]; dup {
				t.Errorf("%s and %s share a checksum", platform, other)
			}
			seen[s] = platform
		}
		for name, field := range map[string]string{"npm": r.npmFile, "tag": r.pipTag, "wheel": r.pipFile, "archive": r.archive} {
			if field == "" {
				t.Errorf("%s: no %s", platform, name)
			}
		}
		folder := strings.TrimSuffix(strings.TrimSuffix(r.archive, ".tgz"), ".zip")
		if !strings.HasPrefix(r.archFile, folder+"/lib/") {
			t.Errorf("%s: %s in %s", platform, r.archFile, r.archive)
		}
	}
	if _, err := releaseFor("darwin", "amd64"); err == nil || !strings.Contains(err.Error(), "darwin/amd64") {
		t.Errorf("got %v", err)
	}
}
