package run

import (
	"slices"
	"testing"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/dataset/datatest"
	"github.com/deepmutual/dml/infer"
	"github.com/deepmutual/dml/internal/ortruntime/ortlib"
)

var imageNet = dataset.Norm{Mean: []float32{.485, .456, .406}, Std: []float32{.229, .224, .225}}

// TestPublishedTeacher has a published ResNet-20 look at CIFAR-10 through the
// loader, as a teacher does while students that are normalised otherwise train:
// on images that it was trained on it is right nearly always.
func TestPublishedTeacher(t *testing.T) {
	if _, err := ortlib.Find(""); err != nil {
		t.Skipf("skipped: %v", err)
	}
	const batch = 64
	file := datatest.Shared(t, "cifar10-lossless4k.bin")
	splits, err := dataset.Open(file, dataset.Options{Kind: dataset.CIFAR10})
	if err != nil {
		t.Fatal(err)
	}
	teacher, err := OpenTeacher(datatest.Shared(t, "pretrained/resnet20-cifar10.onnx"), TeacherOptions{Norm: imageNet, Infer: infer.Options{Threads: 1}})
	if err != nil {
		t.Fatal(err)
	}
	defer teacher.Close()
	input := teacher.Info().Input
	loader, err := dataset.NewLoader(splits.Train, dataset.LoaderOptions{Batch: batch, Shape: dataset.Shape{Channels: 3, Height: 32, Width: 32},
		Norm: dataset.Norm{Mean: []float32{.1, .2, .3}, Std: []float32{3, 2, 1}}, Augment: dataset.Augment{Flip: true}, Second: &input})
	if err != nil {
		t.Fatal(err)
	}
	epoch := loader.Epoch(t.Context(), 0, 0)
	defer epoch.Close()
	right, seen, logits := 0, 0, make([]float32, batch*10)
	for range 8 {
		b, err := epoch.Next()
		if err != nil {
			t.Fatal(err)
		}
		if err := teacher.Logits(logits, b.Second[0]); err != nil {
			t.Fatal(err)
		}
		for i, label := range b.Labels {
			row := logits[i*10 : (i+1)*10]
			if seen++; slices.Index(row, slices.Max(row)) == int(label) {
				right++
			}
		}
	}
	t.Logf("%d of %d right", right, seen)
	if right*100 < seen*95 {
		t.Errorf("%d of %d right, want 95 %%", right, seen)
	}
}

// TestPublishedProbabilities: a file that gives probabilities is recognised.
func TestPublishedProbabilities(t *testing.T) {
	if _, err := ortlib.Find(""); err != nil {
		t.Skipf("skipped: %v", err)
	}
	teacher, err := OpenTeacher(datatest.Shared(t, "pretrained/mobilenet_v1_0.25_imagenet.onnx"),
		TeacherOptions{Norm: dataset.Norm{Mean: []float32{.5}, Std: []float32{.5}}})
	if err != nil {
		t.Fatal(err)
	}
	defer teacher.Close()
	if info := teacher.Info(); !teacher.logarithm || info.Classes != 1000 || info.Input.Shape.Height != 224 {
		t.Errorf("logarithms: %v, %+v", teacher.logarithm, info)
	}
}
