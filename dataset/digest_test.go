package dataset_test

import (
	"testing"
	"testing/fstest"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
)

// TestDigest: data are the same wherever they lie, and others where a label, a
// name or a size differs.
func TestDigest(t *testing.T) {
	digest := func(ds dataset.Dataset) string {
		t.Helper()
		sum, err := dataset.Digest(ds)
		if err != nil {
			t.Fatal(err)
		}
		return sum
	}
	photos := func(names ...string) dataset.Dataset {
		t.Helper()
		fsys := fstest.MapFS{}
		for i, name := range names {
			fsys[name] = &fstest.MapFile{Data: make([]byte, 100+i)} // never read
		}
		splits, err := dataset.OpenFS(fsys, dataset.Options{Kind: dataset.ImageFolder})
		if err != nil {
			t.Fatal(err)
		}
		return splits.Train
	}
	whole := photos("a/1.png", "a/2.png", "b/3.png", "b/4.png")
	if digest(whole) != digest(photos("a/1.png", "a/2.png", "b/3.png", "b/4.png")) {
		t.Error("the same files have two digests")
	}
	for name, other := range map[string]dataset.Dataset{
		"exchanged labels": photos("b/1.png", "a/2.png", "a/3.png", "b/4.png"),
		"another name":     photos("a/1.png", "a/5.png", "b/3.png", "b/4.png"),
		"another class":    photos("a/1.png", "a/2.png", "c/3.png", "c/4.png"),
		"another size":     photos("a/2.png", "a/1.png", "b/3.png", "b/4.png"),
	} {
		if digest(whole) == digest(other) {
			t.Errorf("%s has the same digest", name)
		}
	}

	shape := dataset.Shape{Channels: 1, Height: 4, Width: 4}
	images := datatest.Random(t, 6, 2, shape, 1)
	if digest(images) != digest(datatest.Random(t, 6, 2, shape, 1)) || digest(images) == digest(datatest.Random(t, 6, 2, shape, 2)) {
		t.Error("images in memory are told apart wrongly")
	}
	part, err := dataset.Subset(images, []int{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	turned, err := dataset.Subset(images, []int{2, 1})
	if err != nil {
		t.Fatal(err)
	}
	if digest(part) == digest(images) || digest(part) == digest(turned) {
		t.Error("parts are told apart wrongly")
	}
}
