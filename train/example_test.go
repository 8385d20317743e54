package train_test

import (
	"context"
	"fmt"
	"image"
	"log"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
	"github.com/deepmutual/dml/train/optim"
)

// Two students learn to tell dark images from bright ones, and from each other.
// Package run keeps such a training in a folder.
func ExampleFit() {
	config := train.Config{
		Students:  []train.Student{{Arch: "convnet"}, {Arch: "resnet8"}},
		Epochs:    2,
		Batch:     8,
		Optimizer: optim.SGD{LearningRate: 0.05, Momentum: 0.9, Nesterov: true},
		Augment:   dataset.Augment{Flip: true, PadCrop: 1},
	}
	data := dataset.Splits{Train: shades(64), Val: shades(16)}
	result, err := train.Fit(context.Background(), config, data, train.Options{}, train.Events{
		Epoch: func(r train.EpochReport) { fmt.Println("epoch", r.Epoch, "of", len(r.Students), "students") },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %.0f %% on validation\n", result.Best[0].Name, 100*result.Best[0].Best.Accuracy)
	// Output:
	// epoch 1 of 2 students
	// epoch 2 of 2 students
	// convnet-1: 100 % on validation
}

// shades are n dark and bright images in turn, in memory.
func shades(n int) dataset.Dataset {
	images, labels := make([]image.Image, n), make([]int, n)
	for i := range images {
		img := image.NewGray(image.Rect(0, 0, 12, 12))
		for p := range img.Pix {
			img.Pix[p] = uint8(40 + 120*(i%2) + (7*i+p)%32)
		}
		images[i], labels[i] = img, i%2
	}
	data, err := dataset.FromImages(images, labels, []string{"dark", "bright"}, dataset.Shape{})
	if err != nil {
		log.Fatal(err)
	}
	return data
}

// A network of your own, made for the images and classes of the data.
func ExampleStudent_network() {
	b := models.NewBuilder("own", models.Shape{C: 1, H: 12, W: 12}, 2)
	x := b.Conv("conv", b.Input(), models.Conv{Out: 4, Kernel: models.Square(3), Pad: models.PadAll(1)})
	x = b.ReLU("relu", b.BatchNorm("bn", x, models.BatchNorm{}))
	features := b.Flatten("features", x)
	network, err := b.Build(b.Dense("linear", features, models.Dense{Out: 2, Bias: true}), features)
	if err != nil {
		log.Fatal(err)
	}
	config := train.Config{Students: []train.Student{{Network: network}, {Network: network}}, Epochs: 1, Batch: 8}
	result, err := train.Fit(context.Background(), config, dataset.Splits{Train: shades(64), Val: shades(16)}, train.Options{}, train.Events{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Students[1].Name, "has", result.Students[1].Parameters, "parameters")
	// Output: own-2 has 1198 parameters
}
