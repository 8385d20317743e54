package folder

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/checkpoint"
	"github.com/deepmutual/dml/train"
)

// saved is a run folder of three saves, closed: last.ckpt of epoch 3,
// previous.ckpt of epoch 2, best.ckpt of epoch 1.
func saved(t *testing.T) *Dir {
	t.Helper()
	d, states := trained(t)
	for i := range states {
		if states[i].BestEpoch != 1 {
			t.Fatalf("the best epoch is %d", states[i].BestEpoch)
		}
	}
	for epoch := 2; epoch <= 3; epoch++ {
		for i := range states {
			states[i].Progress.Epoch = epoch
			for _, v := range states[i].Weights {
				v[0]++ // so that a mix of moments would show
			}
		}
		if err := errors.Join(d.Epoch(train.EpochReport{Epoch: epoch}), d.Save(states)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	return d
}

// damages are ways in which a file can be unusable.
var damages = map[string]func(t *testing.T, path string){
	"a byte of the header":  flip(20),
	"a byte in the middle":  flip(-2000),
	"a byte of the end":     flip(-1),
	"cut short":             truncate(0.6),
	"empty":                 truncate(0),
	"its first bytes alone": truncate(0.001),
	"text": func(t *testing.T, path string) {
		if err := os.WriteFile(path, []byte("not a checkpoint, but long enough to be taken for one at first sight"), 0o644); err != nil {
			t.Fatal(err)
		}
	},
}

func flip(at int) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data[(at+len(data))%len(data)] ^= 0x10
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func truncate(part float64) func(*testing.T, string) {
	return func(t *testing.T, path string) {
		t.Helper()
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, int64(part*float64(info.Size()))); err != nil {
			t.Fatal(err)
		}
	}
}

// resume claims the folder of a run.
func resume(t *testing.T, path string) *Dir {
	t.Helper()
	d := Open(path, students)
	if err := d.Lock(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// recovered resumes a run and returns what it goes on from.
func recovered(t *testing.T, path string, accept func(train.State) error) (*Dir, []train.State, Recovery) {
	t.Helper()
	d := resume(t, path)
	states, recovery, err := d.Recover(accept)
	if err != nil {
		t.Fatal(err)
	}
	for _, st := range states {
		if st.Progress.Epoch != recovery.Epoch || st.Progress.Step != recovery.Step {
			t.Errorf("%s is at %+v, the recovery at %+v", st.Name, st.Progress, recovery)
		}
	}
	return d, states, recovery
}

func TestDamagedCheckpointsArePassedOver(t *testing.T) {
	original := os.DirFS(saved(t).Path())
	for name, damage := range damages {
		for _, tc := range []struct {
			files []string
			epoch int
		}{
			{[]string{"convnet-1/last.ckpt"}, 2},
			{[]string{"convnet-2/last.ckpt"}, 2},
			{[]string{"convnet-1/last.ckpt", "convnet-2/previous.ckpt"}, 1},
			{[]string{"convnet-2/previous.ckpt"}, 3},
			{[]string{"convnet-1/best.ckpt"}, 3},
		} {
			path := t.TempDir()
			if err := os.CopyFS(path, original); err != nil {
				t.Fatal(err)
			}
			want := make(map[string]train.State)
			for _, student := range []string{"convnet-1", "convnet-2"} {
				which := map[int]string{1: Best, 2: previous, 3: Last}[tc.epoch]
				st, err := ReadState(filepath.Join(path, student, which+".ckpt"))
				if err != nil {
					t.Fatal(err)
				}
				want[student] = st
			}
			for _, file := range tc.files {
				damage(t, filepath.Join(path, file))
			}
			d, states, recovery := recovered(t, path, nil)
			if recovery.Epoch != tc.epoch {
				t.Errorf("%s of %v: goes on from epoch %d, want %d", name, tc.files, recovery.Epoch, tc.epoch)
			}
			for _, st := range states {
				if !reflect.DeepEqual(st, want[st.Name]) {
					t.Errorf("%s of %v: %s goes on from another state than that of epoch %d", name, tc.files, st.Name, tc.epoch)
				}
			}
			// A previous checkpoint is not looked at where nothing needs it.
			if tc.epoch == 3 && slices.Contains(tc.files, "convnet-2/previous.ckpt") {
				continue
			}
			if len(recovery.Refused) != len(tc.files) {
				t.Errorf("%s of %v: refused are %v", name, tc.files, recovery.Refused)
			}
			for _, file := range tc.files {
				at := slices.IndexFunc(recovery.Refused, func(err error) bool { return strings.Contains(err.Error(), filepath.Join(path, file)+": ") })
				if at < 0 {
					t.Errorf("%s of %v: %s is not among the refused: %v", name, tc.files, file, recovery.Refused)
				} else if err := recovery.Refused[at]; !errors.Is(err, checkpoint.ErrDamaged) && !errors.Is(err, checkpoint.ErrFormat) {
					t.Errorf("%s of %v: %v", name, tc.files, err)
				}
				if _, err := os.Stat(filepath.Join(path, file) + ".refused"); err != nil {
					t.Error(err)
				}
			}
			text, err := os.ReadFile(d.file(MetricsFile))
			if err != nil || strings.Count(string(text), "\n") != tc.epoch {
				t.Errorf("%s of %v: metrics %q, %v", name, tc.files, text, err)
			}
			// What was recovered is in order, and the run can go on.
			states[0].Progress.Epoch++
			states[1].Progress.Epoch++
			if err := d.Save(states); err != nil {
				t.Error(err)
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			if _, _, again := recovered(t, path, nil); again.Refused != nil || again.Epoch != tc.epoch+1 {
				t.Errorf("%s of %v: recovered again to %+v", name, tc.files, again)
			}
		}
	}
}

// TestForeignCheckpointsArePassedOver puts another student's state, and one that
// the run does not accept, in the place of the last.
func TestForeignCheckpointsArePassedOver(t *testing.T) {
	path := saved(t).Path()
	data, err := os.ReadFile(filepath.Join(path, "convnet-2", "last.ckpt"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "convnet-1", "last.ckpt"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	d, _, recovery := recovered(t, path, nil)
	if recovery.Epoch != 2 || len(recovery.Refused) != 1 || !strings.Contains(recovery.Refused[0].Error(), `it is of student "convnet-2"`) {
		t.Errorf("another student's: %+v", recovery)
	}
	d.Close()

	_, _, recovery = recovered(t, saved(t).Path(), func(st train.State) error {
		if st.Name == "convnet-2" && st.Progress.Epoch == 3 {
			return train.ErrOtherRun
		}
		return nil
	})
	if recovery.Epoch != 2 || len(recovery.Refused) != 1 || !errors.Is(recovery.Refused[0], train.ErrOtherRun) {
		t.Errorf("another run's: %+v", recovery)
	}
}

// TestNothingToGoOnFrom: the error has all reasons, and nothing has changed.
func TestNothingToGoOnFrom(t *testing.T) {
	path := saved(t).Path()
	truncate(0.5)(t, filepath.Join(path, "convnet-2", "last.ckpt"))
	truncate(0.5)(t, filepath.Join(path, "convnet-2", "previous.ckpt"))
	truncate(0.5)(t, filepath.Join(path, "convnet-1", "best.ckpt"))
	before := listing(t, path)
	d := resume(t, path)
	_, _, err := d.Recover(nil)
	if !errors.Is(err, ErrNoState) || !errors.Is(err, checkpoint.ErrDamaged) || !strings.Contains(err.Error(), filepath.Join("convnet-2", "last.ckpt")) ||
		!strings.Contains(err.Error(), filepath.Join("convnet-2", "previous.ckpt")) || !strings.Contains(err.Error(), filepath.Join("convnet-1", "best.ckpt")) {
		t.Errorf("got %v", err)
	}
	if after := listing(t, path); after != before {
		t.Errorf("the folder held\n%s, now it holds\n%s", before, after)
	}
}

// TestNoCheckpointToGoOnFrom: what is missing is named.
func TestNoCheckpointToGoOnFrom(t *testing.T) {
	path := saved(t).Path()
	if err := os.Rename(filepath.Join(path, "convnet-2"), filepath.Join(path, "renamed")); err != nil {
		t.Fatal(err)
	}
	d := resume(t, path)
	_, _, err := d.Recover(nil)
	want := path + ": " + ErrNoState.Error() + ":\n" + filepath.Join(path, "convnet-2") + ` holds no checkpoint of student "convnet-2"`
	if !errors.Is(err, ErrNoState) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestDamagedMetrics: a line that no trainer wrote is pointed at.
func TestDamagedMetrics(t *testing.T) {
	path := saved(t).Path()
	if err := os.WriteFile(filepath.Join(path, MetricsFile), []byte("{broken\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := resume(t, path)
	if _, _, err := d.Recover(nil); err == nil || !strings.Contains(err.Error(), filepath.Join(path, MetricsFile)+", line 1 is not the report of an epoch") {
		t.Errorf("got %v", err)
	}
}

// TestDamagedProgress: what progress.json says follows from the checkpoints.
func TestDamagedProgress(t *testing.T) {
	path := saved(t).Path()
	if err := os.WriteFile(filepath.Join(path, progressFile), []byte(`{"ep`), 0o644); err != nil {
		t.Fatal(err)
	}
	d, _, recovery := recovered(t, path, nil)
	if epoch, step, err := d.Saved(); recovery.Epoch != 3 || epoch != 3 || step != 0 || err != nil {
		t.Errorf("%+v; saved is epoch %d, step %d, %v", recovery, epoch, step, err)
	}
}

// listing names all files below a folder with their sizes.
func listing(t *testing.T, path string) string {
	t.Helper()
	var out strings.Builder
	err := filepath.Walk(path, func(name string, info os.FileInfo, err error) error {
		fmt.Fprintln(&out, name, info.Size())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}
