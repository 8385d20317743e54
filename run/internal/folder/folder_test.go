package folder

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/deepmutual/dml/checkpoint"
	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
	"github.com/deepmutual/dml/train/optim"
)

const config = "name: trial\n"

var students = []string{"convnet-1", "convnet-2"}

// trained makes a run folder as package run does.
func trained(t *testing.T) (*Dir, []train.State) {
	t.Helper()
	shape := dataset.Shape{Channels: 1, Height: 12, Width: 12}
	data := dataset.Splits{Train: datatest.Random(t, 32, 3, shape, 1), Val: datatest.Random(t, 8, 3, shape, 2)}
	s, err := train.New(train.Config{Epochs: 1, Batch: 8, Students: []train.Student{{Arch: "convnet"}, {Arch: "convnet"}},
		Optimizer: optim.SGD{LearningRate: 0.02, Momentum: 0.9, Nesterov: true, WeightDecay: 5e-4}}, data, train.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	d, err := Create(filepath.Join(t.TempDir(), "trial"), students)
	if err != nil {
		t.Fatal(err)
	}
	inputs, n, err := s.Reference(context.Background(), 4)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WriteReference(inputs, n, models.Shape{C: 1, H: 12, W: 12}); err != nil {
		t.Fatal(err)
	}
	if err := d.Begin(s.States(), []byte(config)); err != nil {
		t.Fatal(err)
	}
	sum, err := s.Run(t.Context(), d, train.Events{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.WriteResults(sum); err != nil {
		t.Fatal(err)
	}
	return d, s.States()
}

func TestARunCanBeReadBack(t *testing.T) {
	made, want := trained(t)
	d := Open(made.Path(), students)
	if text, err := os.ReadFile(filepath.Join(d.Path(), ConfigFile)); err != nil || string(text) != config {
		t.Errorf("configuration read back: %q, %v", text, err)
	}
	got, err := d.LoadAll(Last)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Error("the last states read back are not those of the session")
	}
	if _, err := d.LoadAll(Best); err != nil {
		t.Error(err)
	}
	inputs, n, shape, err := d.Reference()
	if err != nil || n != 4 || len(inputs) != 4*12*12 || shape != (models.Shape{C: 1, H: 12, W: 12}) {
		t.Errorf("reference: %d samples of %v, %d values, %v", n, shape, len(inputs), err)
	}
	text, err := os.ReadFile(filepath.Join(d.Path(), "metrics.jsonl"))
	var report train.EpochReport
	if err != nil || json.Unmarshal(text, &report) != nil || report.Epoch != 1 || len(report.Students) != 2 {
		t.Errorf("metrics %q, %v", text, err)
	}
	f, err := os.Open(filepath.Join(d.Path(), "results.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 4 || rows[1][0] != "convnet-1" || rows[3][0] != "ensemble" {
		t.Errorf("results %v, %v", rows, err)
	}
}

func TestCreateKeepsAnExistingRun(t *testing.T) {
	d, _ := trained(t)
	if _, err := Create(d.Path(), students); !errors.Is(err, ErrBusy) {
		t.Errorf("beside its trainer: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(d.Path(), students); !errors.Is(err, ErrExists) {
		t.Errorf("after its trainer: %v", err)
	}
}

// TestCreateAfterAKilledCreate: until Begin is done, the name is free.
func TestCreateAfterAKilledCreate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trial")
	d, err := Create(path, students)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(d.Checkpoint("convnet-1", Last), []byte("half"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil { // as the system does when a process is killed
		t.Fatal(err)
	}
	d, err = Create(path, students)
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

// TestAKillWhileSaving stops Save after each of its steps, as a kill would,
// and resumes: all students are at the old state, or all at the new one.
func TestAKillWhileSaving(t *testing.T) {
	for _, tc := range []struct {
		name         string
		stage        func(d *Dir, newer []train.State) error
		reads, epoch int // before and after Recover
	}{
		{"one state written", func(d *Dir, newer []train.State) error { return d.write(newer[0], next) }, 1, 1},
		{"all states written", func(d *Dir, newer []train.State) error {
			return errors.Join(d.write(newer[0], next), d.write(newer[1], next))
		}, 1, 2},
		{"committed", func(d *Dir, newer []train.State) error {
			return errors.Join(d.write(newer[0], next), d.write(newer[1], next),
				os.WriteFile(d.file(progressFile), []byte(`{"epoch":2,"step":0}`), 0o644))
		}, 2, 2},
		{"one state half moved", func(d *Dir, newer []train.State) error {
			return errors.Join(d.write(newer[0], next), d.write(newer[1], next),
				os.WriteFile(d.file(progressFile), []byte(`{"epoch":2,"step":0}`), 0o644),
				os.Rename(d.Checkpoint(newer[0].Name, Last), d.Checkpoint(newer[0].Name, previous)))
		}, 2, 2},
		{"one state moved", func(d *Dir, newer []train.State) error {
			return errors.Join(d.write(newer[0], Last), d.write(newer[1], next),
				os.WriteFile(d.file(progressFile), []byte(`{"epoch":2,"step":0}`), 0o644))
		}, 2, 2},
	} {
		d, states := trained(t)
		for i := range states {
			states[i].Progress.Epoch = 2
		}
		if err := errors.Join(tc.stage(d, states), d.Epoch(train.EpochReport{Epoch: 2}), d.Close()); err != nil {
			t.Fatal(err)
		}
		metrics, err := os.OpenFile(d.file(MetricsFile), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := metrics.WriteString(`{"epoch":3,"st`); err != nil {
			t.Fatal(err)
		}
		metrics.Close()
		if err := os.WriteFile(filepath.Join(d.Path(), "convnet-1", ".last.ckpt.7.tmp"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		seen, err := Open(d.Path(), students).LoadAll(Last)
		if err != nil {
			t.Fatal(err)
		}
		resumed := resume(t, d.Path())
		got, recovery, err := resumed.Recover(nil)
		if err != nil || recovery.Refused != nil || recovery.Epoch != tc.epoch {
			t.Fatalf("%+v, %v", recovery, err)
		}
		for i := range got {
			if got[i].Progress.Epoch != tc.epoch || seen[i].Progress.Epoch != tc.reads {
				t.Errorf("%s: student %d resumes in epoch %d and reads as %d, want %d", tc.name, i+1, got[i].Progress.Epoch, seen[i].Progress.Epoch, tc.epoch)
			}
		}
		text, err := os.ReadFile(d.file(MetricsFile))
		if err != nil || strings.Count(string(text), "\n") != tc.epoch || !strings.HasSuffix(string(text), "}\n") {
			t.Errorf("%s: metrics after %d epochs: %q, %v", tc.name, tc.epoch, text, err)
		}
		left, err := filepath.Glob(filepath.Join(d.Path(), "*", "[.n]*"))
		if err != nil || len(left) != 0 {
			t.Errorf("%s: left behind: %v, %v", tc.name, left, err)
		}
		resumed.Close()
	}
}

func TestRefusedCreateChangesNothing(t *testing.T) {
	d, _ := trained(t)
	d.Close()
	if _, err := Create(d.Path(), []string{"resnet8-1", "resnet8-2"}); !errors.Is(err, ErrExists) {
		t.Fatalf("got %v", err)
	}
	if _, err := os.Stat(d.file("resnet8-1")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder was made in another run: %v", err)
	}
}

func TestDiscardRemovesTheFolder(t *testing.T) {
	d, err := Create(filepath.Join(t.TempDir(), "trial"), students)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Discard(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(d.Path()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still there: %v", err)
	}
}

func TestMissingAndDamagedCheckpoints(t *testing.T) {
	d, _ := trained(t)
	if _, err := d.Load("stranger", Last); err == nil || !strings.Contains(err.Error(), "stranger") {
		t.Errorf("missing: %v", err)
	}
	path := filepath.Join(d.Path(), "convnet-1", "last.ckpt")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data[:len(data)/2], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Load("convnet-1", Last); !errors.Is(err, checkpoint.ErrDamaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("cut short: %v", err)
	}
}

func TestSaveReplacesAllOrNothing(t *testing.T) {
	d, states := trained(t)
	states[0].Progress.Epoch = 7
	states[1].Weights = nil // cannot be written
	if err := d.Save(states); err == nil {
		t.Fatal("a state without weights was saved")
	}
	got, err := d.Load("convnet-1", Last)
	if err != nil || got.Progress.Epoch != 1 {
		t.Errorf("the first student moved on alone: %+v, %v", got.Progress, err)
	}
	left, err := filepath.Glob(filepath.Join(d.Path(), "convnet-1", ".*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
