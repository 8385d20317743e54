//go:build unix

package folder

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
)

// filesOf are those below a folder, by their paths.
func filesOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		out[path] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReplacedRun: a run's folder is renamed while it is trained in, and a new run
// begins there: the first run writes nothing into it.
func TestReplacedRun(t *testing.T) {
	d, states := trained(t)
	if err := os.Rename(d.Path(), d.Path()+".old"); err != nil {
		t.Fatal(err)
	}
	second, err := Create(d.Path(), d.Students())
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Begin(states, []byte("second: run\n")); err != nil {
		t.Fatal(err)
	}
	want := filesOf(t, d.Path())
	for i := range states {
		states[i].Progress.Epoch = 9
	}
	for what, write := range map[string]func() error{
		"Save":           func() error { return d.Save(states) },
		"Epoch":          func() error { return d.Epoch(train.EpochReport{Epoch: 9}) },
		"Record":         func() error { return d.Record("event") },
		"WriteConfig":    func() error { return d.WriteConfig([]byte("first: run\n")) },
		"WriteResults":   func() error { return d.WriteResults(train.Summary{}) },
		"WriteReference": func() error { return d.WriteReference([]float32{1}, 1, models.Shape{C: 1, H: 1, W: 1}) },
		"WriteInit":      func() error { return d.WriteInit(nil) },
	} {
		if err := write(); !errors.Is(err, ErrReplaced) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := d.Discard(); !errors.Is(err, ErrReplaced) {
		t.Errorf("Discard: %v", err)
	}
	if got := filesOf(t, second.Path()); !reflect.DeepEqual(got, want) {
		t.Error("the second run's files were written to")
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}
