//go:build cgo

package infer

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/deepmutual/dml/export"
	"github.com/deepmutual/dml/export/exporttest"
	"github.com/deepmutual/dml/models"
)

// TestCohortFile: a file that holds a cohort gives each student's outputs, from
// a Model of one file and of several, with joined calls, with any batch.
func TestCohortFile(t *testing.T) {
	needRuntime(t)
	in := models.Shape{C: 3, H: 16, W: 12}
	nets := []*models.Network{exporttest.Network(t, "convnet", in, 3), exporttest.Network(t, "resnet8", in, 3)}
	opts := tinyOptions()
	const n = 5
	batch := noise(n*in.Size(), 1)
	var want []Outputs
	for i, net := range nets {
		out, err := openBytes(t, exporttest.Student(t, net, uint64(i+1), opts), Options{}).Run(context.Background(), batch, n)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, out)
	}
	check := func(what string, got Outputs, from, to int, logits bool) {
		t.Helper()
		if got.N != to-from || len(got.Students) != 2 {
			t.Fatalf("%s: %d samples, %d students", what, got.N, len(got.Students))
		}
		for i, s := range got.Students {
			w := want[i].part(from, to)
			if s.N != got.N || largest(s.Probabilities, w.Probabilities) > 1e-4 || s.Embedding != nil ||
				logits && largest(s.Logits, w.Logits) > 1e-4 || !logits && s.Logits != nil {
				t.Errorf("%s: student %d: %+v, want %+v", what, i, s, w)
			}
		}
		for i, p := range got.Probabilities {
			if mean := (want[0].Probabilities[3*from+i] + want[1].Probabilities[3*from+i]) / 2; max(p-mean, mean-p) > 1e-4 {
				t.Errorf("%s: probability %d is %v, want %v", what, i, p, mean)
			}
		}
	}
	fixed, withLogits, whole := opts, opts, opts
	fixed.Batch, withLogits.Outputs, whole.Outputs = 2, export.Outputs(), []string{export.Embedding}
	for name, o := range map[string]export.Options{"plain": opts, "fixed batch": fixed, "logits too": withLogits} {
		m := openBytes(t, exporttest.Cohort(t, o, nets...), Options{})
		if info := m.Info(); info.Students != 2 || !slices.Equal(info.StudentNames, []string{"a", "b"}) || info.Architecture != "convnet+resnet8" {
			t.Errorf("%s: %+v", name, info)
		}
		got, err := m.Run(context.Background(), batch, n)
		if err != nil {
			t.Fatal(err)
		}
		check(name, got, 0, n, name == "logits too")
		b := openBytes(t, exporttest.Cohort(t, o, nets...), Options{Join: &Joining{MaxWait: 50 * time.Millisecond}})
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				got, err := b.Run(context.Background(), batch[i*in.Size():(i+1)*in.Size()], 1)
				if err != nil {
					t.Error(err)
					return
				}
				check(name+", joined", got, i, i+1, name == "logits too")
			})
		}
		wg.Wait()
	}
	path, single := saved(t, "cohort.onnx", exporttest.Cohort(t, opts, nets...)), saved(t, "single.onnx", exporttest.Student(t, nets[0], 1, opts))
	c, err := Open(Options{}, path, single)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if info := c.Info(); info.Students != 3 || !slices.Equal(info.StudentNames, []string{"a", "b", "convnet"}) {
		t.Errorf("%+v", info)
	}
	got, err := c.Run(context.Background(), batch, n)
	if err != nil || len(got.Students) != 3 || largest(got.Students[1].Probabilities, want[1].Probabilities) > 1e-4 ||
		largest(got.Students[2].Probabilities, want[0].Probabilities) > 1e-4 {
		t.Errorf("beside another file: %+v, %v", got.Students, err)
	}
	m := openBytes(t, exporttest.Cohort(t, whole, nets...), Options{})
	if got, err := m.Run(context.Background(), batch, n); err != nil || got.Students != nil || m.Info().Students != 2 {
		t.Errorf("outputs of the whole alone: %+v, %v", got, err)
	}
}
