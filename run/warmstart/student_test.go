package warmstart

import (
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/run"
	"github.com/deepmutual/dml/run/rundir"
	"github.com/deepmutual/dml/train"
)

// TestRun loads the students of a run by its folder, by a student's folder and
// by the checkpoint.
func TestRun(t *testing.T) {
	cfg := run.Config{Name: "trial", Data: run.DataConfig{Path: "random"}, Epochs: 2, Batch: 8,
		Students: []run.StudentConfig{{Name: "one", Arch: "convnet"}, {Name: "two", Arch: "convnet"}}}
	shape := dataset.Shape{Channels: 1, Height: 12, Width: 12}
	data := dataset.Splits{Train: datatest.Random(t, 32, 3, shape, 1), Val: datatest.Random(t, 16, 3, shape, 2)}
	values, opts, err := cfg.WithDefaults().Training(data)
	if err != nil {
		t.Fatal(err)
	}
	session, err := train.New(values, data, opts)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	dir, err := rundir.Create(t.TempDir(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	if err := dir.Begin(session.States()); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir.Path()); err == nil || !strings.Contains(err.Error(), "no best checkpoint yet") {
		t.Errorf("a run before its first epoch: %v", err)
	}
	if _, err := session.Run(t.Context(), dir, train.Events{}); err != nil {
		t.Fatal(err)
	}
	states, err := dir.LoadAll(rundir.Best)
	if err != nil {
		t.Fatal(err)
	}
	best := states[0]
	if states[1].Best.Accuracy > best.Best.Accuracy {
		best = states[1]
	}
	for path, want := range map[string]train.State{
		dir.Path():                                    best,
		filepath.Join(dir.Path(), "one"):              states[0],
		filepath.Join(dir.Path(), "two"):              states[1],
		filepath.Join(dir.Path(), "two", "best.ckpt"): states[1],
	} {
		src := open(t, path)
		if src.Path != dir.Checkpoint(want.Name, rundir.Best) {
			t.Errorf("%s: read %s", path, src.Path)
		}
		w, report := match(t, src, want.Network)
		if !reflect.DeepEqual(w, want.Weights) {
			t.Errorf("%s: the weights are not the student's", path)
		}
		if report.Format != Checkpoint || report.Values != report.Total || len(report.Skipped) > 0 || !reflect.DeepEqual(src.Classes, want.Classes) {
			t.Errorf("%s: %+v", path, report)
		}
	}
	if _, err := Open(filepath.Join(dir.Path(), "three")); err == nil {
		t.Error("a student that is not there")
	}
}
