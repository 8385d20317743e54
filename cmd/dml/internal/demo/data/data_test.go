package data_test

import (
	"testing"

	"github.com/deepmutual/dml/cmd/dml/internal/demo/data"
	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
)

func TestLoad(t *testing.T) {
	s, err := data.Load()
	if err != nil {
		t.Fatal(err)
	}
	if s.Val != nil {
		t.Error("a validation split came unasked")
	}
	for want, ds := range map[int]dataset.Dataset{200: s.Train, 100: s.Test} {
		count := make(map[int]int)
		for i := range ds.Len() {
			count[ds.Label(i)]++
		}
		for digit := range 10 {
			if count[digit] != want {
				t.Errorf("%s has %d images of digit %d, want %d", ds.Name(), count[digit], digit, want)
			}
		}
		if shape, err := dataset.ShapeOf(ds); err != nil || shape != (dataset.Shape{Channels: 1, Height: 28, Width: 28}) {
			t.Errorf("%s has shape %v, error %v", ds.Name(), shape, err)
		}
	}
}

// TestSubsetOfMNIST finds every embedded image, with its label and in the same
// order, in the part of the original it is said to come from.
func TestSubsetOfMNIST(t *testing.T) {
	original, err := dataset.Open(datatest.Shared(t, "mnist"), dataset.Options{})
	if err != nil {
		t.Fatal(err)
	}
	embedded, err := data.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"train", "test"} {
		small, err := embedded.Split(part)
		if err != nil {
			t.Fatal(err)
		}
		large, err := original.Split(part)
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for i := range small.Len() {
			want := sample(t, small, i)
			for at < large.Len() && sample(t, large, at) != want {
				at++
			}
			if at == large.Len() {
				t.Fatalf("%s image %d is not in MNIST after the one before it", part, i)
			}
			at++
		}
	}
}

type labelled struct {
	pix   string
	label int
}

func sample(t *testing.T, ds dataset.Dataset, i int) labelled {
	m, err := ds.Image(i)
	if err != nil {
		t.Fatal(err)
	}
	return labelled{string(m.Pix), ds.Label(i)}
}
