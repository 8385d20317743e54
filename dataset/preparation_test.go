package dataset_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/internal/pixels"
)

// TestSecondPreparation: another network's input is the same augmented image,
// view by view, and asking for it changes nothing else.
func TestSecondPreparation(t *testing.T) {
	opts := training(4, 2)
	opts.Views, opts.DropLast = 2, false
	ds := datatest.Random(t, 22, 3, dataset.Shape{Channels: 3, Height: 9, Width: 9}, 1)
	want := collect(t, newLoader(t, ds, opts), 1, 0)
	second := dataset.Preparation{Shape: dataset.Shape{Channels: 1, Height: 12, Width: 16}, Norm: dataset.Norm{Mean: []float32{.1}, Std: []float32{.7}}}
	opts.Second = &second
	norm, err := pixels.NewNormalizer(pixels.Norm(second.Norm), 1)
	if err != nil {
		t.Fatal(err)
	}
	got := collect(t, newLoader(t, ds, opts), 1, 0)
	if len(got) != 6 || got[5].N != 2 {
		t.Fatalf("%d batches, %d samples in the last", len(got), got[len(got)-1].N)
	}
	for b := range got {
		for v, images := range got[b].Second {
			if !slices.Equal(got[b].Views[v], want[b].Views[v]) {
				t.Fatalf("batch %d: the second preparation changes view %d", b, v)
			}
			if len(images) != got[b].N*second.Shape.Size() {
				t.Fatalf("batch %d: %d values for %d samples", b, len(images), got[b].N)
			}
			for k, i := range got[b].Indices {
				m, err := ds.Image(i)
				if err != nil {
					t.Fatal(err)
				}
				m = opts.Augment.Apply(nil, dataset.Image(pixels.Fit(pixels.Image(m), 3, 8, 8)), dataset.SampleKey{Seed: 9, Epoch: 1, Index: i, View: v})
				sample := make([]float32, second.Shape.Size())
				if err := norm.Apply(sample, pixels.Fit(pixels.Image(m), 1, 16, 12)); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(images[k*len(sample):(k+1)*len(sample)], sample) {
					t.Fatalf("batch %d, view %d: sample %d is not the same augmented image", b, v, i)
				}
			}
		}
	}
}

func TestSecondPreparationReportsItsFaults(t *testing.T) {
	for want, p := range map[string]dataset.Preparation{
		"second preparation: shape": {Shape: dataset.Shape{Channels: 2, Height: 1, Width: 1}},
		"second preparation: std":   {Shape: dataset.Shape{Channels: 3, Height: 1, Width: 1}, Norm: dataset.Norm{Std: []float32{0, 1, 1}}},
	} {
		opts := training(4, 1)
		opts.Second = &p
		if err := opts.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
