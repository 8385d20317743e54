package train_test

import (
	"context"
	"fmt"
	"log"

	"github.com/deepmutual/dml/dataset"
	"github.com/deepmutual/dml/models"
	"github.com/deepmutual/dml/train"
	"github.com/deepmutual/dml/train/optim"
)

// Two students of a network of your own learn to tell dark images from bright
// ones, and from each other. Package run keeps a
// training in a folder.
func Example() {
	input := models.Shape{C: 1, H: 8, W: 8}
	b := models.NewBuilder("own", input, 2)
	x := b.Conv("conv", b.Input(), models.Conv{Out: 4, Kernel: models.Square(3), Pad: models.PadAll(1)})
	x = b.ReLU("relu", b.BatchNorm("bn", x, models.BatchNorm{}))
	features := b.Flatten("features", x)
	network, err := b.Build(b.Dense("linear", features, models.Dense{Out: 2, Bias: true}), features)
	if err != nil {
		log.Fatal(err)
	}

	config := train.Config{
		Students:  []train.Student{{Name: "left", Network: network}, {Name: "right", Network: network}},
		Epochs:    3,
		Batch:     8,
		Optimizer: optim.SGD{LearningRate: 0.05, Momentum: 0.9, Nesterov: true},
	}
	data := dataset.Splits{Train: shades(64), Val: shades(16)}
	result, err := train.Fit(context.Background(), config, data, train.Options{}, train.Events{})
	if err != nil {
		log.Fatal(err)
	}
	for _, student := range result.Students {
		fmt.Printf("%s, of %d parameters: %.0f %% after %d epochs\n",
			student.Name, student.Parameters, 100*student.Best.Accuracy, result.Epoch)
	}
	// Output:
	// left, of 558 parameters: 100 % after 3 epochs
	// right, of 558 parameters: 100 % after 3 epochs
}

// shades generates n images, dark and bright ones in turn.
func shades(n int) dataset.Dataset {
	var pixels []uint8
	var labels []int
	for i := range n {
		label := i % 2
		for p := range 8 * 8 {
			pixels = append(pixels, uint8(40+120*label+(7*i+p)%32))
		}
		labels = append(labels, label)
	}
	data, err := dataset.NewMemory("shades", []string{"dark", "bright"}, dataset.Shape{Channels: 1, Height: 8, Width: 8}, pixels, labels)
	if err != nil {
		log.Fatal(err)
	}
	return data
}
