package models_test

import (
	"fmt"
	"log"

	"github.com/deepmutual/dml/models"
)

// A residual network of your own, for any classifier of 32x32 images.
func ExampleBuilder() {
	b := models.NewBuilder("tiny", models.Shape{C: 3, H: 32, W: 32}, 10)
	block := func(name, in string, out, stride int) string {
		x := b.Conv(name+".conv", in, models.Conv{Out: out, Kernel: models.Square(3), Stride: models.Square(stride), Padding: models.SameUpper})
		return b.ReLU(name+".relu", b.BatchNorm(name+".bn", x, models.BatchNorm{}))
	}
	x := block("block1", b.Input(), 16, 1)
	x = block("block2", x, 32, 2)
	x = b.Add("add", x, block("block3", x, 32, 1))
	features := b.GlobalAvgPool("mean", x)
	logits := b.Dense("linear", features, models.Dense{Out: 10, Bias: true})
	network, err := b.Build(logits, features)
	if err != nil {
		log.Fatal(err)
	}
	parameters, _ := network.ParameterCount()
	fmt.Println(network.Name, "has", parameters, "parameters")
	// Output: tiny has 14746 parameters
}

// The same way, from a file: what the data decide is left out.
func ExampleParseArchitecture() {
	architecture, err := models.ParseArchitecture("plain", []byte(`{
	  "layers": [
	    {"name": "conv", "kind": "conv", "conv": {"out": 16, "kernel": [3, 3], "stride": [2, 2], "padding": "same_upper"}},
	    {"name": "bn", "kind": "batch_norm"},
	    {"name": "relu", "kind": "activation"},
	    {"name": "mean", "kind": "global_avg_pool"},
	    {"name": "linear", "kind": "dense", "dense": {"bias": true}}
	  ]
	}`))
	if err != nil {
		log.Fatal(err)
	}
	network, err := architecture.Build(models.Shape{C: 3, H: 160, W: 64}, 751)
	if err != nil {
		log.Fatal(err)
	}
	shapes, _ := network.Shapes()
	fmt.Println(network.Name, shapes["relu"], shapes[network.Logits])
	// Output: plain 16x80x32 751
}
