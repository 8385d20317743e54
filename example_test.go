package dml_test

import (
	"context"
	"fmt"
	"log"

	"github.com/deepmutual/dml/infer"
)

// Two exported students answer together, by the mean of their posteriors.
func Example() {
	students, err := infer.Open(infer.Options{}, "resnet20-1.onnx", "resnet8-1.onnx")
	if err != nil {
		log.Fatal(err)
	}
	defer students.Close()

	predictions, err := students.Predict(context.Background(), infer.FromFile("cat.jpg"))
	if err != nil {
		log.Fatal(err)
	}
	best := predictions[0].Top[0]
	fmt.Printf("%s: %.1f %%\n", best.Label, 100*best.Probability)
}
