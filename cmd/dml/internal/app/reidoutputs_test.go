package app

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/deepmutual/dml/reid/features"
)

// TestReIDInputsStay: an output does not take the place of a file that is read.
func TestReIDInputsStay(t *testing.T) {
	dir, args := reidFiles(t)
	for _, name := range []string{"query.csv", "gallery.npy"} {
		refused(t, dml(t, append(args, "--per-query", filepath.Join(dir, ".", name))...), name, "is an input")
	}
	folder := featureFolder(t, "a")
	refused(t, dml(t, "reid", "eval", "--features", folder, "--per-query", filepath.Join(folder, "gallery.csv")), "gallery.csv is an input")
	refused(t, dml(t, "reid", "calibrate", "--features", folder, "--out", filepath.Join(folder, features.ManifestFile)), "features.json is an input")
	if _, err := features.ReadManifest(folder); err != nil {
		t.Error(err)
	}
	mustRun(t, append(args, "--per-query", filepath.Join(dir, "queries.csv"))...)
	mustRun(t, append(args, "--per-query", filepath.Join(dir, "queries.csv"))...) // its own earlier output
}

// TestReIDOutputsFirst: that there can be no output is told before the features
// are looked at, let alone made.
func TestReIDOutputsFirst(t *testing.T) {
	dir := t.TempDir()
	none := filepath.Join(dir, "none")
	folder := filepath.Join(dir, "ranking.html")
	must(0, os.Mkdir(folder, 0o755))
	refused(t, dml(t, "reid", "eval", "--features", none, "--per-query", filepath.Join(none, "q.csv")), "q.csv", "the folder "+none+" does not exist")
	refused(t, dml(t, "reid", "rank", "--features", none, "--out", folder), folder, "it is a folder")
	refused(t, dml(t, "reid", "calibrate", "--features", none, "--out", filepath.Join(none, "t.json")), "t.json")
	refused(t, dml(t, "reid", "calibrate", "--features", none, "--out", filepath.Join(dir, "t.json"), "--picture", filepath.Join(none, "p.png")), "p.png")
	refused(t, dml(t, "reid", "eval", "--features", none, "--per-query", os.DevNull), "special file")
	if entries := must(os.ReadDir(dir)); len(entries) != 1 {
		t.Errorf("%v", entries)
	}
}
