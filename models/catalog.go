package models

import (
	"errors"
	"fmt"
	"strings"
)

// ErrUnknown is wrapped by Build for a name that is no architecture.
var ErrUnknown = errors.New("unknown architecture")

// Architecture is an entry of the catalog.
type Architecture struct {
	Name    string
	Summary string
	// Input is the shape it was designed for; any other that fits works.
	Input Shape
	build func(input Shape, classes int) (*Network, error)
}

// Catalog lists the architectures that ship with the toolkit.
func Catalog() []Architecture {
	cifar := Shape{C: 3, H: 32, W: 32}
	out := []Architecture{{
		Name: "convnet", Summary: "three stride-2 convolutions, for small images and first tries",
		Input: Shape{C: 1, H: 28, W: 28}, build: convNet,
	}}
	for _, depth := range []int{8, 20, 32, 44, 56} {
		out = append(out, Architecture{
			Name:    fmt.Sprintf("resnet%d", depth),
			Summary: "CIFAR ResNet, option A shortcuts (He et al., 2016)",
			Input:   cifar,
			build:   func(in Shape, classes int) (*Network, error) { return resNet(depth, in, classes) },
		})
	}
	for _, tensorFlow := range []bool{false, true} {
		for _, quarters := range mobileNetWidths {
			name, summary := mobileNetName(quarters), "MobileNet v1 (Howard et al., 2017)"
			if tensorFlow {
				name, summary = name+"-tf", "MobileNet v1 as TensorFlow computes it, for its weights"
			}
			out = append(out, Architecture{
				Name: name, Summary: summary, Input: Shape{C: 3, H: 224, W: 224},
				build: func(in Shape, classes int) (*Network, error) {
					return mobileNet(name, quarters, tensorFlow, in, classes)
				},
			})
		}
	}
	return out
}

// Lookup finds an architecture by name. The error wraps ErrUnknown and lists
// the names there are.
func Lookup(name string) (Architecture, error) {
	var names []string
	for _, a := range Catalog() {
		if a.Name == name {
			return a, nil
		}
		names = append(names, a.Name)
	}
	return Architecture{}, fmt.Errorf("%w %q: choose one of %s", ErrUnknown, name, strings.Join(names, ", "))
}

// Build makes the architecture of that name for an input shape and a number of
// classes.
func Build(name string, input Shape, classes int) (*Network, error) {
	a, err := Lookup(name)
	if err != nil {
		return nil, err
	}
	return a.build(input, classes)
}
