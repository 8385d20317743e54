package datatest

import (
	"archive/tar"
	"io"
	"os"
	"testing"
	"testing/fstest"
)

// SharedTar returns the regular files of an archive of real data, found as by
// Shared, in memory.
func SharedTar(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	f, err := os.Open(Shared(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fsys := make(fstest.MapFS)
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			return fsys
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		fsys[h.Name] = &fstest.MapFile{Data: data}
	}
}
