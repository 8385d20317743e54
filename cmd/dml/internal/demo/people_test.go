package demo_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/demo"
	"github.com/deepmutual/dml/dataset/walkers"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
	"github.com/deepmutual/dml/train"
)

// TestPeople trains for a fraction of the demonstration's time: students find
// people better than pixels do, and the page is there.
func TestPeople(t *testing.T) {
	backend, err := train.OpenBackend("onednn")
	if err != nil {
		t.Skipf("training on the reference kernels takes minutes, and oneDNN is not there: %v", err)
	}
	if _, err := ortlib.Find(""); err != nil {
		t.Skipf("nothing can be exported: %v", err)
	}
	out := t.TempDir()
	r, err := demo.RunPeople(context.Background(), demo.Options{Out: out, Epochs: 6, Backend: backend})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) != 4 || len(r.Files) != 2 || r.Queries != r.Images.Query || r.Others != r.Images.Gallery || r.TrainImages >= r.Images.Train {
		t.Fatalf("%+v", r)
	}
	pixels := r.Rows[0].MAP
	t.Logf("mAP of pixels %.4f, students %.4f and %.4f, both %.4f", pixels, r.Rows[1].MAP, r.Rows[2].MAP, r.Rows[3].MAP)
	if !(pixels > 0.05 && pixels < 0.4) {
		t.Errorf("mAP of pixels is %.4f: the data is not a task to learn", pixels)
	}
	for _, row := range r.Rows[1:] {
		if !(row.MAP > 1.5*pixels && row.CMC[1] > r.Rows[0].CMC[1]) {
			t.Errorf("%s: mAP %.4f, rank 1 %.4f; of pixels %.4f, %.4f", row.Name, row.MAP, row.CMC[1], pixels, r.Rows[0].CMC[1])
		}
	}
	for _, path := range append(r.Files, r.Ranking) {
		if info, err := os.Stat(path); err != nil || info.Size() == 0 || filepath.Dir(path) != out {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// TestPeopleOfAnotherSet does not draw over what is there.
func TestPeopleOfAnotherSet(t *testing.T) {
	out := t.TempDir()
	mine := filepath.Join(out, "walkers", "mine")
	if err := os.MkdirAll(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := demo.RunPeople(context.Background(), demo.Options{Out: out}); !errors.Is(err, walkers.ErrNotEmpty) {
		t.Errorf("error %v", err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}
